"""Pages of lists that are short enough to be read whole: names of graphs, nodes, keys, triggers."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable
from typing import TypeVar

from karman_core.domain.errors import InvalidRequest

Thing = TypeVar("Thing")


def page_of(
    things: Iterable[Thing], place: Callable[[Thing], str], limit: int, cursor: str | None
) -> tuple[tuple[Thing, ...], str | None]:
    """The things after the cursor, in the order of their places, and the cursor of the next page.

    What comes or goes between two pages is seen or not; nothing else is seen twice or left out.

    Raises:
        InvalidRequest: a cursor that no page gave.
    """
    after = _decode(cursor) if cursor is not None else ""
    rest = sorted((thing for thing in things if place(thing) > after), key=place)
    found = tuple(rest[:limit])
    return found, _encode(place(found[-1])) if len(rest) > limit else None


def _encode(place: str) -> str:
    return base64.urlsafe_b64encode(place.encode()).decode()


def _decode(cursor: str) -> str:
    try:
        return base64.b64decode(cursor, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest("The cursor is none that this listing gave; begin without one.") from error
