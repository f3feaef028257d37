"""Transactions of the table: all conditions are looked at before anything is written."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import assert_never

from karman_core.backends.embedded import actions, conditions, rows
from karman_core.backends.values import MAX_TRANSACTION_BYTES, MAX_TRANSACTION_WRITES, check_size, plain_item
from karman_core.domain.errors import ItemTooLarge, TransactionFailed
from karman_core.ports.table import Check, Delete, Item, Key, Put, Update, Write


def checked(writes: Sequence[Write]) -> list[Write]:
    """The writes with plain values.

    Raises:
        TypeError, ValueError: for values the table does not take, and for a number of writes other than 1 to 100 or two
            writes on one item.
    """
    if not 1 <= len(writes) <= MAX_TRANSACTION_WRITES:
        raise ValueError(f"a transaction has 1 to {MAX_TRANSACTION_WRITES} writes, not {len(writes)}")
    plain = [_plain_write(write) for write in writes]
    if len({_key(write) for write in plain}) < len(plain):
        raise ValueError("a transaction cannot touch one item twice")
    return plain


def carry_out(connection: sqlite3.Connection, writes: Sequence[Write]) -> None:
    """Do checked writes, or raise, upon which the caller takes everything back.

    Raises:
        TransactionFailed: conditions do not hold.
        ValueError, ItemTooLarge: a write whose condition holds cannot be done; goes before TransactionFailed, since
            doing the same again would not help, whatever becomes of the conditions.
    """
    failed: list[int] = []
    old: list[Item | None] = [None] * len(writes)
    total = 0
    for index, write in enumerate(writes):
        item = rows.find(connection, _key(write)) if _looks_at_old(write) else None
        if conditions.holds(write.condition, item):
            total += _write(connection, write, item)
        else:
            failed.append(index)
            old[index] = item
    if total > MAX_TRANSACTION_BYTES:
        raise ItemTooLarge(
            f"the items of the transaction hold {total} bytes; it takes {MAX_TRANSACTION_BYTES}"
        )
    if failed:
        raise TransactionFailed(
            f"the conditions of {len(failed)} of {len(writes)} writes do not hold", failed, old
        )


def _write(connection: sqlite3.Connection, write: Write, old: Item | None) -> int:
    """Do one write and return the size of the item after it."""
    match write:
        case Put():
            new = write.item
        case Update():
            new = actions.applied(write.actions, old, write.key)
        case Delete():
            rows.remove(connection, write.key)
            return 0
        case Check():
            return 0
        case _:
            assert_never(write)
    size = check_size(new)
    rows.store(connection, new, size)
    return size


def _plain_write(write: Write) -> Write:
    conditions.check(write.condition)
    match write:
        case Put():
            return Put(plain_item(write.item), write.condition)
        case Update():
            return Update(write.key, tuple(actions.checked(write.actions)), write.condition)
        case _:
            return write


def _looks_at_old(write: Write) -> bool:
    return write.condition is not None or isinstance(write, Update)


def _key(write: Write) -> Key:
    return Key(write.item["pk"], write.item["sk"]) if isinstance(write, Put) else write.key
