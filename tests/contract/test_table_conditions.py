"""Conditions: what holds for which item, by every write that takes one."""

from __future__ import annotations

import pytest

from karman_core.domain.errors import ConditionFailed, TransactionFailed
from karman_core.ports.table import (
    Absent,
    AllOf,
    AnyOf,
    Check,
    Condition,
    Equals,
    Key,
    Lacks,
    LessThan,
    OneOf,
    Present,
    Set,
    Table,
)

KEY = Key("partition", "sort")
ATTRIBUTES = {
    "number": 5,
    "text": "five",
    "true": True,
    "nothing": None,
    "bytes": b"\x05",
    "empty": "",
    "numbers": frozenset({1, 2, 12}),
    "texts": frozenset({"a", "b"}),
    "list": [1, "a", None],
    "map": {"x": 1, "y": ["z"]},
}
ITEM = {"pk": KEY.pk, "sk": KEY.sk, **ATTRIBUTES}

OTHER_VALUES = [6, "5", "Five", False, None, b"\x06", frozenset({1}), frozenset({"1"}), [1], {"x": 2}]
"""None of them is any of ATTRIBUTES, but for None itself."""

HOLD: dict[str, list[Condition]] = {
    "absent": [Absent("other")],
    "present": [Present(), *(Present(name) for name in ATTRIBUTES)],
    "equals": [Equals(name, value) for name, value in ATTRIBUTES.items()],
    "one_of": [
        OneOf("number", (4, 5)),
        OneOf("text", ("five",)),
        OneOf("true", (1, True)),
        OneOf("nothing", ("", None)),
        OneOf("number", tuple(range(100))),
    ],
    "less_than": [LessThan("number", 6), LessThan("number", 10**37)],
    "lacks": [
        Lacks("numbers", 3),
        Lacks("texts", "c"),
        Lacks("texts", "ab"),
        Lacks("other", 1),
        Lacks("numbers", "1"),
        Lacks("texts", 1),
    ],
    "lacks_no_set": [
        Lacks("number", 5),
        Lacks("text", "five"),
        Lacks("text", "iv"),
        Lacks("list", 1),
        Lacks("list", "a"),
        Lacks("map", "x"),
        Lacks("nothing", "a"),
    ],
    "all_of": [
        AllOf((Present(),)),
        AllOf((Present("number"), Equals("text", "five"), Absent("other"))),
        AllOf((AnyOf((Absent(), LessThan("number", 6))), Lacks("numbers", 3))),
    ],
    "any_of": [
        AnyOf((Absent("number"), Equals("text", "five"))),
        AnyOf((Present(),)),
        AnyOf((AllOf((Present("other"), Present())), OneOf("number", (5,)))),
    ],
}

FAIL: dict[str, list[Condition]] = {
    "absent": [Absent(), *(Absent(name) for name in ATTRIBUTES)],
    "present": [Present("other")],
    "equals": [
        *(Equals("other", value) for value in (None, "", 0, False)),
        *(
            Equals(name, value)
            for name in ATTRIBUTES
            for value in OTHER_VALUES
            if (name, value) != ("nothing", None)
        ),
        Equals("numbers", frozenset({1, 2})),
        Equals("list", ["a", 1, None]),
        Equals("list", [True, "a", None]),
        Equals("map", {"x": 1}),
        Equals("map", {"x": True, "y": ["z"]}),
        Equals("true", 1),
    ],
    "one_of": [
        OneOf("number", ("5", 6, True)),
        OneOf("text", ("four", "")),
        OneOf("true", (1,)),
        OneOf("other", (None, "", 0)),
    ],
    "less_than": [
        LessThan("number", 5),
        LessThan("number", -6),
        *(LessThan(name, 10**30) for name in [*ATTRIBUTES, "other"] if name != "number"),
    ],
    "lacks": [Lacks("numbers", 1), Lacks("numbers", 12), Lacks("texts", "a")],
    "all_of": [
        AllOf((Present(), Present("other"))),
        AllOf((Absent(),)),
        AllOf((Equals("number", 5), Absent())),
    ],
    "any_of": [AnyOf((Absent(), Present("other"))), AnyOf((LessThan("number", 5),))],
}


async def held(table: Table, condition: Condition, key: Key = KEY) -> bool:
    """Whether an update on the condition went through; the item stays as it was."""
    try:
        await table.update(key, [Set("number", 5)], condition)
    except ConditionFailed:
        return False
    return True


@pytest.mark.parametrize("kind", HOLD)
async def test_conditions_that_hold(table: Table, kind: str) -> None:
    await table.put(ITEM)

    assert [condition for condition in HOLD[kind] if not await held(table, condition)] == []


@pytest.mark.parametrize("kind", FAIL)
async def test_conditions_that_fail(table: Table, kind: str) -> None:
    await table.put(ITEM)

    assert [condition for condition in FAIL[kind] if await held(table, condition)] == []


async def test_conditions_on_an_item_that_does_not_exist(table: Table) -> None:
    failing: list[Condition] = [
        Present(),
        Present("number"),
        Equals("number", 5),
        Equals("number", None),
        OneOf("number", (5, None)),
        LessThan("number", 6),
        AllOf((Absent(), Present("number"))),
    ]
    holding: list[Condition] = [
        Absent(),
        Absent("number"),
        Lacks("numbers", 1),
        AllOf((Absent(), Lacks("texts", "a"))),
        AnyOf((Present(), Absent())),
    ]

    assert [condition for condition in failing if await held(table, condition)] == []
    assert await table.get(KEY) is None
    for number, condition in enumerate(holding):
        assert await held(table, condition, Key("new", str(number))), condition


async def test_numbers_compare_as_numbers(table: Table) -> None:
    await table.put({**ITEM, "number": 9})

    assert await held(table, LessThan("number", 10))
    assert await held(table, AllOf((Equals("number", 5), LessThan("number", 10**38 - 1))))
    assert not await held(table, LessThan("number", -(10**38 - 1)))


async def test_a_failed_put_leaves_the_item_and_returns_it(table: Table) -> None:
    await table.put(ITEM)

    with pytest.raises(ConditionFailed) as failure:
        await table.put({"pk": KEY.pk, "sk": KEY.sk, "new": 1}, Absent())

    assert failure.value.old == ITEM
    assert not failure.value.retryable
    assert await table.get(KEY) == ITEM


async def test_a_failed_update_leaves_the_item_and_returns_it(table: Table) -> None:
    await table.put(ITEM)

    with pytest.raises(ConditionFailed) as failure:
        await table.update(KEY, [Set("number", 6)], LessThan("number", 5))

    assert failure.value.old == ITEM
    assert await table.get(KEY) == ITEM


async def test_a_failed_delete_leaves_the_item_and_returns_it(table: Table) -> None:
    await table.put(ITEM)

    with pytest.raises(ConditionFailed) as failure:
        await table.delete(KEY, Equals("text", "four"))

    assert failure.value.old == ITEM
    assert await table.get(KEY) == ITEM


async def test_a_failure_where_no_item_is_returns_none(table: Table) -> None:
    with pytest.raises(ConditionFailed) as of_put:
        await table.put(ITEM, Present())
    with pytest.raises(ConditionFailed) as of_update:
        await table.update(KEY, [Set("number", 6)], Equals("number", 5))
    with pytest.raises(ConditionFailed) as of_delete:
        await table.delete(KEY, Present())

    assert [of_put.value.old, of_update.value.old, of_delete.value.old] == [None, None, None]
    assert await table.get(KEY) is None


async def test_writes_whose_condition_holds(table: Table) -> None:
    await table.put(ITEM, Absent())
    await table.put({**ITEM, "number": 6}, Equals("number", 5))
    await table.update(KEY, [Set("number", 7)], Equals("number", 6))
    await table.transact([Check(KEY, Equals("number", 7))])
    await table.delete(KEY, Equals("number", 7))

    assert await table.get(KEY) is None


async def test_checks_of_a_transaction(table: Table) -> None:
    await table.put(ITEM)

    await table.transact([Check(KEY, AllOf(tuple(conditions[0] for conditions in HOLD.values())))])
    with pytest.raises(TransactionFailed):
        await table.transact([Check(KEY, AnyOf(tuple(conditions[0] for conditions in FAIL.values())))])


MALFORMED: dict[str, tuple[type[Exception], Condition]] = {
    "float": (TypeError, Equals("number", 5.0)),
    "float_among_alternatives": (TypeError, OneOf("number", (5, 5.0))),
    "float_to_compare": (TypeError, LessThan("number", 5.5)),  # type: ignore[arg-type]
    "truth_to_compare": (TypeError, LessThan("number", True)),
    "float_member": (TypeError, Lacks("numbers", 5.5)),  # type: ignore[arg-type]
    "empty_set": (ValueError, Equals("numbers", frozenset())),
    "no_alternatives": (ValueError, OneOf("number", ())),
    "many_alternatives": (ValueError, OneOf("number", tuple(range(101)))),
    "all_of_none": (ValueError, AllOf(())),
    "any_of_none": (ValueError, AnyOf((Present(), AnyOf(())))),
}


@pytest.mark.parametrize("case", MALFORMED)
async def test_malformed_conditions_are_refused(table: Table, case: str) -> None:
    error, condition = MALFORMED[case]
    await table.put(ITEM)

    with pytest.raises(error):
        await table.update(KEY, [Set("number", 6)], condition)
    with pytest.raises(error):
        await table.put(ITEM, condition)
    with pytest.raises(error):
        await table.delete(KEY, condition)
    with pytest.raises(error):
        await table.transact([Check(KEY, condition)])

    assert await table.get(KEY) == ITEM
