"""Which messages of a queue come first.

Who receives takes messages whose hiding has ended (delayed ones, leases that ran out, timers) in the order of time, and
messages that were ready all along, half of each when there are many of both.

Ready messages are taken by rank. A message's rank is one more than that of the message of its fair group before it, but
not less than the lowest in the queue (start-time fair queueing). So a run that has sent 100,000 messages does not keep
another run's first message waiting, and without groups the order is that of sending.
"""

from __future__ import annotations

import sqlite3

_DUE = "SELECT seq FROM messages WHERE queue = ? AND hidden_until <= ? ORDER BY hidden_until, seq LIMIT ?"
_READY = "SELECT seq FROM messages WHERE queue = ? AND hidden_until IS NULL ORDER BY rank, seq LIMIT ?"
_LOWEST_RANK = "SELECT min(rank) FROM messages WHERE queue = ? AND hidden_until IS NULL"
_RANK = "SELECT rank FROM fair_groups WHERE queue = ? AND name = ?"
_SET_RANK = """
    INSERT INTO fair_groups (queue, name, rank) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET rank = excluded.rank
"""
_FORGET = "DELETE FROM fair_groups WHERE queue = ?"
_FORGET_SERVED = "DELETE FROM fair_groups WHERE queue = ? AND rank < ?"


def choose(connection: sqlite3.Connection, queue_id: int, now_ms: int, limit: int) -> list[int]:
    """The `seq` of the messages to deliver, in order."""
    due = [seq for (seq,) in connection.execute(_DUE, (queue_id, now_ms, limit))]
    ready = [seq for (seq,) in connection.execute(_READY, (queue_id, limit))]
    share = max((limit + 1) // 2, limit - len(ready))
    return [*due[:share], *ready][:limit]


class Ranks:
    """The ranks that the fair groups of one send reach; used inside its transaction."""

    def __init__(self, connection: sqlite3.Connection, queue_id: int) -> None:
        self._connection = connection
        self._queue_id = queue_id
        self._last: dict[str, int] = {}
        lowest = connection.execute(_LOWEST_RANK, (queue_id,)).fetchone()[0]
        self._lowest: int = lowest or 0
        if lowest is None:  # nobody waits, so nobody is ahead of anybody
            connection.execute(_FORGET, (queue_id,))

    def next(self, group: str | None) -> int:
        """The rank of the group's next message; messages without a group are a group of their own."""
        name = group or ""
        last = self._last.get(name)
        if last is None:
            row = self._connection.execute(_RANK, (self._queue_id, name)).fetchone()
            last = -1 if row is None else int(row[0])
        rank = self._last[name] = max(last + 1, self._lowest)
        return rank

    def save(self) -> None:
        """Write them down for the next send."""
        self._connection.executemany(_SET_RANK, [(self._queue_id, *entry) for entry in self._last.items()])


def forget_served(connection: sqlite3.Connection) -> None:
    """Remove what is kept of groups that have nothing left in their queue."""
    for (queue_id,) in connection.execute("SELECT DISTINCT queue FROM fair_groups").fetchall():
        lowest = connection.execute(_LOWEST_RANK, (queue_id,)).fetchone()[0]
        if lowest is None:
            connection.execute(_FORGET, (queue_id,))
        else:
            connection.execute(_FORGET_SERVED, (queue_id, lowest))
