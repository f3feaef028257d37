"""Update actions: what each does to an attribute of each type, and to one that is not there."""

from __future__ import annotations

from typing import Any

import pytest

from karman_core.domain.errors import ConditionFailed
from karman_core.ports.table import (
    Action,
    Add,
    Append,
    Equals,
    Item,
    Key,
    Lacks,
    Present,
    Remove,
    Set,
    SetOnce,
    Table,
)

KEY = Key("partition", "sort")
KEYS = {"pk": KEY.pk, "sk": KEY.sk}


async def updated(table: Table, before: dict[str, Any] | None, *actions: Action) -> dict[str, Any]:
    """The attributes after the actions, as returned, which is what is stored."""
    if before is not None:
        await table.put({**KEYS, **before})
    returned = await table.update(KEY, actions)
    assert returned == await table.get(KEY)
    return {name: value for name, value in returned.items() if name not in KEYS}


async def test_an_update_makes_the_item(table: Table) -> None:
    assert await updated(table, None, Set("a", 1)) == {"a": 1}


async def test_an_update_returns_the_whole_item(table: Table) -> None:
    await table.put({**KEYS, "a": 1, "b": [2]})

    assert await table.update(KEY, [Set("c", 3)]) == {**KEYS, "a": 1, "b": [2], "c": 3}


async def test_set_replaces_whatever_is_there(table: Table) -> None:
    before = {"a": frozenset({1}), "b": "text"}

    assert await updated(table, before, Set("a", "x"), Set("b", None)) == {"a": "x", "b": None}


async def test_set_once_keeps_what_is_there(table: Table) -> None:
    before = {"a": 1, "b": None, "c": ""}
    actions = [SetOnce(name, 2) for name in "abcd"]

    assert await updated(table, before, *actions) == {"a": 1, "b": None, "c": "", "d": 2}


async def test_remove(table: Table) -> None:
    assert await updated(table, {"a": 1, "b": 2}, Remove("a"), Remove("c")) == {"b": 2}


async def test_remove_makes_the_item_too(table: Table) -> None:
    assert await updated(table, None, Remove("a")) == {}


async def test_add_to_a_number(table: Table) -> None:
    before = {"a": 5, "b": -3, "c": 10**38 - 2}

    after = await updated(table, before, Add("a", 2), Add("b", -4), Add("c", 1), Add("d", 7), Add("e", 0))

    assert after == {"a": 7, "b": -7, "c": 10**38 - 1, "d": 7, "e": 0}


async def test_add_to_a_set(table: Table) -> None:
    before = {"numbers": frozenset({1, 2}), "texts": frozenset({"a"})}

    after = await updated(
        table,
        before,
        Add("numbers", frozenset({2, 3, 10**37})),
        Add("texts", frozenset({"a", "ä", ""})),
        Add("new", frozenset({-1})),
    )

    assert after == {
        "numbers": frozenset({1, 2, 3, 10**37}),
        "texts": frozenset({"a", "ä", ""}),
        "new": frozenset({-1}),
    }
    assert all(type(member) is int for member in after["numbers"])


async def test_an_arrival_at_a_join_is_one_update(table: Table) -> None:
    arrived: Item = {}
    for index in (2, 0, 1):
        arrived = await table.update(
            KEY,
            [Add("succeeded", frozenset({index})), Add("states", 3), Set("last", index)],
            Lacks("succeeded", index),
        )
    with pytest.raises(ConditionFailed) as again:
        await table.update(KEY, [Add("succeeded", frozenset({2})), Add("states", 3)], Lacks("succeeded", 2))

    assert arrived == {**KEYS, "succeeded": frozenset({0, 1, 2}), "states": 9, "last": 1}
    assert again.value.old == arrived


async def test_append(table: Table) -> None:
    before = {"a": [1], "b": []}

    after = await updated(
        table, before, Append("a", (2, [3])), Append("b", ()), Append("c", ("x", None)), Append("d", ())
    )

    assert after == {"a": [1, 2, [3]], "b": [], "c": ["x", None], "d": []}


async def test_actions_read_the_item_as_it_was(table: Table) -> None:
    before = {"a": 1, "list": ["x"]}

    after = await updated(table, before, Remove("list"), Add("a", 1), SetOnce("b", "new"))

    assert after == {"a": 2, "b": "new"}


NAMES = ["status", "a.b", "a-b", "#a", ":a", "with space", "ünï", "0", "size", "x" * 200, "$b", "'", '"']


async def test_attributes_of_any_name(table: Table) -> None:
    actions = [Set(name, number) for number, name in enumerate(NAMES)]
    expected = {name: number for number, name in enumerate(NAMES)}

    assert await updated(table, {}, *actions) == expected
    for name in NAMES:
        await table.update(KEY, [Add(name, 1)], Equals(name, expected[name]))
    await table.update(KEY, [Remove(name) for name in NAMES], Present(NAMES[0]))
    assert await table.get(KEY) == KEYS


WRONG_TYPES: dict[str, tuple[Any, Action]] = {
    "number_to_text": ("5", Add("a", 1)),
    "number_to_truth": (True, Add("a", 1)),
    "number_to_null": (None, Add("a", 1)),
    "number_to_set": (frozenset({1}), Add("a", 1)),
    "number_to_list": ([1], Add("a", 1)),
    "numbers_to_texts": (frozenset({"1"}), Add("a", frozenset({1}))),
    "texts_to_numbers": (frozenset({1}), Add("a", frozenset({"1"}))),
    "set_to_number": (1, Add("a", frozenset({1}))),
    "append_to_text": ("x", Append("a", ("y",))),
    "append_to_set": (frozenset({1}), Append("a", (2,))),
    "append_to_null": (None, Append("a", (2,))),
}


@pytest.mark.parametrize("case", WRONG_TYPES)
async def test_an_action_on_another_type_is_refused(table: Table, case: str) -> None:
    value, action = WRONG_TYPES[case]
    item = {**KEYS, "a": value}
    await table.put(item)

    with pytest.raises(ValueError, match=r".+"):
        await table.update(KEY, [action, Set("b", 1)])

    assert await table.get(KEY) == item


MALFORMED: dict[str, tuple[type[Exception], list[Action]]] = {
    "nothing": (ValueError, []),
    "one_attribute_twice": (ValueError, [Set("a", 1), Remove("a")]),
    "partition_key": (ValueError, [Set("pk", "other")]),
    "sort_key": (ValueError, [Remove("sk")]),
    "add_empty_set": (ValueError, [Add("a", frozenset())]),
    "set_empty_set": (ValueError, [Set("a", frozenset())]),
    "add_float": (TypeError, [Add("a", 0.5)]),  # type: ignore[arg-type]
    "add_truth": (TypeError, [Add("a", True)]),
    "set_float": (TypeError, [Set("a", {"b": [0.5]})]),
    "set_once_float": (TypeError, [SetOnce("a", 0.5)]),
    "append_float": (TypeError, [Append("a", (1, 0.5))]),
    "set_tuple": (TypeError, [Set("a", (1, 2))]),
    "set_number_of_39_digits": (ValueError, [Set("a", 10**38)]),
    "index_key_of_wrong_type": (ValueError, [Set("by_time_pk", 5), Set("by_time_sk", "x")]),
    "index_key_empty": (ValueError, [Set("by_time_pk", "x"), Set("by_time_sk", "")]),
}


@pytest.mark.parametrize("case", MALFORMED)
async def test_malformed_updates_are_refused(table: Table, case: str) -> None:
    error, actions = MALFORMED[case]
    item = {**KEYS, "a": 1}
    await table.put(item)

    with pytest.raises(error):
        await table.update(KEY, actions)

    assert await table.get(KEY) == item


async def test_a_sum_over_38_digits_is_refused(table: Table) -> None:
    await table.put({**KEYS, "a": 10**38 - 1})

    with pytest.raises(ValueError, match=r".+"):
        await table.update(KEY, [Add("a", 10**38 - 1)])

    assert await table.get(KEY) == {**KEYS, "a": 10**38 - 1}
