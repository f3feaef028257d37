"""The file and its connections.

SQLite calls run on the calling thread, in an event loop too: they take some tens of microseconds, less than handing
them to a thread would. A transaction begins and ends inside one call, never across an await. Writers of one process
queue up on a lock, writers of several processes on SQLite's own.

With durability "process" a commit is in the operating system's hands when it returns: it survives the death of any
process (SIGKILL too), but a power cut may take the last commits. "power" waits for the disk on each commit.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, Literal, TypeAlias, TypeVar

from karman_core.backends.embedded import schema
from karman_core.backends.embedded.failures import is_busy, translating
from karman_core.domain.errors import BackendError

Durability: TypeAlias = Literal["process", "power"]

_T = TypeVar("_T")

MEMORY: Final = ":memory:"

BUSY_SECONDS: Final = 10.0
"""How long a call waits for another process's write before it gives up with Throttled."""

_MINIMUM_SQLITE = (3, 35, 0)
"""The first with RETURNING."""

_NAP_SECONDS = 0.0005
"""Between attempts to begin a write. With SQLite's own waiting (naps of up to 100 ms) eight busy processes had single
writes wait for a second; with this 25 ms, at the same throughput."""

_LOG_BYTES = 64 * 1024 * 1024
"""The log file is cut back to this when it once was longer."""

_FOR_ITS_OWNER = 0o600
"""A new file is nobody else's to read, and SQLite gives its log the mode of the file."""


class Database:
    """Connections to one file, or the one connection of a database in memory."""

    def __init__(self, path: str, *, durability: Durability, busy_seconds: float = BUSY_SECONDS) -> None:
        """Open the file, and make its tables if it is new. Raises BackendError or Unavailable, saying what to do."""
        if sqlite3.sqlite_version_info < _MINIMUM_SQLITE:
            raise BackendError(f"this Python has SQLite {sqlite3.sqlite_version}; Karman needs 3.35 or newer")
        self.path = path
        self.in_memory = path == MEMORY
        self._durability = durability
        self._busy_seconds = busy_seconds
        self._process = os.getpid()
        self._closed = threading.Event()
        # One writer at a time anyway; a lock hands over at once, where SQLite would poll. A database in memory has but
        # this one connection, so reading takes the lock as well.
        self._lock = threading.Lock()
        self._readers: deque[sqlite3.Connection] = deque()
        if not self.in_memory:
            _make_private(path)
        with translating(path):
            self._writer = self._patiently(self._open_writer)

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A connection to read with, each statement for itself."""
        self._check_open()
        if self.in_memory:
            with self._lock, translating(self.path):
                yield self._writer
            return
        with translating(self.path):
            # A pool rather than one connection a thread: those of threads that ended would stay open until the end.
            try:
                connection = self._readers.pop()
            except IndexError:
                connection = self._connect(self._busy_seconds)
            try:
                yield connection
            finally:
                self._readers.append(connection)
                if self._closed.is_set():
                    self._close_readers()

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A connection in a transaction that is committed at the end, and taken back if an error passes through."""
        with self._lock, translating(self.path):
            self._check_open()
            self._patiently(self._begin)
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close every connection; the last process to do so also tidies up the log."""
        self._closed.set()
        if os.getpid() == self._process:
            with self._lock:
                self._close_readers()
                self._writer.close()

    def _close_readers(self) -> None:
        while self._readers:
            self._readers.popleft().close()

    def _check_open(self) -> None:
        if self._closed.is_set():
            raise BackendError(f"{self.path} was closed")
        if os.getpid() != self._process:
            raise BackendError(f"{self.path} was opened before this process was forked; open it afterwards")

    def _connect(self, wait_seconds: float) -> sqlite3.Connection:
        # No isolation level: this module begins and ends transactions itself. Any thread may use a connection, one at
        # a time, which is what SQLite asks for.
        connection = sqlite3.connect(
            self.path, timeout=wait_seconds, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute(f"PRAGMA synchronous = {'FULL' if self._durability == 'power' else 'NORMAL'}")
            connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
            connection.execute("PRAGMA temp_store = MEMORY")
        except BaseException:
            connection.close()
            raise
        return connection

    def _open_writer(self) -> sqlite3.Connection:
        connection = self._connect(wait_seconds=0)
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _begin(self) -> None:
        if self._writer.in_transaction:  # an interrupt hit the moment after the last one began
            self._writer.execute("ROLLBACK")
        self._writer.execute("BEGIN IMMEDIATE")

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Switch to a write-ahead log, with which readers do not wait for the writer, and make the tables."""
        # Looked at before anything is changed: the file may be a stranger's.
        is_new = not schema.is_current(connection, self.path)
        if not self.in_memory:
            mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            if mode != "wal":
                raise BackendError(f"{self.path} cannot have a write-ahead log; is it on a network drive?")
        if is_new:
            connection.execute("BEGIN IMMEDIATE")
            if not schema.is_current(connection, self.path):  # another process may have been quicker
                schema.create(connection)
            connection.execute("COMMIT")

    def _patiently(self, attempt: Callable[[], _T]) -> _T:
        """Repeat an attempt while another process holds the lock."""
        waited = 0.0
        while True:
            try:
                return attempt()
            except sqlite3.OperationalError as error:
                if not is_busy(error) or waited >= self._busy_seconds:
                    raise
            time.sleep(_NAP_SECONDS)
            waited += _NAP_SECONDS


def _make_private(path: str) -> None:
    """Make a file that is not there yet. If that cannot be, SQLite says why, or another process was quicker."""
    with suppress(OSError, ValueError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, _FOR_ITS_OWNER))
