"""The embedded backend: every port on one SQLite file, or in memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from karman_core.backends.embedded.blobs import FileStore, MemoryStore, SQLiteBlobs
from karman_core.backends.embedded.database import BUSY_SECONDS, Database, Durability
from karman_core.backends.embedded.events import SQLiteEvents
from karman_core.backends.embedded.queue import SQLiteQueue
from karman_core.backends.embedded.schedules import SQLiteSchedules
from karman_core.backends.embedded.sealing import KeyFileSeal, NoSeal
from karman_core.backends.embedded.secrets import SQLiteSecrets
from karman_core.backends.embedded.table import SQLiteTable
from karman_core.backends.embedded.timers import SQLiteTimers
from karman_core.backends.embedded.wakeups import Wakeups
from karman_core.ports.system import Clock, Entropy

EVENT_RETENTION_MS = 30 * 86_400_000
"""Thirty days, as long as the items of a run are kept."""


@dataclass(frozen=True, slots=True)
class EmbeddedBackend:
    """Every port, ready to use; from several threads, and from several processes that each open the file.

    Beside the file PATH live PATH-wal and PATH-shm (SQLite's log), PATH.blobs (large payloads) and PATH.key (opens the
    secrets). To copy it, stop what uses it and take all of them.
    """

    table: SQLiteTable
    queue: SQLiteQueue
    timers: SQLiteTimers
    schedules: SQLiteSchedules
    secrets: SQLiteSecrets
    blobs: SQLiteBlobs
    events: SQLiteEvents
    database: Database

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        clock: Clock,
        entropy: Entropy,
        durability: Durability = "process",
        busy_seconds: float = BUSY_SECONDS,
    ) -> Self:
        """Open the file, or make it.

        Args:
            path: of the file, in a directory that exists; ":memory:" for a backend that is gone when it is closed and,
                with a clock and entropy that are reproducible, is so itself.
            clock: what time it is; delays, leases and timers follow it.
            entropy: where ids of messages come from.
            durability: what an acknowledged write survives: "process" the death of any process, "power" also that of
                the machine (each write then waits for the disk).
            busy_seconds: how long a call waits for other processes before it raises Throttled.

        Raises:
            BackendError: the file is damaged, of a newer Karman, or no database of Karman.
            Unavailable: it cannot be opened or written.
        """
        database = Database(str(path), durability=durability, busy_seconds=busy_seconds)
        wakeups = Wakeups()
        return cls(
            table=SQLiteTable(database),
            queue=SQLiteQueue(database, wakeups, clock=clock, entropy=entropy),
            timers=SQLiteTimers(database, wakeups),
            schedules=SQLiteSchedules(database),
            secrets=SQLiteSecrets(
                database, NoSeal() if database.in_memory else KeyFileSeal(database, Path(f"{path}.key"))
            ),
            blobs=SQLiteBlobs(
                database,
                MemoryStore()
                if database.in_memory
                else FileStore(Path(f"{path}.blobs"), entropy=entropy, flush=durability == "power"),
            ),
            events=SQLiteEvents(database),
            database=database,
        )

    def purge(self, now_ms: int) -> None:
        """Remove what has had its time; to be called now and then, by whoever keeps the file open for long."""
        self.table.purge_expired(now_ms)
        self.queue.purge()
        self.events.purge(now_ms - EVENT_RETENTION_MS)

    def close(self) -> None:
        """Close the file; nothing of the backend can be used afterwards."""
        self.database.close()
