"""Items as rows: reading, storing and removing one by its key, inside the caller's transaction."""

from __future__ import annotations

import sqlite3

from karman_core.backends.embedded.items import decode, encode
from karman_core.ports.table import INDEXES, TTL_ATTRIBUTE, Item, Key, Value

_INDEX_COLUMNS = tuple(column for index in INDEXES for column in (index.pk, index.sk))
_COLUMNS = ("pk", "sk", "body", "size", "ttl", *_INDEX_COLUMNS)

_FIND = "SELECT body FROM items WHERE pk = ? AND sk = ?"
_REMOVE = "DELETE FROM items WHERE pk = ? AND sk = ?"
_STORE = (
    f"INSERT INTO items ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' for _ in _COLUMNS)})"  # noqa: S608
    " ON CONFLICT DO UPDATE SET "
    + ", ".join(f"{column} = excluded.{column}" for column in _COLUMNS if column not in {"pk", "sk"})
)


def find(connection: sqlite3.Connection, key: Key) -> dict[str, Value] | None:
    """The item at `key`, or None."""
    row = connection.execute(_FIND, (key[0], key[1])).fetchone()
    return None if row is None else decode(key[0], key[1], row[0])


def store(connection: sqlite3.Connection, item: Item, size: int) -> None:
    """Put a plain item, whatever was there."""
    ttl = item.get(TTL_ATTRIBUTE)
    values = [item["pk"], item["sk"], encode(item), size, ttl if type(ttl) is int else None]
    for index in INDEXES:
        # Sparse: an item with only one of the two attributes is not in the index.
        indexed = index.pk in item and index.sk in item
        values += (item[index.pk], item[index.sk]) if indexed else (None, None)
    connection.execute(_STORE, values)


def remove(connection: sqlite3.Connection, key: Key) -> None:
    """Remove the item at `key`, if there is one."""
    connection.execute(_REMOVE, (key[0], key[1]))
