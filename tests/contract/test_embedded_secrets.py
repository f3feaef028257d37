"""The embedded backend's secrets: sealed in the file, the key beside it."""
# ruff: noqa: ASYNC220, ASYNC240 - nothing else runs on these tests' loops that files and processes could hold up

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from karman_core.backends.embedded import MEMORY, EmbeddedBackend
from karman_core.backends.system import SystemClock, SystemEntropy
from karman_core.domain.errors import BackendError, Unavailable

SCOPE = "default/digest"
VALUE = "correct horse battery staple"


def open_backend(path: Path | str) -> EmbeddedBackend:
    return EmbeddedBackend.open(path, clock=SystemClock(), entropy=SystemEntropy())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "karman.db"


@pytest.fixture
def key(path: Path) -> Path:
    return path.with_name("karman.db.key")


@pytest.fixture
def backend(path: Path) -> Iterator[EmbeddedBackend]:
    opened = open_backend(path)
    yield opened
    opened.close()


@pytest.fixture
async def sealed(path: Path) -> None:
    """A file with a secret in it."""
    backend = open_backend(path)
    await backend.secrets.put(SCOPE, {"a": VALUE, "b": "other"})
    backend.close()


async def test_the_key_is_made_for_the_first_secret(backend: EmbeddedBackend, key: Path) -> None:
    assert await backend.secrets.get(SCOPE, ["a"]) == {}
    assert not key.exists()

    await backend.secrets.put(SCOPE, {"a": VALUE})

    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert [file.name for file in key.parent.iterdir() if file.name.endswith(".tmp")] == []


async def test_the_file_does_not_show_values(sealed: None, path: Path) -> None:
    content = path.read_bytes()

    assert VALUE.encode() not in content
    assert SCOPE.encode() in content


async def test_another_process_reads_with_the_same_key(sealed: None, backend: EmbeddedBackend) -> None:
    assert await backend.secrets.get(SCOPE, ["a", "b"]) == {"a": VALUE, "b": "other"}


async def test_the_same_value_is_sealed_differently_each_time(backend: EmbeddedBackend, path: Path) -> None:
    await backend.secrets.put(SCOPE, {"a": VALUE, "b": VALUE})

    with backend.database.read() as connection:
        sealed = {row[0] for row in connection.execute("SELECT sealed FROM secrets")}
    assert len(sealed) == 2


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
async def test_a_key_that_others_can_use_is_refused(
    sealed: None, backend: EmbeddedBackend, key: Path, mode: int
) -> None:
    key.chmod(mode)

    with pytest.raises(BackendError, match="chmod 600"):
        await backend.secrets.get(SCOPE, ["a"])
    with pytest.raises(BackendError, match="chmod 600"):
        await backend.secrets.put(SCOPE, {"a": "new"})


async def test_a_missing_key_is_not_made_anew(sealed: None, backend: EmbeddedBackend, key: Path) -> None:
    key.unlink()

    with pytest.raises(BackendError, match="missing"):
        await backend.secrets.put(SCOPE, {"a": "new"})

    assert not key.exists()
    assert await backend.secrets.names(SCOPE) == ["a", "b"]


async def test_another_key_is_noticed(
    sealed: None, backend: EmbeddedBackend, key: Path, tmp_path: Path
) -> None:
    other = open_backend(tmp_path / "other.db")
    await other.secrets.put(SCOPE, {"a": "x"})
    other.close()
    (tmp_path / "other.db.key").replace(key)

    with pytest.raises(BackendError, match="is not the key") as wrong:
        await backend.secrets.get(SCOPE, ["a"])

    assert VALUE not in str(wrong.value)


@pytest.mark.parametrize("content", [b"", b"short", b"not base64 !!", b"QUJD\n"], ids=range(4))
async def test_a_file_that_holds_no_key(
    sealed: None, backend: EmbeddedBackend, key: Path, content: bytes
) -> None:
    key.write_bytes(content)

    with pytest.raises(BackendError, match="holds no key"):
        await backend.secrets.get(SCOPE, ["a"])


async def test_a_key_that_cannot_be_read(sealed: None, backend: EmbeddedBackend, key: Path) -> None:
    key.unlink()
    key.mkdir()

    with pytest.raises(Unavailable, match="cannot be read"):
        await backend.secrets.get(SCOPE, ["a"])


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE secrets SET sealed = (SELECT sealed FROM secrets WHERE name = 'a') WHERE name = 'b'",
        "UPDATE secrets SET scope = 'team/digest'",
        "UPDATE secrets SET sealed = x'00'",
        "UPDATE secrets SET sealed = zeroblob(60)",
    ],
    ids=["moved_to_another_name", "moved_to_another_scope", "cut_off", "overwritten"],
)
async def test_a_value_that_was_tampered_with_does_not_open(sealed: None, path: Path, change: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute(change)
    connection.commit()
    connection.close()
    backend = open_backend(path)

    with pytest.raises(BackendError, match="does not open") as refused:
        await backend.secrets.get("team/digest" if "team" in change else SCOPE, ["b"])
    backend.close()

    assert VALUE not in str(refused.value)


PUT_A_SECRET = """
import asyncio, sys
from karman_core.backends.embedded import EmbeddedBackend
from karman_core.backends.system import SystemClock, SystemEntropy
backend = EmbeddedBackend.open(sys.argv[1], clock=SystemClock(), entropy=SystemEntropy())
sys.stdin.readline()
asyncio.run(backend.secrets.put("default/digest", {sys.argv[2]: sys.argv[2]}))
backend.close()
"""


async def test_processes_that_need_a_key_at_once_share_one(path: Path) -> None:
    names = [f"process-{number}" for number in range(4)]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PUT_A_SECRET, str(path), name], stdin=subprocess.PIPE, text=True
        )
        for name in names
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.close()
    assert [process.wait(100) for process in processes] == [0] * 4

    backend = open_backend(path)
    assert await backend.secrets.get(SCOPE, names) == {name: name for name in names}
    backend.close()


async def test_without_the_package_cryptography(
    backend: EmbeddedBackend, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)
    in_memory = open_backend(MEMORY)

    await in_memory.secrets.put(SCOPE, {"a": VALUE})
    assert await in_memory.secrets.get(SCOPE, ["a"]) == {"a": VALUE}
    in_memory.close()
    with pytest.raises(BackendError, match="pip install"):
        await backend.secrets.put(SCOPE, {"a": VALUE})
    assert not key.exists()
