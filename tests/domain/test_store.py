from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karman_core.domain.errors import InvalidInput
from karman_core.domain.outcome import StoreAppend, StoreDelete, StoreIncrement, StoreSet, StoreWrite
from karman_core.domain.store import ABSENT, apply_writes
from tests.domain.values import json_values

keys = st.sampled_from(["a", "b"])
amounts = st.integers(-5, 5) | st.floats(-4, 4).map(lambda number: round(number * 8) / 8)
writes: st.SearchStrategy[StoreWrite] = st.one_of(
    st.builds(StoreSet, keys, json_values() | amounts | st.lists(st.integers(), max_size=2)),
    st.builds(StoreDelete, keys),
    st.builds(StoreIncrement, keys, amounts),
    st.builds(StoreAppend, keys, json_values()),
)
before = st.dictionaries(keys, json_values() | st.just(ABSENT))


def apply_one(values: dict[str, Any], write: StoreWrite) -> dict[str, Any]:
    """One write on a dictionary that has no ABSENT in it: the definition. Raises TypeError for what makes no sense."""
    after = dict(values)
    match write:
        case StoreSet(key, value):
            after[key] = value
        case StoreDelete(key):
            after.pop(key, None)
        case StoreIncrement(key, amount):
            if type(after.get(key, 0)) not in {int, float}:
                raise TypeError
            after[key] = after.get(key, 0) + amount
        case StoreAppend(key, value):
            if type(after.get(key, [])) is not list:
                raise TypeError
            after[key] = [*after.get(key, []), value]
    return after


@given(before, st.lists(writes, max_size=6))
def test_writes_take_effect_one_after_the_other(values: dict[str, Any], changes: list[StoreWrite]) -> None:
    expected = {key: value for key, value in values.items() if value is not ABSENT}
    try:
        for write in changes:
            expected = apply_one(expected, write)
    except TypeError:
        with pytest.raises(InvalidInput):
            apply_writes(values, changes)
        return
    after = apply_writes(values, changes)
    assert set(after) == {write.key for write in changes}
    assert {key: value for key, value in after.items() if value is not ABSENT} == {
        key: value for key, value in expected.items() if key in after
    }
    assert {key for key, value in after.items() if value is ABSENT} == set(after) - set(expected)


def test_null_is_a_value_and_no_value_is_none() -> None:
    assert apply_writes({"a": 1}, [StoreSet("a", None)]) == {"a": None}
    assert apply_writes({"a": 1}, [StoreDelete("a")]) == {"a": ABSENT}
    with pytest.raises(InvalidInput, match="'a' holds no number"):
        apply_writes({"a": None}, [StoreIncrement("a")])


@pytest.mark.parametrize("value", ["1", True, [1], {"a": 1}])
def test_only_numbers_are_incremented(value: Any) -> None:
    with pytest.raises(InvalidInput, match="'key' holds no number"):
        apply_writes({"key": value}, [StoreIncrement("key", 2)])


@pytest.mark.parametrize("value", ["text", 1, {"a": 1}])
def test_only_lists_are_appended_to(value: Any) -> None:
    with pytest.raises(InvalidInput, match="'key' holds no list"):
        apply_writes({"key": value}, [StoreAppend("key", 2)])


def test_what_was_there_is_left_alone() -> None:
    values = {"log": [1], "other": 2}
    assert apply_writes(values, [StoreAppend("log", 2), StoreAppend("log", 3)]) == {"log": [1, 2, 3]}
    assert values == {"log": [1], "other": 2}


@pytest.mark.parametrize(
    ("value", "amount"),
    [(2**1022, 2**1022), (1.7e308, 1.7e308), (10**400, 0.5), (1, float("nan")), (1, float("inf"))],
)
def test_a_sum_that_is_no_json_number_is_refused(value: Any, amount: Any) -> None:
    with pytest.raises(InvalidInput, match="'key'"):
        apply_writes({"key": value}, [StoreIncrement("key", amount)])
