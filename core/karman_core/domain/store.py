"""Store writes: what a sequence of changes makes of the values it finds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final, assert_never

from karman_core.domain.definition import JSON
from karman_core.domain.errors import InvalidInput
from karman_core.domain.json_values import json_problems
from karman_core.domain.outcome import StoreAppend, StoreDelete, StoreIncrement, StoreSet, StoreWrite

ABSENT: Final = object()
"""Stands for no value: null is a value."""


def apply_writes(values: Mapping[str, Any], writes: Iterable[StoreWrite]) -> dict[str, Any]:
    """The values of the keys that were written, ABSENT for a deleted one.

    Args:
        values: what each key holds before; ABSENT for none.
        writes: in the order in which they take effect.

    Raises:
        InvalidInput: a number is added to something that is none, something is appended to what is no list, or a sum is
            out of the range of JSON numbers.
    """
    after: dict[str, Any] = {}
    for write in writes:
        old = after.get(write.key, values.get(write.key, ABSENT))
        after[write.key] = _apply(write, old)
    return after


def _apply(write: StoreWrite, old: JSON) -> JSON:
    match write:
        case StoreSet(_, value):
            return value
        case StoreDelete():
            return ABSENT
        case StoreIncrement(key, amount):
            base = 0 if old is ABSENT else old
            if isinstance(base, bool) or not isinstance(base, int | float):
                raise InvalidInput(f"Store key '{key}' holds no number; it cannot be incremented.")
            return _sum(key, base, amount)
        case StoreAppend(key, value):
            base = [] if old is ABSENT else old
            if not isinstance(base, list):
                raise InvalidInput(f"Store key '{key}' holds no list; nothing can be appended to it.")
            return [*base, value]
        case _:
            assert_never(write)


def _sum(key: str, base: float, amount: float) -> int | float:
    try:
        total = base + amount
    except OverflowError:  # a fraction added to an integer that no float can hold
        total = math.inf
    if json_problems(total):
        raise InvalidInput(f"The sum in store key '{key}' is out of the range that JSON readers agree on.")
    return total
