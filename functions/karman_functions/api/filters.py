"""Filters of lists, as queries have them."""

from __future__ import annotations

from collections.abc import Sequence


def tag_filter(pairs: Sequence[str]) -> dict[str, str] | None:
    """The tags that `name:value` pairs name. None for one name with two values, which no run has."""
    found: dict[str, str] = {}
    for pair in pairs:
        name, _, value = pair.partition(":")
        if found.setdefault(name, value) != value:
            return None
    return found
