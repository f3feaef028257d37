"""Transactions: all or nothing, and who lost."""

from __future__ import annotations

import pytest

from karman_core.domain.errors import ItemTooLarge, TransactionConflict, TransactionFailed
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
    Remove,
    Set,
    Table,
    Update,
    Write,
)
from tests.contract.backends import Faults

A, B, C, D = (Key("p", name) for name in "abcd")
ALL = [A, B, C, D]


def item(key: Key, **attributes: object) -> Item:
    return {"pk": key.pk, "sk": key.sk, **attributes}


async def test_every_kind_of_write_together(table: Table) -> None:
    await table.batch_write(puts=[item(key, n=1) for key in (B, C, D)])

    await table.transact(
        [
            Put(item(A, n=2), Absent()),
            Update(B, (Add("n", 1), Set("new", "x")), Equals("n", 1)),
            Delete(C, Present()),
            Check(D, Equals("n", 1)),
        ]
    )

    assert await table.batch_get(ALL) == {A: item(A, n=2), B: item(B, n=2, new="x"), D: item(D, n=1)}


async def test_writes_without_conditions(table: Table) -> None:
    await table.put(item(A, n=1))

    await table.transact([Put(item(A, n=2)), Update(B, (Set("n", 2),)), Delete(C)])

    assert await table.batch_get(ALL) == {A: item(A, n=2), B: item(B, n=2)}


async def test_a_failure_says_which_and_shows_the_old_items(table: Table) -> None:
    before = {key: item(key, n=1) for key in (A, B, D)}
    await table.batch_write(puts=before.values())

    with pytest.raises(TransactionFailed) as failure:
        await table.transact(
            [
                Put(item(A, n=2), Absent()),
                Update(B, (Add("n", 1),), Equals("n", 1)),
                Update(C, (Add("n", 1),), Present()),
                Check(D, Equals("n", 2)),
                Put(item(Key("p", "e"))),
            ]
        )

    assert failure.value.failed == (0, 2, 3)
    assert failure.value.old == (before[A], None, None, before[D], None)
    assert not failure.value.retryable
    assert await table.batch_get([*ALL, Key("p", "e")]) == before


@pytest.mark.parametrize("loser", range(4))
async def test_one_failed_condition_stops_everything(table: Table, loser: int) -> None:
    before = {key: item(key, n=1) for key in ALL}
    await table.batch_write(puts=before.values())
    conditions = [Equals("n", 2 if index == loser else 1) for index in range(4)]

    with pytest.raises(TransactionFailed) as failure:
        await table.transact(
            [
                Put(item(A, n=2), conditions[0]),
                Update(B, (Remove("n"),), conditions[1]),
                Delete(C, conditions[2]),
                Check(D, conditions[3]),
            ]
        )

    assert failure.value.failed == (loser,)
    assert await table.batch_get(ALL) == before


async def test_a_hundred_writes(table: Table) -> None:
    keys = [Key("many", f"{number:03}") for number in range(101)]

    await table.transact([Put(item(key)) for key in keys[:100]])
    with pytest.raises(ValueError, match="100"):
        await table.transact([Delete(key) for key in keys])

    assert len(await table.batch_get(keys)) == 100


REFUSED: dict[str, list[Write]] = {
    "nothing": [],
    "one_item_twice": [Put(item(A, n=2)), Check(A, Present())],
    "update_without_action": [Update(A, ())],
    "update_of_a_key": [Update(A, (Set("sk", "b"),))],
    "sum_with_a_text": [Put(item(B)), Update(A, (Add("text", 1),))],
}


@pytest.mark.parametrize("case", REFUSED)
async def test_malformed_transactions_are_refused(table: Table, case: str) -> None:
    before = {A: item(A, n=1, text="x")}
    await table.put(before[A])

    with pytest.raises(ValueError, match=r".+"):
        await table.transact(REFUSED[case])

    assert await table.batch_get(ALL) == before


async def test_an_update_that_makes_an_item_too_large_stops_everything(table: Table) -> None:
    before = {A: item(A, text="x" * 300_000)}
    await table.put(before[A])

    with pytest.raises(ItemTooLarge):
        await table.transact([Put(item(B)), Update(A, (Set("more", "x" * 200_000),))])

    assert await table.batch_get(ALL) == before


async def test_a_transaction_over_four_megabytes_is_refused(table: Table) -> None:
    keys = [Key("large", str(number)) for number in range(14)]

    with pytest.raises(ItemTooLarge):
        await table.transact([Put(item(key, text="x" * 330_000)) for key in keys])

    assert await table.batch_get(keys) == {}


async def test_a_conflict_can_be_tried_again(table: Table, faults: Faults) -> None:
    faults.conflict_next(1)

    with pytest.raises(TransactionConflict) as conflict:
        await table.transact([Put(item(A)), Put(item(B))])
    assert conflict.value.retryable
    assert await table.batch_get(ALL) == {}
    await table.transact([Put(item(A)), Put(item(B))])

    assert len(await table.batch_get(ALL)) == 2
