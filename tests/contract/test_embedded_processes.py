"""The embedded backend in several processes, some of which are killed in the middle of what they do."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO

import pytest

from karman_core.backends.embedded import Durability, EmbeddedBackend
from karman_core.backends.system import SystemClock, SystemEntropy
from karman_core.ports.queue import Incoming
from karman_core.ports.table import Query
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
        assert [process.wait(100) for process in writers] == [0, 0, 0]

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
        messages: list[Incoming] = []
        async with asyncio.timeout(100):  # a process takes its time to start
            while not messages:
                messages = await backend.queue.receive(QUEUE, wait_seconds=20)

    assert messages[0].body.startswith("a-0")


# --- processes that die -----------------------------------------------------------------------------------------------


async def test_a_writer_killed_at_any_moment_loses_and_breaks_nothing(path: Path) -> None:
    acknowledged: dict[str, int] = {}
    with writer(path, "survivor") as survivor:
        for attempt in range(8):
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
    assert process.wait(60) == -signal.SIGKILL
    for line in lines(process):
        if line.endswith("\n"):
            last = int(line)
    return last


async def check_writer(backend: EmbeddedBackend, name: str, acknowledged: int, bodies: set[str]) -> None:
    """Everything that was acknowledged is there; at most one round more has begun; no transaction is there in parts."""
    rounds = await rounds_in_table(backend, name)
    assert rounds == list(range(len(rounds)))
    assert acknowledged < len(rounds) <= acknowledged + 2
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


async def rounds_in_table(backend: EmbeddedBackend, name: str) -> list[int]:
    query = Query(name, prefix="0")
    rounds: list[int] = []
    while True:
        page = await backend.table.query(query)
        rounds += [int(item["sk"]) for item in page.items]
        if page.cursor is None:
            return rounds
        query = replace(query, cursor=page.cursor)


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
