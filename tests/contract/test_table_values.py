"""Values: every type comes back as it went in, and what the table does not hold is refused."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import pytest

from karman_core.backends.values import MAX_ITEM_BYTES, item_bytes
from karman_core.domain.errors import ItemTooLarge
from karman_core.ports.table import Key, Put, Set, Table

KEY = Key("partition", "sort")
KEYS = {"pk": KEY.pk, "sk": KEY.sk}


class Status(StrEnum):
    RUNNING = "RUNNING"


HOSTILE = [
    "",
    " ",
    "'; DROP TABLE items; --",
    '"\\"',
    "\x00",
    "a\x00b\x1f\x7f",
    "line\r\nline\u2028line\u0085",
    "\ufeff\u202etxet\u200b",
    "é",
    "e\u0301",
    "\U0001f600\U0010ffff\ufffe",
    "$b",
    '{"$b": "AA=="}',
    "null",
    "1e5",
    "%s {0} ${x} #{y}",
]


def nested(levels: int) -> Any:
    value: Any = "inside"
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}
    return value


VALUES: dict[str, Any] = {
    "null": None,
    "truths": [True, False],
    "numbers": [0, 1, -1, 2**31, 2**63, -(2**63) - 1, 2**64, 10**15 + 1, 12_345_678_901_234_567_890],
    "number_of_38_digits": 12345678901234567890123456789012345678,
    "largest_number": 10**38 - 1,
    "smallest_number": -(10**38) + 1,
    "number_of_many_zeros": 10**37,
    "texts": HOSTILE,
    "bytes": [b"", b"\x00", bytes(range(256)), b"\xff\xfe"],
    "empty_bytes": b"",
    "empty_text": "",
    "set_of_numbers": frozenset({0, -1, 5, 10**37}),
    "set_of_one": frozenset({7}),
    "set_of_texts": frozenset(text for text in HOSTILE if text),
    "set_with_empty_text": frozenset({""}),
    "list": [1, "1", True, None, b"1", frozenset({1}), [], {}, [[]]],
    "empty_list": [],
    "map": {"a": 1, "b": {"c": [{"d": None}]}} | {text: text for text in HOSTILE if text},
    "deepest": nested(31),
    "empty_map": {},
    "maps_that_look_encoded": [
        {"$b": "AA=="},
        {"$n": [1]},
        {"$s": ["a"]},
        {"$$b": 1},
        {"$$$b": {"$b": b"\x00"}},
        {"$": 1},
        {"$b": 1, "$n": 2},
        {"S": "text"},
        {"NULL": True},
    ],
}


@pytest.mark.parametrize("case", VALUES)
async def test_a_value_comes_back_as_it_went_in(table: Table, case: str) -> None:
    value = VALUES[case]
    item = {**KEYS, "value": value}

    await table.put(item)
    by_put = await table.get(KEY)
    by_update = await table.update(KEY, [Set("value", None), Set("again", value)])

    assert by_put == item
    assert types(by_put) == types(item)
    assert by_update == await table.get(KEY) == {**KEYS, "value": None, "again": value}
    assert types(by_update["again"]) == types(value)


def types(value: Any) -> Any:
    """The shape of a value in types, since True == 1 and [] is easily taken for ()."""
    if isinstance(value, list | dict):
        inner = value.items() if isinstance(value, dict) else enumerate(value)
        return type(value), {place: types(element) for place, element in inner}
    if isinstance(value, frozenset):
        return frozenset, {type(member) for member in value}
    return type(value)


async def test_keys_of_hostile_text(table: Table) -> None:
    keys = [Key(text, text) for text in HOSTILE if text]

    for number, key in enumerate(keys):
        await table.put({"pk": key.pk, "sk": key.sk, "number": number})

    found = await table.batch_get(keys)
    assert {key: found[key]["number"] for key in keys} == {key: number for number, key in enumerate(keys)}


async def test_an_enum_of_text_is_stored_as_text(table: Table) -> None:
    returned = await table.update(KEY, [Set("status", Status.RUNNING)])

    assert types(returned) == types(await table.get(KEY)) == types({**KEYS, "status": "RUNNING"})


async def test_what_was_put_or_returned_can_be_changed_without_effect(table: Table) -> None:
    given: dict[str, Any] = {**KEYS, "list": [1], "map": {"a": [1]}}
    expected = {**KEYS, "list": [1], "map": {"a": [1]}}

    await table.put(given)
    given["list"].append(2)
    returned = dict(await table.update(KEY, [Set("other", given["map"])]))
    given["map"]["a"].append(2)
    returned["list"].append(3)

    assert await table.get(KEY) == {**expected, "other": {"a": [1]}}


REFUSED: dict[str, tuple[type[Exception], Any]] = {
    "float": (TypeError, 0.5),
    "whole_float": (TypeError, 1.0),
    "not_a_number": (TypeError, float("nan")),
    "float_in_list": (TypeError, [[0.5]]),
    "float_in_map": (TypeError, {"a": {"b": 0.5}}),
    "float_in_set": (TypeError, frozenset({0.5})),
    "tuple": (TypeError, (1, 2)),
    "mutable_set": (TypeError, {1, 2}),
    "bytearray": (TypeError, bytearray(b"x")),
    "object": (TypeError, object()),
    "mixed_set": (TypeError, frozenset({1, "a"})),
    "set_of_truths": (TypeError, frozenset({True})),
    "set_of_bytes": (TypeError, frozenset({b"a"})),
    "key_that_is_no_text": (TypeError, {1: "a"}),
    "empty_set": (ValueError, frozenset()),
    "empty_set_in_list": (ValueError, [frozenset()]),
    "number_of_39_digits": (ValueError, 10**38),
    "half_a_character": (ValueError, "\ud800"),
    "empty_name": (ValueError, {"": 1}),
    "too_deep": (ValueError, nested(32)),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_the_table_does_not_hold_is_refused(table: Table, case: str) -> None:
    error, value = REFUSED[case]

    with pytest.raises(error):
        await table.put({**KEYS, "value": value})
    with pytest.raises(error):
        await table.update(KEY, [Set("value", value)])
    with pytest.raises(error):
        await table.batch_write(puts=[{**KEYS, "value": value}])
    with pytest.raises(error):
        await table.transact([Put({**KEYS, "value": value})])

    assert await table.get(KEY) is None


BAD_KEYS: dict[str, Any] = {
    "no_sort_key": {"pk": "a"},
    "no_partition_key": {"sk": "a"},
    "empty_partition_key": {"pk": "", "sk": "a"},
    "empty_sort_key": {"pk": "a", "sk": ""},
    "number": {"pk": "a", "sk": 1},
    "long_partition_key": {"pk": "ä" * 1025, "sk": "a"},
    "long_sort_key": {"pk": "a", "sk": "ä" * 513},
    "index_key_of_wrong_type": {**KEYS, "by_time_pk": 1},
    "index_key_empty": {**KEYS, "by_graph_pk": "a", "by_graph_sk": ""},
    "index_key_null": {**KEYS, "unfinished_pk": None},
}


@pytest.mark.parametrize("case", BAD_KEYS)
async def test_items_without_usable_keys_are_refused(table: Table, case: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        await table.put(BAD_KEYS[case])
    with pytest.raises(ValueError, match=r".+"):
        await table.transact([Put(BAD_KEYS[case])])


async def test_the_longest_keys(table: Table) -> None:
    key = Key("ä" * 1024, "ä" * 512)

    await table.put({"pk": key.pk, "sk": key.sk, "by_time_pk": key.pk, "by_time_sk": key.sk})

    assert await table.get(key) is not None


# --- sizes ------------------------------------------------------------------------------------------------------------

SIZED: dict[str, Any] = {
    "text": "grüße",
    "null": None,
    "truth": True,
    "bytes": bytes(5),
    "zero": 0,
    "list": ["a", [None], []],
    "map": {"ä": {"b": "c"}, "d": {}},
    "texts": frozenset({"a", "bc"}),
    "numbers": frozenset({1, 22, 333}),
    **{f"number_{number}": number for number in (1, -1, 12, -123, 12345, 10, 120, 1200, -12340, 10**38 - 1)},
}


def item_of(size: int, value: Any) -> dict[str, Any]:
    """An item of exactly so many bytes with the value in it."""
    item = {**KEYS, "value": value, "filler": ""}
    return {**item, "filler": "x" * (size - item_bytes(item))}


@pytest.mark.parametrize("case", SIZED)
async def test_an_item_may_have_400_kb_and_no_byte_more(table: Table, case: str) -> None:
    value = SIZED[case]

    await table.put(item_of(MAX_ITEM_BYTES, value))
    with pytest.raises(ItemTooLarge):
        await table.put(item_of(MAX_ITEM_BYTES + 1, value))


async def test_no_write_makes_an_item_too_large(table: Table) -> None:
    fits = item_of(MAX_ITEM_BYTES, 1)
    await table.put(fits)

    with pytest.raises(ItemTooLarge):
        await table.update(KEY, [Set("v", 1)])
    with pytest.raises(ItemTooLarge):
        await table.batch_write(puts=[{"pk": "other", "sk": "1"}, item_of(MAX_ITEM_BYTES + 1, 1)])
    with pytest.raises(ItemTooLarge):
        await table.transact([Put({"pk": "other", "sk": "2"}), Put(item_of(MAX_ITEM_BYTES + 1, 1))])

    assert await table.get(KEY) == fits
    assert await table.batch_get([Key("other", "1"), Key("other", "2")]) == {}
