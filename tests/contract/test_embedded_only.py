"""The embedded backend's file: files that cannot be used, locks, durability, closing."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from karman_core.backends.embedded import MEMORY, Durability, EmbeddedBackend
from karman_core.backends.system import SystemClock, SystemEntropy
from karman_core.domain.errors import BackendError, KarmanError, Throttled, Unavailable
from karman_core.ports.queue import Outgoing
from karman_core.ports.table import Add, Key, Query, Set
from tests.contract.embedded_writer import QUEUE


def open_backend(
    path: Path | str, *, durability: Durability = "process", busy_seconds: float = 10
) -> EmbeddedBackend:
    return EmbeddedBackend.open(
        path, clock=SystemClock(), entropy=SystemEntropy(), durability=durability, busy_seconds=busy_seconds
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "karman.db"


@pytest.fixture
def backend(path: Path) -> Iterator[EmbeddedBackend]:
    opened = open_backend(path)
    yield opened
    opened.close()


# --- files that cannot be used ----------------------------------------------------------------------------------------


def refusal(path: Path | str) -> KarmanError:
    with pytest.raises(KarmanError) as refused:
        open_backend(path)
    return refused.value


async def test_what_is_made_is_for_its_owner_alone(backend: EmbeddedBackend, path: Path) -> None:
    await backend.blobs.put("runs/a/1", b"x" * 100)
    await backend.queue.create(QUEUE)

    made = {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}
    assert {name: mode & (stat.S_IRWXG | stat.S_IRWXO) for name, mode in made.items()} == dict.fromkeys(
        made, 0
    )
    assert {path.name, f"{path.name}-wal", f"{path.name}.blobs"} <= made.keys()


def test_a_file_of_a_newer_karman_is_refused(path: Path) -> None:
    open_backend(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 999")
    connection.close()
    before = path.read_bytes()

    error = refusal(path)

    assert type(error) is BackendError
    assert "newer Karman" in error.message
    assert "upgrade" in error.message
    assert path.read_bytes() == before


def test_a_database_of_another_program_is_refused_and_left_alone(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    before = path.read_bytes()

    assert "another program" in refusal(path).message
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused_and_left_alone(path: Path) -> None:
    path.write_text("nodes: []\n" * 1000)

    assert "is no SQLite database" in refusal(path).message
    assert path.read_text().startswith("nodes")


async def test_a_damaged_file_is_reported(path: Path) -> None:
    backend = open_backend(path)
    await backend.table.batch_write(
        puts=[{"pk": "p", "sk": f"{n:04}", "text": "x" * 900} for n in range(1000)]
    )
    backend.close()
    damage(path)
    backend = open_backend(path)

    with pytest.raises(BackendError, match="damaged") as damaged:
        await backend.table.batch_write(puts=[{"pk": "p", "sk": f"{n:04}"} for n in range(1000)])
    backend.close()

    assert "recover" in damaged.value.message
    assert not damaged.value.retryable


def damage(path: Path) -> None:
    """Overwrite a part of the file that SQLite does not read when it is opened."""
    content = bytearray(path.read_bytes())
    middle = slice(len(content) // 8, len(content) // 2)
    content[middle] = b"\xa5" * len(content[middle])
    path.write_bytes(content)


def test_a_path_without_a_directory(tmp_path: Path) -> None:
    error = refusal(tmp_path / "none" / "karman.db")

    assert isinstance(error, Unavailable)
    assert "directory exists" in error.message


def test_a_path_that_is_a_directory(tmp_path: Path) -> None:
    assert "cannot be opened" in refusal(tmp_path).message


WRITE_AS_ANOTHER_USER = """
import os, sys
os.setgid(65534)
os.setuid(65534)
from karman_core.backends.embedded import EmbeddedBackend
from karman_core.backends.system import SystemClock, SystemEntropy
from karman_core.domain.errors import Unavailable
try:
    EmbeddedBackend.open(sys.argv[1], clock=SystemClock(), entropy=SystemEntropy())
except Unavailable as error:
    print(error)
"""


def opened_without_rights(path: Path) -> str:
    """What opening says to a user who may not write there; only root has to become one."""
    if os.geteuid() != 0:
        return str(refusal(path))
    preload = (
        "import karman_core.backends.embedded, karman_core.backends.system"  # before it may not read the code
    )
    script = f"{preload}\n{WRITE_AS_ANOTHER_USER}"
    return subprocess.run(
        [sys.executable, "-c", script, str(path)], check=True, capture_output=True, text=True, timeout=100
    ).stdout


def test_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    directory = tmp_path / "locked"
    directory.mkdir()
    make_reachable(directory)
    directory.chmod(0o555)

    said = opened_without_rights(directory / "karman.db")

    directory.chmod(0o755)
    assert "check that its directory exists and that you may write there" in said


def test_a_file_that_cannot_be_written(path: Path) -> None:
    open_backend(path).close()
    make_reachable(path.parent)
    path.chmod(0o444)
    path.parent.chmod(0o555)

    said = opened_without_rights(path)

    path.parent.chmod(0o755)
    assert "cannot be" in said
    assert "check" in said


def make_reachable(directory: Path) -> None:
    """Let another user get as far as the directory: pytest makes its own ones for the owner alone."""
    for parent in directory.parents:
        mode = stat.S_IMODE(parent.stat().st_mode)
        if not mode & stat.S_IXOTH and "pytest" in str(parent):
            parent.chmod(mode | stat.S_IXOTH)


async def test_a_full_disk_loses_nothing(backend: EmbeddedBackend) -> None:
    await backend.table.put({"pk": "p", "sk": "before"})
    with backend.database.write() as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
    limit_pages(backend, pages + 2)

    with pytest.raises(Unavailable, match="disk is full"):
        await backend.table.put({"pk": "p", "sk": "large", "text": "x" * 100_000})
    assert await backend.table.get(Key("p", "large")) is None
    limit_pages(backend, 1_000_000)
    await backend.table.put({"pk": "p", "sk": "after"})

    items = (await backend.table.query(Query("p"))).items
    assert [item["sk"] for item in items] == ["after", "before"]


def limit_pages(backend: EmbeddedBackend, pages: int) -> None:
    """As if the disk had room for so many pages."""
    with backend.database.write() as connection:
        connection.execute(f"PRAGMA max_page_count = {pages}")


# --- locks, threads, durability ---------------------------------------------------------------------------------------


async def test_a_lock_that_lasts_is_throttling(backend: EmbeddedBackend, path: Path) -> None:
    impatient = open_backend(path, busy_seconds=0.05)
    await backend.table.put({"pk": "p", "sk": "s", "n": 1})

    with backend.database.write() as connection:
        connection.execute("DELETE FROM items")
        with pytest.raises(Throttled, match="locked") as throttled:
            await impatient.table.update(Key("p", "s"), [Add("n", 1)])
        assert throttled.value.retryable
        assert await impatient.table.get(Key("p", "s")) is not None  # readers do not wait for writers

    await impatient.table.update(Key("p", "s"), [Add("n", 1)])
    impatient.close()


async def test_an_error_in_a_write_takes_everything_back(backend: EmbeddedBackend) -> None:
    await backend.table.put({"pk": "p", "sk": "s"})

    with pytest.raises(ZeroDivisionError):
        fail_in_a_write(backend)

    assert await backend.table.get(Key("p", "s")) is not None


def fail_in_a_write(backend: EmbeddedBackend) -> None:
    with backend.database.write() as connection:
        connection.execute("DELETE FROM items")
        raise ZeroDivisionError


@pytest.mark.parametrize("durability", ["process", "power"])
async def test_durability(path: Path, durability: Durability) -> None:
    backend = open_backend(path, durability=durability)
    await backend.blobs.put("a/b", b"x")
    with backend.database.write() as connection:
        synchronous = connection.execute("PRAGMA synchronous").fetchone()[0]
        journal = connection.execute("PRAGMA journal_mode").fetchone()[0]
    backend.close()

    assert (journal, synchronous) == ("wal", {"process": 1, "power": 2}[durability])


@pytest.mark.parametrize("where", ["file", "memory"])
async def test_a_closed_backend_says_so(path: Path, where: str) -> None:
    backend = open_backend(path if where == "file" else MEMORY)
    await backend.queue.create(QUEUE)
    backend.close()
    backend.close()

    with pytest.raises(BackendError, match="closed"):
        await backend.table.get(Key("p", "s"))
    with pytest.raises(BackendError, match="closed"):
        await backend.queue.send(QUEUE, [Outgoing("a")])


def test_closing_leaves_one_file(path: Path) -> None:
    open_backend(path).close()

    assert [file.name for file in path.parent.iterdir()] == ["karman.db"]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_has_to_open_it_again(backend: EmbeddedBackend) -> None:
    child = os.fork()
    if child == 0:
        try:
            with backend.database.read():
                os._exit(1)
        except BackendError as error:
            os._exit(0 if "forked" in error.message else 2)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


async def test_an_attribute_without_a_name_is_refused(backend: EmbeddedBackend) -> None:
    with pytest.raises(ValueError, match="name of an attribute"):
        await backend.table.update(Key("p", "s"), [Set("", 1)])


async def test_items_expire_when_they_are_purged(backend: EmbeddedBackend) -> None:
    await backend.table.batch_write(
        puts=[
            {"pk": "p", "sk": f"{n:03}", "ttl": 1000 + n, "by_time_pk": "i", "by_time_sk": "1"}
            for n in range(500)
        ]
    )
    await backend.table.batch_write(puts=[{"pk": "q", "sk": "1"}, {"pk": "q", "sk": "2", "ttl": "never"}])

    assert backend.table.purge_expired(1_400_999) == 400

    assert len((await backend.table.query(Query("p"))).items) == 100
    assert len((await backend.table.query(Query("q"))).items) == 2
    assert backend.table.purge_expired(1_400_999) == 0
