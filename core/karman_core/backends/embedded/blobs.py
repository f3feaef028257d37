"""The blob port: files beside the database, each named by the hash of its blob's name.

A hash, because blob names may be longer than file names, differ in case only, or be the beginning of one another, and
file systems mind all three. The row in the database finds blobs by the beginning of their names. A file is written
under another name and then renamed, so nobody sees half of one, whenever the writer dies.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from karman_core.backends.embedded.database import Database
from karman_core.backends.embedded.queries import after_prefix
from karman_core.backends.limits import check_blob_name, check_blob_prefix
from karman_core.domain.errors import NotFound, Unavailable
from karman_core.ports.system import Entropy

_FOR_ITS_OWNER = 0o700


class _Store(Protocol):
    """Where the bytes are."""

    def write(self, name: str, data: bytes) -> None: ...

    def read(self, name: str) -> bytes: ...

    def remove(self, name: str) -> None: ...


class MemoryStore:
    """The bytes of a database in memory."""

    def __init__(self) -> None:
        self._blobs: dict[str, bytes] = {}

    def write(self, name: str, data: bytes) -> None:
        """Keep the bytes."""
        self._blobs[name] = data

    def read(self, name: str) -> bytes:
        """Raises FileNotFoundError."""
        try:
            return self._blobs[name]
        except KeyError:
            raise FileNotFoundError(name) from None

    def remove(self, name: str) -> None:
        """Forget them; no error when there are none."""
        self._blobs.pop(name, None)


class FileStore:
    """One file a blob, in 256 directories."""

    def __init__(self, directory: Path, *, entropy: Entropy, flush: bool) -> None:
        self._directory = directory
        self._entropy = entropy
        self._flush = flush

    def write(self, name: str, data: bytes) -> None:
        """Write the file and rename it into place."""
        path = self._path(name)
        temporary = path.with_name(f"{self._entropy.token()}.tmp")
        self._directory.mkdir(mode=_FOR_ITS_OWNER, parents=True, exist_ok=True)
        path.parent.mkdir(exist_ok=True)
        try:
            with temporary.open("wb") as file:
                file.write(data)
                if self._flush:
                    file.flush()
                    os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        if self._flush:
            _flush_directory(path.parent)

    def read(self, name: str) -> bytes:
        """Raises FileNotFoundError."""
        return self._path(name).read_bytes()

    def remove(self, name: str) -> None:
        """Remove the file; no error when there is none."""
        self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return blob_path(self._directory, name)


def blob_path(directory: Path, name: str) -> Path:
    """Where the file of a blob is."""
    digest = hashlib.sha256(name.encode("ascii", "replace")).hexdigest()
    return directory / digest[:2] / digest


class SQLiteBlobs:
    """All blobs of one database."""

    def __init__(self, database: Database, store: _Store) -> None:
        self._database = database
        self._store = store

    async def put(self, name: str, data: bytes) -> None:
        """Store, whether or not it is there already."""
        check_blob_name(name)
        with _translating(name):
            self._store.write(name, bytes(data))
        with self._database.write() as connection:
            connection.execute("INSERT INTO blobs (name) VALUES (?) ON CONFLICT DO NOTHING", (name,))

    async def get(self, name: str) -> bytes:
        """Raises NotFound."""
        check_blob_name(name)
        with _translating(name):
            return self._store.read(name)

    async def delete_prefix(self, prefix: str) -> None:
        """Remove every blob whose name begins with the prefix, which is not empty."""
        check_blob_prefix(prefix)
        between = (prefix, after_prefix(prefix))
        with self._database.read() as connection:
            names = connection.execute(
                "SELECT name FROM blobs WHERE name >= ? AND name < ?", between
            ).fetchall()
        for (name,) in names:
            with _translating(name):
                self._store.remove(name)
        # The rows go last: if the process dies before, the next call finds the files again.
        with self._database.write() as connection:
            connection.executemany("DELETE FROM blobs WHERE name = ?", names)


@contextmanager
def _translating(name: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise NotFound(f"there is no blob {name!r}") from error
    except OSError as error:
        raise Unavailable(
            f"the file of the blob {name!r} failed: {error.strerror}; check the disk, its space and your permissions"
        ) from error


def _flush_directory(directory: Path) -> None:
    """Make a rename survive a power cut, where the system can (not on Windows)."""
    if os.name == "nt":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
