"""Looks at a database file: whether it is whole, and who can read it. Changes nothing.

SQLite's own check finds what is wrong with the file's structure. It has no checksums, so that a text which was
overwritten by another one of its length is for Karman to find: every item has to be readable.
"""

from __future__ import annotations

import json
import os
import sqlite3
import stat
from pathlib import Path
from typing import Final

from karman_core.backends.checks import Check, Level, ok, problem, warning
from karman_core.backends.embedded.blobs import blob_path
from karman_core.backends.embedded.database import Database
from karman_core.domain.errors import BackendError

LARGE_LOG_BYTES: Final = 256 * 1024 * 1024
_SHOWN: Final = 3
_RESTORE: Final = "stop what uses it, keep a copy, restore a backup (docs/operate.md)"


def inspect(database: Database) -> list[Check]:
    """What `karman doctor` looks at in a file; of one that is damaged, nothing else."""
    path = Path(database.path)
    try:
        with database.read() as connection:
            whole = integrity(connection)
            if whole.level is Level.PROBLEM:
                return [whole]
            rows = readable_rows(connection)
            payloads = _payloads(connection, path)
    except BackendError as error:
        return [problem("integrity", "the file is damaged", error.message)]
    return [whole, rows, payloads, _log(database, path), _size(path), *_modes(path)]


def integrity(connection: sqlite3.Connection) -> Check:
    """Whether the file's structure is whole, by SQLite."""
    said = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(10)")]
    if said == ["ok"]:
        return ok("integrity", "the file is whole")
    text = "; ".join(said[:_SHOWN])
    return problem("integrity", f"the file is damaged: {text}", _RESTORE)


def readable_rows(connection: sqlite3.Connection) -> Check:
    """Whether every item and every message is as it can have been written. Takes time: seconds for a million."""
    checked, damaged = 0, 0
    for table in ("items", "messages"):
        bodies = connection.execute(f"SELECT CAST(body AS BLOB) FROM {table}")  # noqa: S608
        for (body,) in bodies:
            checked += 1
            # Anybody may send to a queue what is no JSON; but not what is no text.
            damaged += not (_is_text(body) if table == "messages" else _is_object(body))
    if damaged:
        return problem("rows", f"{damaged:,} of {checked:,} rows are damaged", _RESTORE)
    return ok("rows", f"{checked:,} can be read")


def _is_text(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_object(body: bytes) -> bool:
    try:
        return isinstance(json.loads(body.decode()), dict)
    except (ValueError, RecursionError):
        return False


def _payloads(connection: sqlite3.Connection, path: Path) -> Check:
    folder = path.with_name(f"{path.name}.blobs")
    names = [str(name) for (name,) in connection.execute("SELECT name FROM blobs")]
    missing = [name for name in names if not blob_path(folder, name).is_file()]
    if missing:
        text = f"{len(missing):,} of {len(names):,} large payloads are not in {folder}, the first is {missing[0]}"
        return problem(
            "payloads", text, "put the folder back beside the file; it belongs to every copy of it"
        )
    return ok("payloads", f"{len(names):,} large ones, all there")


def _log(database: Database, path: Path) -> Check:
    with database.read() as connection:
        mode = str(connection.execute("PRAGMA journal_mode").fetchone()[0])
    if mode != "wal":
        advice = "move it to a disk of this machine: network file systems have no WAL"
        return problem("log", f"the journal's mode is {mode}, not wal", advice)
    size = _bytes(path.with_name(f"{path.name}-wal"))
    text = f"WAL, {_readable(size)}"
    if size > LARGE_LOG_BYTES:
        return warning("log", text, "a process keeps an old read open: stop and start what uses the file")
    return ok("log", text)


def _size(path: Path) -> Check:
    blobs = path.with_name(f"{path.name}.blobs")
    large = sum(_bytes(each) for each in blobs.rglob("*") if each.is_file()) if blobs.is_dir() else 0
    return ok("size", f"{_readable(_bytes(path))}, and {_readable(large)} of large payloads")


def _modes(path: Path) -> list[Check]:
    """Who else on the machine can use the files."""
    if os.name == "nt":
        return []
    key = path.with_name(f"{path.name}.key")
    found = []
    if key.is_file() and key.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        advice = f"chmod 600 {key}; then set the secrets again, with new values"
        found.append(problem("key file", "others can read the key of the secrets", advice))
    mode = path.stat().st_mode
    if mode & stat.S_IRWXO:
        text = f"everybody on this machine can read it ({stat.filemode(mode)})"
        found.append(warning("file mode", text, f"chmod 600 {path}, unless that is meant"))
    return found or [ok("file mode", stat.filemode(mode))]


def _bytes(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _readable(size: int) -> str:
    return f"{size / 1_048_576:,.1f} MB"
