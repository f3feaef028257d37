"""What a JSON value may be: the limits that all code behind relies on.

Definitions built in Python can hold anything, and JSON or YAML texts can hold what breaks others later: numbers that
are no numbers, halves of surrogate pairs, nesting that overflows the stack of whoever walks it. This check itself does
not recurse.
"""

from __future__ import annotations

import math

from karman_core.domain.definition import JSON
from karman_core.domain.errors import Problem
from karman_core.domain.paths import child, describe

MAX_DEPTH = 64
"""Lists and objects inside each other; the outermost is at depth 1."""

MAX_INTEGER_BITS = 1023
"""Larger integers have no float near them, which JSON readers elsewhere need; larger still they are slow to print."""


def json_problems(value: JSON, path: str = "", *, max_depth: int = MAX_DEPTH) -> list[Problem]:
    """What keeps a value from being JSON within the limits: codes `not_json`, `too_deep`, `invalid_text`."""
    problems: list[Problem] = []
    waiting: list[tuple[str, JSON, int]] = [(path, value, 1)]
    while waiting:
        place, item, depth = waiting.pop()
        if not isinstance(item, (list, dict)):
            problems.extend(_scalar_problems(place, item))
        elif depth > max_depth:
            problems.append(
                Problem(place, "too_deep", f"Lists and objects nest deeper than {max_depth} levels.")
            )
        elif isinstance(item, list):
            waiting.extend(
                (child(place, i), inner, depth + 1) for i, inner in reversed(list(enumerate(item)))
            )
        else:
            problems.extend(problem for key in item for problem in _key_problems(place, key))
            waiting.extend(
                (child(place, str(key)), inner, depth + 1) for key, inner in reversed(item.items())
            )
    return problems


def _scalar_problems(path: str, value: JSON) -> list[Problem]:
    match value:
        case None | bool():
            return []
        case str():
            return _text_problems(path, value)
        case int() if value.bit_length() <= MAX_INTEGER_BITS:
            return []
        case float() if math.isfinite(value):
            return []
        case int() | float():
            return [Problem(path, "not_json", "The number is out of the range that JSON readers agree on.")]
        case _:
            return [Problem(path, "not_json", f"The value is {describe(value)}, which JSON does not have.")]


def _key_problems(path: str, key: object) -> list[Problem]:
    if isinstance(key, str):
        return _text_problems(path, key)
    return [Problem(path, "not_json", f"A key is {describe(key)}; JSON has only strings as keys.")]


def _text_problems(path: str, text: str) -> list[Problem]:
    try:
        text.encode()
    except UnicodeEncodeError:
        message = "The text holds half of a surrogate pair, which no encoding can store."
        return [Problem(path, "invalid_text", message)]
    return []
