"""The queue port on SQLite: rows that are ready or hidden until a time. Who comes first is in `fairness`."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from karman_core.backends.embedded.database import Database
from karman_core.backends.embedded.fairness import Ranks, choose, forget_served
from karman_core.backends.embedded.wakeups import Wakeups
from karman_core.backends.limits import MAX_RECEIVE, check_lease, check_messages, check_receive
from karman_core.domain.errors import NotFound
from karman_core.ports.queue import Depth, Incoming, Outgoing
from karman_core.ports.system import Clock, Entropy

_FIRST_PAUSE_SECONDS = 0.005
_LONGEST_PAUSE_SECONDS = 0.05
"""Between looks for messages of other processes; sends of this process wake at once."""

_TIMERS_AT_ONCE = 100

_RECEIPT = re.compile(r"([0-9]{1,18})\.([0-9]{1,9})\.(.+)")

_HAS_DUE = """
    SELECT EXISTS (SELECT 1 FROM messages WHERE queue = :queue AND hidden_until IS NULL)
        OR EXISTS (SELECT 1 FROM messages WHERE queue = :queue AND hidden_until <= :now)
        OR EXISTS (SELECT 1 FROM timers WHERE queue = :name AND at_ms <= :now)
"""
_INSERT = """
    INSERT INTO messages (queue, hidden_until, rank, receives, sent_ms, id, body) VALUES (?, ?, ?, 0, ?, ?, ?)
"""
_LEASE = "UPDATE messages SET hidden_until = ?, receives = receives + 1"
_LEASED = "RETURNING seq, id, body, receives, sent_ms"
_DELIVERED = "queue = ? AND seq = ? AND receives = ? AND id = ?"
"""The message of a receipt, if it was not delivered again since."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that was buried.

    Attributes:
        seq: its place among the dead letters of all queues, in the order of burying.
    """

    seq: int
    id: str
    body: str
    reason: str
    receive_count: int
    sent_ms: int
    buried_ms: int


class SQLiteQueue:
    """All task queues of one file."""

    def __init__(self, database: Database, wakeups: Wakeups, *, clock: Clock, entropy: Entropy) -> None:
        self._database = database
        self._wakeups = wakeups
        self._clock = clock
        self._entropy = entropy
        self._ids: dict[str, int] = {}  # queues are never removed, so what was read once stays true

    async def create(self, queue: str) -> None:
        """Make the queue unless it exists."""
        if queue not in self._ids:
            with self._database.write() as connection:
                connection.execute("INSERT INTO queues (name) VALUES (?) ON CONFLICT DO NOTHING", (queue,))

    async def send(self, queue: str, messages: Sequence[Outgoing]) -> None:
        """Send any number of messages in one transaction. Raises ItemTooLarge before sending any."""
        check_messages(messages)
        queue_id = self._id(queue)
        if messages:
            with self._database.write() as connection:
                self._insert(connection, queue_id, messages)
            self._wakeups.wake(queue)

    async def receive(
        self, queue: str, *, limit: int = MAX_RECEIVE, wait_seconds: float = 0.0, lease_seconds: int = 60
    ) -> list[Incoming]:
        """Up to `limit` messages, hidden from others for the lease."""
        check_receive(limit, wait_seconds)
        check_lease(lease_seconds)
        queue_id = self._id(queue)
        until_ms = self._clock.now_ms() + round(wait_seconds * 1000)
        pause = _FIRST_PAUSE_SECONDS
        # Nothing below waits while there are messages; without this turn a worker that always finds some would keep
        # its event loop from everything else.
        await asyncio.sleep(0)
        while True:
            # Listening begins before looking, so that no send falls in between.
            with self._wakeups.listen(queue) as sent:
                received = self._take(queue, queue_id, limit, lease_seconds)
                left = (until_ms - self._clock.now_ms()) / 1000
                if received or left <= 0:
                    return received
                await self._rest(sent, min(pause, left))
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    async def extend(self, queue: str, receipts: Sequence[str], lease_seconds: int) -> list[str]:
        """Make each lease end `lease_seconds` from now. Returns the receipts that are stale or whose lease ended."""
        check_lease(lease_seconds)
        queue_id = self._id(queue)
        now = self._clock.now_ms()
        statement = f"UPDATE messages SET hidden_until = ? WHERE {_DELIVERED} AND hidden_until > ?"  # noqa: S608
        stale = []
        with self._database.write() as connection:
            for receipt in receipts:
                arguments = (now + lease_seconds * 1000, queue_id, *_parts(receipt), now)
                if not connection.execute(statement, arguments).rowcount:
                    stale.append(receipt)
        if lease_seconds == 0:
            self._wakeups.wake(queue)
        return stale

    async def delete(self, queue: str, receipts: Sequence[str]) -> None:
        """Remove messages for good; stale receipts remove nothing."""
        queue_id = self._id(queue)
        with self._database.write() as connection:
            connection.executemany(
                f"DELETE FROM messages WHERE {_DELIVERED}",  # noqa: S608
                [(queue_id, *_parts(receipt)) for receipt in receipts],
            )

    async def bury(self, queue: str, message: Incoming, reason: str) -> None:
        """Move a message to the dead letters; nothing happens if it was delivered again or removed since."""
        queue_id = self._id(queue)
        with self._database.write() as connection:
            arguments = (queue_id, *_parts(message.receipt))
            if connection.execute(f"DELETE FROM messages WHERE {_DELIVERED}", arguments).rowcount:  # noqa: S608
                connection.execute(
                    "INSERT INTO dead_letters (queue, id, body, reason, receives, sent_ms, buried_ms)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (
                        queue_id,
                        message.id,
                        message.body,
                        reason,
                        message.receive_count,
                        message.sent_ms,
                        self._clock.now_ms(),
                    ),
                )

    async def depth(self, queue: str) -> Depth:
        """How many messages the queue holds; timers are not among them."""
        queue_id = self._id(queue)
        with self._database.read() as connection:
            ready, hidden, delayed = connection.execute(
                "SELECT (SELECT count(*) FROM messages WHERE queue = :queue AND hidden_until IS NULL)"
                " + (SELECT count(*) FROM messages WHERE queue = :queue AND hidden_until <= :now),"
                " (SELECT count(*) FROM messages WHERE queue = :queue AND hidden_until > :now),"
                " (SELECT count(*) FROM messages WHERE queue = :queue AND hidden_until > :now AND receives = 0)",
                {"queue": queue_id, "now": self._clock.now_ms()},
            ).fetchone()
        return Depth(ready=ready, delayed=delayed, in_flight=hidden - delayed)

    def queues(self) -> list[str]:
        """The names of all queues, sorted."""
        with self._database.read() as connection:
            return [name for (name,) in connection.execute("SELECT name FROM queues ORDER BY name")]

    def dead_letters(self, queue: str) -> list[DeadLetter]:
        """What was buried, oldest first."""
        queue_id = self._id(queue)
        with self._database.read() as connection:
            found = connection.execute(
                "SELECT seq, id, body, reason, receives, sent_ms, buried_ms FROM dead_letters WHERE queue = ?"
                " ORDER BY seq",
                (queue_id,),
            )
            return [DeadLetter(*row) for row in found]

    def purge_dead_letters(self, queue: str) -> int:
        """Forget what was buried; returns how many."""
        queue_id = self._id(queue)
        with self._database.write() as connection:
            return connection.execute("DELETE FROM dead_letters WHERE queue = ?", (queue_id,)).rowcount

    def purge(self) -> None:
        """Forget the fair groups that have no messages left, which queues that are never empty would gather."""
        with self._database.write() as connection:
            forget_served(connection)

    def _id(self, queue: str) -> int:
        known = self._ids.get(queue)
        if known is None:
            with self._database.read() as connection:
                row = connection.execute("SELECT id FROM queues WHERE name = ?", (queue,)).fetchone()
            if row is None:
                raise NotFound(f"there is no queue {queue!r}; a worker of its runtime creates it")
            known = self._ids[queue] = int(row[0])
        return known

    def _insert(self, connection: sqlite3.Connection, queue_id: int, messages: Sequence[Outgoing]) -> None:
        now = self._clock.now_ms()
        ranks = Ranks(connection, queue_id)
        connection.executemany(
            _INSERT,
            [
                (
                    queue_id,
                    now + round(message.delay_seconds * 1000),
                    0,
                    now,
                    self._entropy.token(),
                    message.body,
                )
                if message.delay_seconds
                else (
                    queue_id,
                    None,
                    ranks.next(message.fair_group),
                    now,
                    self._entropy.token(),
                    message.body,
                )
                for message in messages
            ],
        )
        ranks.save()

    def _take(self, queue: str, queue_id: int, limit: int, lease_seconds: int) -> list[Incoming]:
        now = self._clock.now_ms()
        with self._database.read() as connection:  # so that those who find nothing do not write
            arguments = {"queue": queue_id, "name": queue, "now": now}
            if not connection.execute(_HAS_DUE, arguments).fetchone()[0]:
                return []
        with self._database.write() as connection:
            self._fire_timers(connection, queue, queue_id, now)
            chosen = choose(connection, queue_id, now, limit)
            lease = f"{_LEASE} WHERE seq IN ({', '.join('?' * len(chosen))}) {_LEASED}"
            rows = connection.execute(lease, (now + lease_seconds * 1000, *chosen)).fetchall()
        rows.sort(key=lambda row: chosen.index(row[0]))
        return [
            Incoming(
                id=message_id,
                body=body,
                receipt=f"{seq}.{receives}.{message_id}",
                receive_count=receives,
                sent_ms=sent_ms,
            )
            for seq, message_id, body, receives, sent_ms in rows
        ]

    def _fire_timers(self, connection: sqlite3.Connection, queue: str, queue_id: int, now: int) -> None:
        due = connection.execute(
            "SELECT name, at_ms, body FROM timers WHERE queue = ? AND at_ms <= ? ORDER BY at_ms LIMIT ?",
            (queue, now, _TIMERS_AT_ONCE),
        ).fetchall()
        for name, at_ms, body in due:
            connection.execute("DELETE FROM timers WHERE name = ?", (name,))
            connection.execute(_INSERT, (queue_id, at_ms, 0, now, self._entropy.token(), body))

    async def _rest(self, sent: asyncio.Event, seconds: float) -> None:
        """Wait for a send of this process, or some time."""
        both = [asyncio.ensure_future(sent.wait()), asyncio.ensure_future(self._clock.sleep(seconds))]
        try:
            done, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            for each in done:
                each.result()
        finally:
            for each in both:
                each.cancel()


def _parts(receipt: str) -> tuple[int, int, str]:
    """The columns that a receipt names; for a text that is no receipt, those of no message."""
    match = _RECEIPT.fullmatch(receipt)
    return (int(match[1]), int(match[2]), match[3]) if match else (-1, -1, "")
