"""The embedded backend's file: several processes, processes that die, and files that cannot be used."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import pytest

from karman_core.backends.embedded import MEMORY, Durability, EmbeddedBackend
from karman_core.backends.system import SystemClock, SystemEntropy
from karman_core.domain.errors import BackendError, KarmanError, Throttled, Unavailable
from karman_core.ports.queue import Outgoing
from karman_core.ports.table import Add, Key, Query
from tests.contract import embedded_writer
from tests.contract.embedded_writer import QUEUE, SHARED, pair


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


@contextmanager
def writer(path: Path, name: str, rounds: int | None = None) -> Iterator[subprocess.Popen[str]]:
    """A process that writes; killed at the end, if it is still there."""
    arguments = [
        sys.executable,
        embedded_writer.__file__,
        str(path),
        name,
        *([str(rounds)] if rounds else []),
    ]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def lines(process: subprocess.Popen[str]) -> IO[str]:
    assert process.stdout is not None
    return process.stdout


# --- several processes ------------------------------------------------------------------------------------------------


async def test_processes_that_write_at_once_lose_nothing(path: Path) -> None:
    names, rounds = ["a", "b", "c"], 60
    with ExitStack() as running:
        writers = [running.enter_context(writer(path, name, rounds)) for name in names]
        printed = [lines(process).read().split() for process in writers]
        assert [process.wait(60) for process in writers] == [0, 0, 0]

    assert printed == [[str(number) for number in range(rounds)]] * 3
    backend = open_backend(path)
    shared = await backend.table.get(SHARED)
    assert shared is not None
    assert shared["total"] == rounds * 3
    assert shared["members"] == {f"{name}-{number}" for name in names for number in range(rounds)}
    assert len(await received(backend)) == rounds * 3 * 3
    backend.close()
    check_integrity(path)


async def test_what_one_process_sends_another_one_waits_for(backend: EmbeddedBackend, path: Path) -> None:
    await backend.queue.create(QUEUE)
    with writer(path, "a", 1):
        (message, *_) = await backend.queue.receive(QUEUE, wait_seconds=20)

    assert message.body.startswith("a-0")


# --- processes that die -----------------------------------------------------------------------------------------------


async def test_a_writer_killed_at_any_moment_loses_and_breaks_nothing(path: Path) -> None:
    acknowledged: dict[str, int] = {}
    with writer(path, "survivor") as survivor:
        for attempt in range(12):
            name = f"victim-{attempt}"
            with writer(path, name) as victim:
                for _ in range(1 + attempt * attempt):  # later and later, each at another point of a round
                    lines(victim).readline()
                acknowledged[name] = killed(victim)
        acknowledged["survivor"] = killed(survivor)

    check_integrity(path)
    backend = open_backend(path)
    bodies = await received(backend)
    for name, number in acknowledged.items():
        await check_writer(backend, name, number, bodies)
    backend.close()
    check_integrity(path)


def killed(process: subprocess.Popen[str]) -> int:
    """Kill a writer that has acknowledged at least one round; returns the last."""
    last = int(lines(process).readline())
    process.send_signal(signal.SIGKILL)
    assert process.wait(20) == -signal.SIGKILL
    for line in lines(process):
        if line.endswith("\n"):
            last = int(line)
    return last


async def check_writer(backend: EmbeddedBackend, name: str, acknowledged: int, bodies: set[str]) -> None:
    """Everything that was acknowledged is there; at most one round more has begun; no transaction is there in parts."""
    items = (await backend.table.query(Query(name, prefix="0"))).items
    assert [int(item["sk"]) for item in items] == list(range(len(items)))
    assert acknowledged < len(items) <= acknowledged + 2
    shared = await backend.table.get(SHARED)
    assert shared is not None
    own = {member for member in shared["members"] if member.rpartition("-")[0] == name}
    assert len(own) == shared[name] > acknowledged
    left, right = await backend.table.get(pair(name)[0]), await backend.table.get(pair(name)[1])
    assert left is not None
    assert right is not None
    assert left["list"] == right["list"] == list(range(left["number"] + 1))
    for number in range(acknowledged + 1):
        assert {f"{name}-{number}", f"{name}-{number}-again", f"{name}-{number}-timer"} <= bodies
        assert await backend.blobs.get(f"{name}/{number}") == f"{name}-{number}".encode() * 1000


async def received(backend: EmbeddedBackend) -> set[str]:
    """The bodies of all messages, each of which arrives once."""
    bodies: list[str] = []
    while messages := await backend.queue.receive(QUEUE, lease_seconds=600):
        bodies += [message.body for message in messages]
    assert len(bodies) == len(set(bodies))
    return set(bodies)


def check_integrity(path: Path) -> None:
    connection = sqlite3.connect(path)
    try:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    finally:
        connection.close()


# --- files that cannot be used ----------------------------------------------------------------------------------------


def refusal(path: Path | str) -> KarmanError:
    with pytest.raises(KarmanError) as refused:
        open_backend(path)
    return refused.value


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
        [sys.executable, "-c", script, str(path)], check=True, capture_output=True, text=True, timeout=30
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
