"""The tables of the file, and the version that says which of them a file has."""

from __future__ import annotations

import sqlite3

from karman_core.domain.errors import BackendError

VERSION = 1
"""Counted up with every change below that an older Karman could not work with."""

APPLICATION_ID = 0x4B61726D
"""`Karm`: tells a database of Karman from any other (PRAGMA application_id; shown by the tool `file`)."""

_STATEMENTS = (
    # The table port. `size` is DynamoDB's size of the item, for the limit of a page.
    """
    CREATE TABLE items (
        pk TEXT NOT NULL, sk TEXT NOT NULL, body TEXT NOT NULL, size INTEGER NOT NULL, ttl INTEGER,
        by_time_pk TEXT, by_time_sk TEXT,
        by_graph_pk TEXT, by_graph_sk TEXT,
        unfinished_pk TEXT, unfinished_sk TEXT,
        PRIMARY KEY (pk, sk)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX items_by_time ON items (by_time_pk, by_time_sk) WHERE by_time_pk IS NOT NULL",
    "CREATE INDEX items_by_graph ON items (by_graph_pk, by_graph_sk) WHERE by_graph_pk IS NOT NULL",
    "CREATE INDEX items_unfinished ON items (unfinished_pk, unfinished_sk) WHERE unfinished_pk IS NOT NULL",
    "CREATE INDEX items_ttl ON items (ttl) WHERE ttl IS NOT NULL",
    # The queue port. A message is ready (`hidden_until` is null, ordered by `rank`) or hidden until a time, because it
    # is delayed or leased; it is in one of the two indexes.
    "CREATE TABLE queues (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
    """
    CREATE TABLE messages (
        seq INTEGER PRIMARY KEY, queue INTEGER NOT NULL, hidden_until INTEGER, rank INTEGER NOT NULL,
        receives INTEGER NOT NULL, sent_ms INTEGER NOT NULL, id TEXT NOT NULL, body TEXT NOT NULL
    )
    """,
    "CREATE INDEX messages_ready ON messages (queue, rank) WHERE hidden_until IS NULL",
    "CREATE INDEX messages_hidden ON messages (queue, hidden_until) WHERE hidden_until IS NOT NULL",
    # The rank of the last message that a fair group has in a queue; only while the queue has messages that are ready.
    """
    CREATE TABLE fair_groups (
        queue INTEGER NOT NULL, name TEXT NOT NULL, rank INTEGER NOT NULL, PRIMARY KEY (queue, name)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE dead_letters (
        seq INTEGER PRIMARY KEY, queue INTEGER NOT NULL, id TEXT NOT NULL, body TEXT NOT NULL, reason TEXT NOT NULL,
        receives INTEGER NOT NULL, sent_ms INTEGER NOT NULL, buried_ms INTEGER NOT NULL
    )
    """,
    "CREATE INDEX dead_letters_queue ON dead_letters (queue, seq)",
    # Timers are addressed by the queue's name: it may be created after them.
    """
    CREATE TABLE timers (
        name TEXT PRIMARY KEY, queue TEXT NOT NULL, at_ms INTEGER NOT NULL, body TEXT NOT NULL
    ) WITHOUT ROWID
    """,
    "CREATE INDEX timers_due ON timers (queue, at_ms)",
    """
    CREATE TABLE schedules (
        namespace TEXT NOT NULL, graph TEXT NOT NULL, name TEXT NOT NULL,
        cron TEXT NOT NULL, timezone TEXT NOT NULL, enabled INTEGER NOT NULL,
        PRIMARY KEY (namespace, graph, name)
    ) WITHOUT ROWID
    """,
    "CREATE TABLE secrets (scope TEXT NOT NULL, name TEXT NOT NULL, sealed BLOB NOT NULL, PRIMARY KEY (scope, name))",
    # The key file that the secrets need, by its fingerprint.
    "CREATE TABLE secret_keys (fingerprint TEXT NOT NULL)",
    # The data of a blob is a file of its own; the row is there to find it by the beginning of its name.
    "CREATE TABLE blobs (name TEXT PRIMARY KEY) WITHOUT ROWID",
    """
    CREATE TABLE events (
        position INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,
        namespace TEXT NOT NULL, at_ms INTEGER NOT NULL, detail TEXT NOT NULL
    )
    """,
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {VERSION}",
)


def is_current(connection: sqlite3.Connection, path: str) -> bool:
    """Whether the file has the tables of this version; False for an empty file.

    Raises:
        BackendError: the file belongs to a newer Karman or to another program.
    """
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    application = int(connection.execute("PRAGMA application_id").fetchone()[0])
    if application == APPLICATION_ID:
        if version > VERSION:
            raise BackendError(
                f"{path} was written by a newer Karman (its format is {version}, this one knows {VERSION});"
                " upgrade Karman, or name another file"
            )
        return True
    if version or application or connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
        raise BackendError(f"{path} is a SQLite database of another program; name another file")
    return False


def create(connection: sqlite3.Connection) -> None:
    """Make the tables, inside the caller's transaction."""
    for statement in _STATEMENTS:
        connection.execute(statement)
