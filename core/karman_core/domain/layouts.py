"""The layout of what is kept and sent: one number, by which releases know what they may touch.

An item of the table says in `v`, and a message in `karman`, the lowest layout that its reader has to know; an item
that says nothing is of layout 1. A release knows the layouts up to LAYOUT, and leaves alone what is of a later one: it
does not guess at it, change it or end a run because of it.

A release that changes the meaning of a kind of item or message, or must not have it lost, raises LAYOUT by one and
writes the new number into that kind, and into no other: older releases then leave alone what has changed, and nothing
else. docs/adr/0022 says what is such a change.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from karman_core.domain.errors import NewerLayout

LAYOUT = 1
"""The latest that this release knows."""

FIRST = 1
"""That of items and messages which have not changed since the first release."""

ATTRIBUTE = "v"
"""Of items: the lowest layout that their reader has to know. Left out where that is FIRST."""


def layout_of(item: Mapping[str, Any]) -> int:
    """The layout of an item."""
    found: int = item.get(ATTRIBUTE, FIRST)
    return found


def check_layout(item: Mapping[str, Any], known: int = LAYOUT) -> None:
    """Raise NewerLayout for an item that a later release wrote."""
    if layout_of(item) > known:
        place = f"{item.get('pk', '')} {item.get('sk', '')}".strip()
        raise newer_layout(f"The item '{place}'", layout_of(item), known)


def newer_layout(what: str, found: int, known: int) -> NewerLayout:
    """The error of something that is of a later layout; `what` begins the sentence."""
    return NewerLayout(
        f"{what} was written by a later release of Karman (layout {found}; this one knows {known}): upgrade this one."
    )
