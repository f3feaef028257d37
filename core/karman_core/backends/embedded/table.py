"""The table port on SQLite: DynamoDB's semantics over rows of one JSON text each."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

from karman_core.backends.embedded import conditions, queries, rows, transactions
from karman_core.backends.embedded.actions import applied, checked
from karman_core.backends.embedded.database import Database
from karman_core.backends.values import (
    MAX_PARTITION_KEY_BYTES,
    MAX_SORT_KEY_BYTES,
    check_key,
    check_size,
    plain_item,
)
from karman_core.domain.errors import ConditionFailed
from karman_core.ports.table import Action, Condition, Consumed, Item, Key, Page, Query, Write

_ROWS_A_TRANSACTION = 200
"""Long jobs let other writers in after so many rows, that is some milliseconds."""


class SQLiteTable:
    """The items of one file."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._counting = threading.Lock()
        self.consumed = Consumed()

    async def get(self, key: Key, *, consistent: bool = True) -> Item | None:  # noqa: ARG002 - always is
        """The item at `key`, or None."""
        self._count("get")
        _check_key(key)
        with self._database.read() as connection:
            return rows.find(connection, key)

    async def batch_get(self, keys: Iterable[Key], *, consistent: bool = True) -> dict[Key, Item]:  # noqa: ARG002
        """The items that exist among any number of keys."""
        self._count("batch_get")
        found: dict[Key, Item] = {}
        wanted = dict.fromkeys(keys)
        for key in wanted:
            _check_key(key)
        with self._database.read() as connection:
            for key in wanted:
                item = rows.find(connection, key)
                if item is not None:
                    found[key] = item
        return found

    async def put(self, item: Item, condition: Condition | None = None) -> None:
        """Replace the item. Raises ConditionFailed with the old item; ItemTooLarge over 400 KB."""
        self._count("put")
        conditions.check(condition)
        new = plain_item(item)
        size = check_size(new)
        with self._database.write() as connection:
            if condition is not None:
                _require(condition, rows.find(connection, Key(new["pk"], new["sk"])))
            rows.store(connection, new, size)

    async def update(self, key: Key, actions: Sequence[Action], condition: Condition | None = None) -> Item:
        """Change the item and return it as it is now. Raises ConditionFailed with the old item; ItemTooLarge."""
        self._count("update")
        _check_key(key)
        conditions.check(condition)
        plain = checked(actions)
        with self._database.write() as connection:
            old = rows.find(connection, key)
            _require(condition, old)
            new = applied(plain, old, key)
            rows.store(connection, new, check_size(new))
        return new

    async def delete(self, key: Key, condition: Condition | None = None) -> None:
        """Remove the item. Raises ConditionFailed with the old item."""
        self._count("delete")
        _check_key(key)
        conditions.check(condition)
        with self._database.write() as connection:
            if condition is not None:
                _require(condition, rows.find(connection, key))
            rows.remove(connection, key)

    async def batch_write(self, puts: Iterable[Item] = (), deletes: Iterable[Key] = ()) -> None:
        """Unconditional writes, any number, each on another item. Raises ItemTooLarge before it writes any."""
        self._count("batch_write")
        new = [(item, check_size(item)) for item in map(plain_item, puts)]
        gone = list(deletes)
        for key in gone:
            _check_key(key)
        if len({*gone, *(Key(item["pk"], item["sk"]) for item, _ in new)}) < len(new) + len(gone):
            raise ValueError("a batch cannot touch one item twice: its writes have no order")
        for start in range(0, len(new), _ROWS_A_TRANSACTION):
            with self._database.write() as connection:
                for item, size in new[start : start + _ROWS_A_TRANSACTION]:
                    rows.store(connection, item, size)
        for start in range(0, len(gone), _ROWS_A_TRANSACTION):
            with self._database.write() as connection:
                for key in gone[start : start + _ROWS_A_TRANSACTION]:
                    rows.remove(connection, key)

    async def transact(self, writes: Sequence[Write]) -> None:
        """All writes or none, at most 100, each on another item. Raises TransactionFailed, ItemTooLarge."""
        self._count("transact")
        plain = transactions.checked(writes)
        with self._database.write() as connection:
            transactions.carry_out(connection, plain)

    async def query(self, query: Query) -> Page:
        """One page of a partition."""
        self._count("query")
        with self._database.read() as connection:
            return queries.read_page(connection, query)

    def purge_expired(self, now_ms: int) -> int:
        """Remove items whose `ttl` has passed, as DynamoDB does in the background; returns how many."""
        removed = 0
        while True:
            with self._database.write() as connection:
                gone = connection.execute(
                    "DELETE FROM items WHERE (pk, sk) IN (SELECT pk, sk FROM items WHERE ttl < ? LIMIT ?)",
                    (now_ms // 1000, _ROWS_A_TRANSACTION),
                ).rowcount
            removed += gone
            if gone < _ROWS_A_TRANSACTION:
                return removed

    def _count(self, call: str) -> None:
        with self._counting:
            self.consumed.calls[call] = self.consumed.calls.get(call, 0) + 1


def _require(condition: Condition | None, item: Item | None) -> None:
    if not conditions.holds(condition, item):
        raise ConditionFailed("the condition of the write does not hold", item)


def _check_key(key: Key) -> None:
    check_key("pk", key[0], MAX_PARTITION_KEY_BYTES)
    check_key("sk", key[1], MAX_SORT_KEY_BYTES)
