"""What a JSON value may be: the limits that all code behind relies on.

Definitions built in Python can hold anything, and JSON or YAML texts can hold what breaks others later: numbers that
are no numbers, halves of surrogate pairs, nesting that overflows the stack of whoever walks it. This check itself does
not recurse.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice

from karman_core.domain.definition import JSON
from karman_core.domain.errors import Problem
from karman_core.domain.paths import Part, describe, join, place

MAX_DEPTH = 64
"""Lists and objects inside each other; the outermost is at depth 1."""

MAX_INTEGER_BITS = 1023
"""Larger integers have no float near them, which JSON readers elsewhere need; larger still they are slow to print."""


MAX_PROBLEMS = 1_000
"""Of one value."""


def json_problems(value: JSON, path: str = "", *, max_depth: int = MAX_DEPTH) -> list[Problem]:
    """What keeps a value from being JSON within the limits: codes `not_json`, `too_deep`, `invalid_text`."""
    found = (
        Problem(join(path, place(tuple(trail))), code, message)
        for trail, item in _walk(value, max_depth)
        for code, message in _faults(item, deep=len(trail) >= max_depth, max_depth=max_depth)
    )
    return list(islice(found, MAX_PROBLEMS))


def _walk(value: JSON, max_depth: int) -> Iterator[tuple[list[Part], JSON]]:
    """Every part of a value with the path to it, from the outside in; nothing inside of what is too deep.

    The path is one list that changes: to make one for each part would take the square of a hostile value's size.
    """
    trail: list[Part] = []
    yield trail, value
    unfinished = [_items(value)]
    while unfinished:
        step = next(unfinished[-1], None)
        if step is None:
            unfinished.pop()
            del trail[-1:]
            continue
        trail.append(step[0])
        yield trail, step[1]
        if isinstance(step[1], (list, dict)) and len(unfinished) < max_depth:
            unfinished.append(_items(step[1]))
        else:
            trail.pop()


def _items(value: JSON) -> Iterator[tuple[Part, JSON]]:
    match value:
        case list():
            yield from enumerate(value)
        case dict():
            yield from ((str(key), item) for key, item in value.items())


def _faults(value: JSON, *, deep: bool, max_depth: int) -> Iterator[tuple[str, str]]:
    match value:
        case list() | dict() if deep:
            yield "too_deep", f"Lists and objects nest deeper than {max_depth} levels."
        case dict():
            for key in value:
                yield from _key_faults(key)
        case str():
            yield from _text_faults(value)
        case None | bool() | list():
            pass
        case int() if value.bit_length() <= MAX_INTEGER_BITS:
            pass
        case float() if math.isfinite(value):
            pass
        case int() | float():
            yield "not_json", "The number is out of the range that JSON readers agree on."
        case _:
            yield "not_json", f"The value is {describe(value)}, which JSON does not have."


def _key_faults(key: object) -> Iterator[tuple[str, str]]:
    if isinstance(key, str):
        yield from _text_faults(key)
    else:
        yield "not_json", f"A key is {describe(key)}; JSON has only strings as keys."


def _text_faults(text: str) -> Iterator[tuple[str, str]]:
    try:
        text.encode()
    except UnicodeEncodeError:
        yield "invalid_text", "The text holds half of a surrogate pair, which no encoding can store."
