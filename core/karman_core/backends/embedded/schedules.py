"""The schedule port on SQLite: the list of cron triggers. `karman dev` fires them."""

from __future__ import annotations

from collections.abc import Sequence

from karman_core.backends.embedded.database import Database
from karman_core.ports.timers import Schedule


class SQLiteSchedules:
    """All cron triggers of one file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, schedule: Schedule) -> None:
        """Make or replace."""
        with self._database.write() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO schedules (namespace, graph, name, cron, timezone, enabled)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (
                    schedule.namespace,
                    schedule.graph,
                    schedule.trigger,
                    schedule.cron,
                    schedule.timezone,
                    schedule.enabled,
                ),
            )

    async def delete(self, namespace: str, graph: str, trigger: str) -> None:
        """Remove; no error when it does not exist."""
        with self._database.write() as connection:
            connection.execute(
                "DELETE FROM schedules WHERE namespace = ? AND graph = ? AND name = ?",
                (namespace, graph, trigger),
            )

    async def list(self, namespace: str | None = None, graph: str | None = None) -> Sequence[Schedule]:
        """Every schedule, of a namespace, or of one of its graphs, sorted by namespace, graph and trigger."""
        if graph is not None and namespace is None:
            raise ValueError("a graph is named together with its namespace")
        with self._database.read() as connection:
            found = connection.execute(
                "SELECT namespace, graph, name, cron, timezone, enabled FROM schedules"
                " WHERE namespace = coalesce(?, namespace) AND graph = coalesce(?, graph)"
                " ORDER BY namespace, graph, name",
                (namespace, graph),
            )
            return [
                Schedule(namespace_, graph_, trigger, cron, timezone, bool(enabled))
                for namespace_, graph_, trigger, cron, timezone, enabled in found
            ]
