"""The timer port on SQLite: rows that become messages when somebody receives from their queue."""

from __future__ import annotations

from karman_core.backends.embedded.database import Database
from karman_core.backends.embedded.wakeups import Wakeups
from karman_core.backends.limits import check_messages, check_timer_name
from karman_core.ports.queue import Outgoing
from karman_core.ports.timers import Timer


class SQLiteTimers:
    """All timers of one file."""

    def __init__(self, database: Database, wakeups: Wakeups) -> None:
        self._database = database
        self._wakeups = wakeups

    async def set(self, timer: Timer) -> None:
        """Make or replace the timer."""
        check_timer_name(timer.name)
        check_messages([Outgoing(timer.body)])
        with self._database.write() as connection:
            connection.execute(
                "INSERT INTO timers (name, queue, at_ms, body) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
                " queue = excluded.queue, at_ms = excluded.at_ms, body = excluded.body",
                (timer.name, timer.queue, timer.at_ms, timer.body),
            )
        self._wakeups.wake(timer.queue)  # it may be due already

    async def cancel(self, name: str) -> None:
        """Forget the timer; no error when it does not exist or has fired."""
        with self._database.write() as connection:
            connection.execute("DELETE FROM timers WHERE name = ?", (name,))
