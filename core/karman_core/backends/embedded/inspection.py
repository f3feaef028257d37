"""Looks at a database file: whether it is whole, and who can read it. Changes nothing."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from karman_core.backends.checks import Check, Level, ok, problem, warning
from karman_core.backends.embedded.database import Database
from karman_core.domain.errors import BackendError

LARGE_LOG_BYTES: Final = 256 * 1024 * 1024
_SHOWN: Final = 3


def inspect(database: Database) -> list[Check]:
    """What `karman doctor` looks at in a file; of one that is damaged, nothing else."""
    path = Path(database.path)
    whole = _integrity(database)
    if whole.level is Level.PROBLEM:
        return [whole]
    return [whole, _log(database, path), _size(path), *_modes(path)]


def _integrity(database: Database) -> Check:
    try:
        with database.read() as connection:
            said = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(10)")]
    except BackendError as error:
        return problem("integrity", "the file is damaged", error.message)
    if said == ["ok"]:
        return ok("integrity", "the file is whole")
    text = "; ".join(said[:_SHOWN])
    return problem(
        "integrity", f"the file is damaged: {text}", "stop what uses it, keep a copy, restore a backup"
    )


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
