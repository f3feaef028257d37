"""The guard before the engine's table: items of a later layout are neither read nor changed, on any backend."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from karman_core.domain.errors import ConditionFailed, NewerLayout, TransactionFailed
from karman_core.domain.layouts import ATTRIBUTE
from karman_core.engine.layout_table import LayoutTable
from karman_core.ports.table import (
    Absent,
    Add,
    Check,
    Delete,
    Equals,
    Item,
    Key,
    Present,
    Put,
    Query,
    Set,
    Table,
    Update,
)

KNOWN = 2
OLD, SAME, LATER, NEW = (Key("p", name) for name in ("a-old", "b-same", "c-later", "d-new"))
BEFORE: dict[Key, Item] = {
    OLD: {"pk": "p", "sk": OLD.sk, "n": 1},
    SAME: {"pk": "p", "sk": SAME.sk, "n": 1, ATTRIBUTE: KNOWN},
    LATER: {"pk": "p", "sk": LATER.sk, "n": 1, ATTRIBUTE: KNOWN + 1},
}

Call = Callable[[Table, Key], Awaitable[Any]]
CALLS: dict[str, Call] = {
    "get": lambda table, key: table.get(key),
    "batch_get": lambda table, key: table.batch_get([key]),
    "query": lambda table, key: table.query(Query(key.pk, prefix=key.sk)),
    "put": lambda table, key: table.put({**key._asdict(), "n": 2}),
    "put_if": lambda table, key: table.put({**key._asdict(), "n": 2}, Equals("n", 1)),
    "update": lambda table, key: table.update(key, [Add("n", 1)]),
    "update_if": lambda table, key: table.update(key, [Set("n", 5)], Equals("n", 1)),
    "delete": lambda table, key: table.delete(key),
    "delete_if": lambda table, key: table.delete(key, Present()),
    "transact_put": lambda table, key: table.transact([Put({**key._asdict(), "n": 2})]),
    "transact_update": lambda table, key: table.transact([Update(key, (Set("n", 2),), Equals("n", 1))]),
    "transact_delete": lambda table, key: table.transact([Delete(key)]),
    "transact_check": lambda table, key: table.transact(
        [Check(key, Equals("n", 1)), Put({"pk": "q", "sk": "x"})]
    ),
    "lost_put": lambda table, key: table.put({**key._asdict(), "n": 2}, Absent()),
}


@pytest.fixture
async def guarded(table: Table) -> LayoutTable:
    await table.batch_write(puts=BEFORE.values())
    return LayoutTable(table, KNOWN)


async def test_what_is_of_a_later_layout_is_left_alone(guarded: LayoutTable, table: Table) -> None:
    for name, call in CALLS.items():
        with pytest.raises(NewerLayout, match=r"'p c-later' .*layout 3; this one knows 2"):
            await call(guarded, LATER)
        assert await table.batch_get([*BEFORE, Key("q", "x")]) == BEFORE, name


async def test_what_is_known_is_read_and_changed(guarded: LayoutTable, table: Table) -> None:
    for name, call in CALLS.items():
        for key in (OLD, SAME):
            await table.batch_write(puts=BEFORE.values())
            if name != "lost_put":
                await call(guarded, key)


async def test_what_is_not_there_is_made(guarded: LayoutTable) -> None:
    assert await guarded.update(NEW, [Add("n", 1)]) == {"pk": "p", "sk": NEW.sk, "n": 1}
    await guarded.delete(NEW)
    await guarded.put({**NEW._asdict()}, Absent())
    await guarded.transact([Update(Key("q", "y"), (Set("n", 1),))])


async def test_conditions_that_fail_for_their_own_sake(guarded: LayoutTable) -> None:
    with pytest.raises(ConditionFailed) as lost:
        await guarded.update(SAME, [Add("n", 1)], Equals("n", 7))
    assert lost.value.old == BEFORE[SAME]
    with pytest.raises(TransactionFailed) as several:
        await guarded.transact([Update(OLD, (Set("n", 2),), Equals("n", 7)), Delete(SAME)])
    assert (several.value.failed, several.value.old[0]) == ((0,), BEFORE[OLD])
