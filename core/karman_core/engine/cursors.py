"""Limits and cursors of lists: a cursor is two JSON values, in base64, that mean something to the list that gave it."""

from __future__ import annotations

import base64
import json

from karman_core.domain.branches import Branch, branch_text, parse_branch
from karman_core.domain.definition import JSON
from karman_core.domain.errors import InvalidRequest

MAX_LIMIT = 1000
NO_CURSOR = "The cursor is none that this listing gave; begin without one."
_PARTS = 2


def checked_limit(limit: int) -> int:
    """The limit of a page. Raises InvalidRequest."""
    if not 1 <= limit <= MAX_LIMIT:
        raise InvalidRequest(f"The limit is between 1 and {MAX_LIMIT}.")
    return limit


def write_cursor(first: JSON, second: JSON) -> str:
    """The cursor of two values."""
    return base64.urlsafe_b64encode(json.dumps([first, second]).encode()).decode()


def read_cursor(cursor: str) -> tuple[JSON, JSON]:
    """The two values. Raises InvalidRequest."""
    try:
        value = json.loads(base64.urlsafe_b64decode(cursor.encode()))
    except ValueError as error:
        raise InvalidRequest(NO_CURSOR) from error
    if not isinstance(value, list) or len(value) != _PARTS:
        raise InvalidRequest(NO_CURSOR)
    return value[0], value[1]


def write_place(place: tuple[Branch, int]) -> str:
    """The cursor of a place in the walk."""
    return write_cursor(branch_text(place[0]), place[1])


def read_place(cursor: str | None) -> tuple[Branch, int] | None:
    """The reverse. Raises InvalidRequest."""
    if cursor is None:
        return None
    path, number = read_cursor(cursor)
    try:
        if isinstance(path, str) and isinstance(number, int):
            return parse_branch(path), number
    except ValueError:
        pass
    raise InvalidRequest(NO_CURSOR)
