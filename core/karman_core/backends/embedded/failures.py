"""SQLite's errors in Karman's words: what happened to the file, and what to do about it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from karman_core.domain.errors import BackendError, KarmanError, Throttled, Unavailable

_NO_TEXT = "Could not decode to UTF-8"
"""What Python says of a text that is none any more; SQLite has no code for it."""

_PRIMARY_CODE = 0xFF
"""The low byte of an extended result code is the primary one."""


@contextmanager
def translating(path: str) -> Iterator[None]:
    """Raise KarmanError for what SQLite reports about the file; mistakes in statements pass through as they are."""
    try:
        yield
    except sqlite3.Error as error:
        translated = _translated(error, path)
        if translated is None:
            raise
        raise translated from error


class Damaged(sqlite3.DatabaseError):
    """A row that SQLite reads and that is not as it was written: SQLite does not know what it holds."""

    sqlite_errorcode = sqlite3.SQLITE_CORRUPT


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another connection held a lock for too long."""
    return _code(error) in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def is_full(error: sqlite3.Error) -> bool:
    """Whether the disk, or a limit on the size of files, kept it from being written."""
    return _code(error) in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}


def _code(error: sqlite3.Error) -> int:
    if not hasattr(error, "sqlite_errorcode") and _NO_TEXT in str(error):
        return sqlite3.SQLITE_CORRUPT
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & _PRIMARY_CODE


def _translated(error: sqlite3.Error, path: str) -> KarmanError | None:
    if is_busy(error):
        return Throttled(
            f"another process keeps {path} locked; too many workers, or one that hangs in a write"
        )
    advice = _UNAVAILABLE.get(_code(error))
    if advice is not None:
        return Unavailable(f"{path} {advice} (SQLite: {error})")
    advice = _UNUSABLE.get(_code(error))
    return None if advice is None else BackendError(f"{path} {advice} (SQLite: {error})")


_UNAVAILABLE = {
    sqlite3.SQLITE_FULL: "cannot grow: the disk is full; free space and go on, what was acknowledged is not lost",
    sqlite3.SQLITE_READONLY: "cannot be written; check who owns the file and its directory, and their permissions",
    sqlite3.SQLITE_PERM: "cannot be written; check who owns the file and its directory, and their permissions",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened; check that its directory exists and that you may write there",
    sqlite3.SQLITE_IOERR: "cannot be read or written; check the disk and the space left on it",
}

_UNUSABLE = {
    sqlite3.SQLITE_NOTADB: (
        "is no SQLite database; name another file, or move this one away. If it was one, go back to a backup"
        " (docs/operate.md)"
    ),
    sqlite3.SQLITE_CORRUPT: (
        "is damaged; stop all that uses it, keep a copy, and go back to a backup (docs/operate.md), or save what can"
        " be read with `sqlite3 FILE .recover | sqlite3 NEW`"
    ),
}
