"""The event port on SQLite: a list in the file that tests and the command line read."""

from __future__ import annotations

import json
from collections.abc import Sequence

from karman_core.backends.embedded.database import Database
from karman_core.ports.events import Event, Published

_PUBLISH = (
    "INSERT INTO events (id, kind, namespace, at_ms, detail) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)
_READ = "SELECT position, id, kind, namespace, at_ms, detail FROM events WHERE position > ? ORDER BY position LIMIT ?"


class SQLiteEvents:
    """All events of one file, each once, however often it was published."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def publish(self, events: Sequence[Event]) -> None:
        """Write the events down; one whose id is there already changes nothing."""
        rows = [
            (
                event.id,
                event.kind,
                event.namespace,
                event.at_ms,
                json.dumps(dict(event.detail), allow_nan=False),
            )
            for event in events
        ]
        with self._database.write() as connection:
            connection.executemany(_PUBLISH, rows)

    def read(self, after: int = 0, limit: int = 1000) -> list[Published]:
        """Events in the order of their first publication."""
        with self._database.read() as connection:
            return [
                Published(position, Event(event_id, kind, namespace, at_ms, json.loads(detail)))
                for position, event_id, kind, namespace, at_ms, detail in connection.execute(
                    _READ, (after, limit)
                )
            ]

    def purge(self, before_ms: int) -> int:
        """Forget events that happened before a time; returns how many."""
        with self._database.write() as connection:
            return connection.execute("DELETE FROM events WHERE at_ms < ?", (before_ms,)).rowcount
