"""A copy of a database file and what lies beside it, made while others use it; looked through before it counts.

The copy is a database file like any other: to restore it is to put it where the other one was.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from karman_core.backends.checks import Level
from karman_core.backends.embedded.blobs import blob_path
from karman_core.backends.embedded.database import Database
from karman_core.backends.embedded.failures import is_full
from karman_core.backends.embedded.inspection import integrity, readable_rows
from karman_core.domain.errors import BackendError, Conflict, Unavailable

_SECRET_MODE = 0o600


@dataclass(frozen=True, slots=True)
class Copied:
    """What a backup has.

    Attributes:
        path: of the copy; its payloads and the key of its secrets are in `.blobs` and `.key` beside it.
        size: bytes of the copy and its payloads.
        payloads: how many large payloads were copied.
        missing: payloads that the database names and that are not there.
    """

    path: Path
    size: int
    payloads: int
    missing: int


def back_up(database: Database, target: Path) -> Copied:
    """Copy the database as it stands at one moment, then the payloads, which are never changed, and the key.

    Raises:
        Conflict: there is something at the target.
        BackendError: the database is damaged; there is no copy.
        Unavailable: the target cannot be written.
    """
    source = Path(database.path)
    if database.in_memory:
        raise BackendError("a database in memory has no file to copy")
    parts = [_beside(target, suffix) for suffix in ("", "-wal", "-shm", ".blobs", ".key")]
    for part in parts:
        if part.exists():
            raise Conflict(f"There is {part} already; name another file, or move it away.")
    unfinished = target.with_name(f"{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _copy_rows(database, unfinished)
        _check(unfinished, source)
        copied, missing = _copy_payloads(unfinished, _beside(source, ".blobs"), _beside(target, ".blobs"))
        _copy_key(_beside(source, ".key"), _beside(target, ".key"))
        size = unfinished.stat().st_size
        unfinished.replace(target)
    except BaseException as error:
        _clear(unfinished, _beside(target, ".blobs"), _beside(target, ".key"))
        if isinstance(error, OSError):
            raise Unavailable(
                f"{target} cannot be written: {error.strerror}; check the folder, and the disk"
            ) from error
        raise
    return Copied(target, size + sum(copied), len(copied), missing)


def _copy_rows(database: Database, target: Path) -> None:
    target.unlink(missing_ok=True)
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _SECRET_MODE))
    with database.read() as connection:
        try:
            connection.execute("VACUUM INTO ?", (str(target),))
        except sqlite3.OperationalError as error:
            if is_full(error):
                place = target.with_suffix("")
                raise Unavailable(
                    f"{place} cannot be written; check the disk and the space left on it"
                ) from error
            raise
    with target.open("rb+") as file:
        os.fsync(file.fileno())


def _check(copy: Path, source: Path) -> None:
    with closing(sqlite3.connect(f"file:{copy}?mode=ro", uri=True)) as connection:
        for found in (integrity(connection), readable_rows(connection)):
            if found.level is Level.PROBLEM:
                raise BackendError(
                    f"{source} is damaged, so no backup was made: {found.text}; keep it, and go back to the last backup"
                    " (docs/operate.md)"
                )


def _copy_payloads(copy: Path, source: Path, target: Path) -> tuple[list[int], int]:
    """The sizes of those that were copied, and how many were not there (deleted by a purge since, or lost)."""
    with closing(sqlite3.connect(f"file:{copy}?mode=ro", uri=True)) as connection:
        names = [str(name) for (name,) in connection.execute("SELECT name FROM blobs")]
    sizes, missing = [], 0
    for name in names:
        into = blob_path(target, name)
        into.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(blob_path(source, name), into)
        except FileNotFoundError:
            missing += 1
        else:
            sizes.append(into.stat().st_size)
    return sizes, missing


def _copy_key(source: Path, target: Path) -> None:
    if source.exists():
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _SECRET_MODE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(source.read_bytes())


def _clear(*parts: Path) -> None:
    for part in parts:
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            with suppress(OSError):
                part.unlink()


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(f"{path.name}{suffix}")
