"""The embedded table against DynamoDB Local, AWS's own: random calls, the same to both, have the same answers."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from karman_core.domain.errors import ConditionFailed, KarmanError, TransactionFailed
from karman_core.ports.table import (
    BY_TIME,
    Absent,
    Action,
    Add,
    AllOf,
    AnyOf,
    Append,
    Check,
    Condition,
    Delete,
    Equals,
    Key,
    Lacks,
    LessThan,
    OneOf,
    Present,
    Put,
    Query,
    Remove,
    Set,
    SetOnce,
    Table,
    Update,
    Write,
)
from tests.contract.backends import load

CALLS = 250
SEEDS = range(4)

INDEX_KEYS = [BY_TIME.pk, BY_TIME.sk]
"""They hold texts alone here: whether another value or a failed condition is seen first is nobody's promise."""

ATTRIBUTES = ["a", "b", "c", *INDEX_KEYS]
SETS: list[Any] = [frozenset({1}), frozenset({1, 2}), frozenset({"x"}), frozenset({"x", "1"})]
MEMBERS: list[int | str] = [1, 2, "x", "1"]
NUMBERS = [0, 1, 2, -1, 10**37, 10**38 - 1]
TEXTS = ["", "x", "xy", "1", "ä"]
VALUES: list[Any] = [
    *NUMBERS,
    *TEXTS,
    *SETS,
    None,
    True,
    False,
    b"x",
    b"",
    [],
    [1, "x"],
    [True, None],
    {},
    {"x": 1},
    {"x": [frozenset({1})]},
]


class Calls:
    """Random calls of the table."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def call(self) -> tuple[str, Callable[[Table], Any]]:
        """A description, and what does it to a table."""
        key, condition = self._key(), self._maybe_condition()
        item, actions, writes, query = self._item(key), self._actions(), self._writes(), self._query()
        calls: dict[str, Callable[[Table], Any]] = {
            f"put {item} if {condition}": lambda table: table.put(item, condition),
            f"update {key} by {actions} if {condition}": lambda table: table.update(key, actions, condition),
            f"delete {key} if {condition}": lambda table: table.delete(key, condition),
            f"get {key}": lambda table: table.get(key),
            f"transact {writes}": lambda table: table.transact(writes),
            f"{query}": lambda table: table.query(query),
        }
        weights = [3, 8, 1, 1, 3, 2]
        return self._random.choices(list(calls.items()), weights)[0]

    def _key(self) -> Key:
        return Key("p", self._random.choice("abc"))

    def _item(self, key: Key) -> dict[str, Any]:
        names = self._random.sample(ATTRIBUTES, self._random.randint(0, 4))
        return {"pk": key.pk, "sk": key.sk, **{name: self._value(name) for name in names}}

    def _value(self, attribute: str) -> Any:
        return self._random.choice(TEXTS[1:] if attribute in INDEX_KEYS else VALUES)

    def _actions(self) -> tuple[Action, ...]:
        return tuple(
            self._action(name) for name in self._random.sample(ATTRIBUTES, self._random.randint(1, 3))
        )

    def _action(self, attribute: str) -> Action:
        value = self._value(attribute)
        actions: list[Action] = [Set(attribute, value), SetOnce(attribute, value), Remove(attribute)]
        if attribute not in INDEX_KEYS:
            actions += [
                Add(attribute, self._random.choice([*SETS, *NUMBERS[:4]])),
                Append(attribute, tuple(self._random.sample(VALUES, self._random.randint(0, 2)))),
            ]
        return self._random.choice(actions)

    def _maybe_condition(self) -> Condition | None:
        return self._condition() if self._random.random() < 0.7 else None

    def _condition(self, depth: int = 0) -> Condition:
        name = self._random.choice([*ATTRIBUTES[:3], "pk"])
        conditions: list[Condition] = [
            Absent(name),
            Present(name),
            Equals(name, self._random.choice(VALUES)),
            OneOf(name, tuple(self._random.sample(VALUES, self._random.randint(1, 6)))),
            LessThan(name, self._random.choice(NUMBERS)),
            Lacks(name, self._random.choice(MEMBERS)),
        ]
        if depth < 2:
            inner = tuple(self._condition(depth + 1) for _ in range(self._random.randint(1, 3)))
            conditions += [AllOf(inner), AnyOf(inner)]
        return self._random.choice(conditions)

    def _writes(self) -> list[Write]:
        keys = self._random.sample([Key("p", name) for name in "abc"], self._random.randint(1, 3))
        return [self._write(key) for key in keys]

    def _write(self, key: Key) -> Write:
        writes: list[Write] = [
            Put(self._item(key), self._maybe_condition()),
            Update(key, self._actions(), self._maybe_condition()),
            Delete(key, self._maybe_condition()),
            Check(key, self._condition()),
        ]
        return self._random.choice(writes)

    def _query(self) -> Query:
        reverse, limit = self._random.random() < 0.5, self._random.choice([None, 1, 2, 5])
        if self._random.random() < 0.4:
            return Query(self._random.choice(TEXTS[1:]), index=BY_TIME, consistent=False, reverse=reverse)
        queries = [
            Query("p"),
            Query("p", prefix="b"),
            Query("p", first="b"),
            Query("p", last="b"),
            Query("p", first="a", last="b"),
        ]
        return replace(self._random.choice(queries), reverse=reverse, limit=limit)


async def answer(call: Callable[[Table], Any], table: Table) -> Any:
    """What a call returns or raises, in a form to compare."""
    try:
        returned = await call(table)
    except ConditionFailed as lost:
        return "ConditionFailed", lost.old
    except TransactionFailed as lost:
        return "TransactionFailed", lost.failed, lost.old
    except (KarmanError, ValueError, TypeError) as error:
        return type(error).__name__
    return rows(returned.items) if hasattr(returned, "cursor") else returned


def rows(items: Sequence[Any]) -> list[Any]:
    """Items by the sort key of the index and then by their own: where the former are equal, no order is promised."""
    return sorted(items, key=lambda item: (item.get(BY_TIME.sk) or "", item["sk"]))


@pytest.mark.java
@pytest.mark.parametrize("seed", SEEDS)
async def test_random_calls_have_the_same_answers(tmp_path: Path, seed: int) -> None:
    theirs, ours = load("dynamodb_local"), load("embedded_memory")
    reason = theirs.unavailable()
    if reason is not None:
        pytest.skip(reason)
    calls = Calls(seed)
    async with theirs.open_ports(tmp_path) as local, ours.open_ports(tmp_path) as embedded:
        assert local.table is not None
        assert embedded.table is not None
        for number in range(CALLS):
            description, call = calls.call()
            expected, actual = await answer(call, local.table), await answer(call, embedded.table)
            assert actual == expected, f"call {number}: {description}"
        everything = Query("p")
        assert await answer(lambda table: table.query(everything), local.table) == await answer(
            lambda table: table.query(everything), embedded.table
        )
