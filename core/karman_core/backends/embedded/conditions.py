"""Conditions on one item, with DynamoDB's meaning: what is absent or of another type compares as false."""

from __future__ import annotations

from typing import assert_never

from karman_core.backends.values import MAX_ALTERNATIVES, plain, plain_number, same
from karman_core.ports.table import (
    Absent,
    AllOf,
    AnyOf,
    Condition,
    Equals,
    Item,
    Lacks,
    LessThan,
    OneOf,
    Present,
    Value,
)


class _Missing:
    """Stands for an attribute that is not there; equal to no value."""


_MISSING = _Missing()


def check(condition: Condition | None) -> None:
    """Raise TypeError or ValueError for what DynamoDB would refuse, whether or not it would be evaluated."""
    match condition:
        case Equals():
            plain(condition.value)
        case OneOf():
            if not 1 <= len(condition.values) <= MAX_ALTERNATIVES:
                raise ValueError(f"OneOf takes 1 to {MAX_ALTERNATIVES} values")
            for value in condition.values:
                plain(value)
        case LessThan():
            plain_number(condition.value)
        case Lacks():
            plain(frozenset({condition.member}))
        case AllOf() | AnyOf():
            if not condition.conditions:
                raise ValueError(f"{type(condition).__name__} takes at least one condition")
            for each in condition.conditions:
                check(each)
        case _:
            pass


def holds(condition: Condition | None, item: Item | None) -> bool:
    """Whether a checked condition holds for the item, or for none at its key."""
    if condition is None:
        return True
    if isinstance(condition, AllOf):
        return all(holds(each, item) for each in condition.conditions)
    if isinstance(condition, AnyOf):
        return any(holds(each, item) for each in condition.conditions)
    return _compare(condition, _MISSING if item is None else item.get(condition.attribute, _MISSING))


def _compare(condition: Absent | Present | Equals | OneOf | LessThan | Lacks, value: Value) -> bool:
    match condition:
        case Absent():
            return value is _MISSING
        case Present():
            return value is not _MISSING
        case Equals():
            return same(value, plain(condition.value))
        case OneOf():
            return any(same(value, plain(each)) for each in condition.values)
        case LessThan():
            return type(value) is int and value < condition.value
        case Lacks():
            # Members of plain sets are int and str alone, so equal means of the same type.
            return not (isinstance(value, frozenset) and condition.member in value)
    assert_never(condition)
