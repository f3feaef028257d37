"""Batches: any number of reads or writes, whatever the service takes at once."""

from __future__ import annotations

import pytest

from karman_core.ports.table import Add, Key, Put, Query, Table
from tests.contract.backends import Faults

KEYS = [Key(f"p{number % 7}", f"{number:03}") for number in range(230)]


async def write(table: Table, keys: list[Key]) -> None:
    await table.batch_write(puts=[{"pk": key.pk, "sk": key.sk, "name": f"{key.pk}/{key.sk}"} for key in keys])


async def names(table: Table, keys: list[Key], *, consistent: bool = True) -> dict[Key, str]:
    found = await table.batch_get(keys, consistent=consistent)
    assert all((item["pk"], item["sk"]) == key for key, item in found.items())
    return {key: item["name"] for key, item in found.items()}


async def test_more_than_the_service_reads_or_writes_at_once(table: Table) -> None:
    await write(table, KEYS)

    expected = {key: f"{key.pk}/{key.sk}" for key in KEYS}
    assert await names(table, KEYS) == expected
    assert await names(table, KEYS, consistent=False) == expected


async def test_calls_are_counted(table: Table) -> None:
    await table.put({"pk": "p", "sk": "1"})
    await table.update(Key("p", "1"), [Add("n", 1)])
    await table.update(Key("p", "1"), [Add("n", 1)])
    await table.get(Key("p", "1"))
    await table.batch_get([Key("p", "1")])
    await table.batch_write(puts=[{"pk": "p", "sk": "2"}])
    await table.transact([Put({"pk": "p", "sk": "3"})])
    await table.query(Query("p"))
    await table.delete(Key("p", "1"))

    expected = dict.fromkeys(["put", "get", "batch_get", "batch_write", "transact", "query", "delete"], 1)
    assert table.consumed.calls == expected | {"update": 2}


async def test_missing_and_repeated_keys(table: Table) -> None:
    await write(table, KEYS[:3])

    assert set(await names(table, [*KEYS[:3], *KEYS[:3], Key("none", "none"), KEYS[200]])) == set(KEYS[:3])
    assert await table.batch_get([]) == {}
    assert await table.batch_get(iter(KEYS[:1])) == {KEYS[0]: await table.get(KEYS[0])}


async def test_puts_and_deletes_together(table: Table) -> None:
    await write(table, KEYS[:60])

    await table.batch_write(
        puts=({"pk": key.pk, "sk": key.sk, "name": "new"} for key in KEYS[40:80]), deletes=iter(KEYS[:40])
    )
    await table.batch_write()

    assert await names(table, KEYS) == dict.fromkeys(KEYS[40:80], "new")


async def test_deleting_what_does_not_exist(table: Table) -> None:
    await table.batch_write(deletes=KEYS[:30])
    await table.delete(KEYS[0])

    assert await table.batch_get(KEYS[:30]) == {}


async def test_a_batch_that_touches_an_item_twice_is_refused(table: Table) -> None:
    item = {"pk": "p", "sk": "s"}

    with pytest.raises(ValueError, match="twice"):
        await table.batch_write(puts=[item, {**item, "n": 1}])
    with pytest.raises(ValueError, match="twice"):
        await table.batch_write(puts=[item], deletes=[Key("p", "s")])

    assert await table.get(Key("p", "s")) is None


async def test_reads_that_the_service_left_are_repeated(table: Table, faults: Faults) -> None:
    await write(table, KEYS[:120])

    faults.leave_unprocessed(17)

    assert set(await names(table, KEYS[:120])) == set(KEYS[:120])


async def test_writes_that_the_service_left_are_repeated(table: Table, faults: Faults) -> None:
    faults.leave_unprocessed(11)
    await write(table, KEYS[:60])
    faults.leave_unprocessed(25)
    await table.batch_write(deletes=KEYS[:30])

    assert set(await names(table, KEYS[:60])) == set(KEYS[30:60])
