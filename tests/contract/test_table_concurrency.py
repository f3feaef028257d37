"""Many writers at once, in threads with an event loop each: no update is lost."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from karman_core.domain.errors import ConditionFailed, TransactionConflict
from karman_core.ports.table import Absent, Add, Equals, Item, Key, Lacks, Set, Table, Update

WRITERS = 16
ROUNDS = 8
KEY = Key("shared", "item")


async def together(work: Callable[[int], Awaitable[None]], writers: int = WRITERS) -> None:
    """Run the work once in each of so many threads, all beginning at the same moment."""
    start = threading.Barrier(writers)

    def run(number: int) -> None:
        start.wait(timeout=100)
        asyncio.run(_awaited(work(number)))

    def run_all() -> None:
        with ThreadPoolExecutor(writers) as pool:
            list(pool.map(run, range(writers)))

    await asyncio.to_thread(run_all)


async def _awaited(work: Awaitable[None]) -> None:
    await work


async def stored(table: Table) -> Item:
    item = await table.get(KEY)
    assert item is not None
    return item


def old(lost: ConditionFailed) -> Mapping[str, Any]:
    assert lost.old is not None
    return lost.old


async def test_additions_to_one_number(table: Table) -> None:
    async def add(_: int) -> None:
        for _round in range(ROUNDS):
            await table.update(KEY, [Add("count", 1)])

    await together(add)

    assert (await stored(table))["count"] == WRITERS * ROUNDS


async def test_additions_to_one_set(table: Table) -> None:
    async def add(writer: int) -> None:
        for round_ in range(ROUNDS):
            await table.update(KEY, [Add("members", frozenset({writer * ROUNDS + round_})), Add("count", 1)])

    await together(add)

    item = await stored(table)
    assert item["members"] == frozenset(range(WRITERS * ROUNDS))
    assert item["count"] == WRITERS * ROUNDS


async def test_compare_and_set(table: Table) -> None:
    await table.put({"pk": KEY.pk, "sk": KEY.sk, "count": 0})

    async def increment(_: int) -> None:
        for _round in range(2):
            count = (await stored(table))["count"]
            while True:
                try:
                    await table.update(KEY, [Set("count", count + 1)], Equals("count", count))
                except ConditionFailed as lost:
                    count = old(lost)["count"]
                else:
                    break

    await together(increment)

    assert (await stored(table))["count"] == WRITERS * 2


async def test_one_writer_puts_the_item(table: Table) -> None:
    outcomes: list[object] = []

    async def put(writer: int) -> None:
        try:
            await table.put({"pk": KEY.pk, "sk": KEY.sk, "writer": writer}, Absent())
        except ConditionFailed as lost:
            outcomes.append(old(lost)["writer"])
        else:
            outcomes.append("won")

    await together(put)

    assert outcomes.count("won") == 1
    assert set(outcomes) == {"won", (await stored(table))["writer"]}


async def test_each_member_arrives_once(table: Table) -> None:
    arrived: list[int] = []
    seen: list[bool] = []

    async def arrive(writer: int) -> None:
        for member in range(ROUNDS):
            try:
                await table.update(
                    KEY, [Add("members", frozenset({member})), Add("count", 1)], Lacks("members", member)
                )
            except ConditionFailed as lost:
                seen.append(member in old(lost)["members"])
            else:
                arrived.append(member)

    await together(arrive)

    assert sorted(arrived) == list(range(ROUNDS))
    assert all(seen)
    assert (await stored(table))["count"] == ROUNDS


async def test_transactions_on_one_item(table: Table) -> None:
    done: list[int] = []

    async def move(writer: int) -> None:
        while True:
            try:
                await table.transact(
                    [
                        Update(KEY, (Add("count", 1),)),
                        Update(Key("shared", str(writer)), (Set("done", True),), Absent()),
                    ]
                )
            except TransactionConflict:
                await asyncio.sleep(0.01)
            else:
                done.append(writer)
                break

    await together(move, writers=6)

    assert (
        (await stored(table))["count"]
        == len(await table.batch_get([Key("shared", str(n)) for n in range(6)]))
        == 6
    )
    assert sorted(done) == list(range(6))
