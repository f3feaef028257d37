"""A queue full of messages that are none of Karman's: real runs still end, and what is foreign is kept for people."""

from __future__ import annotations

import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from karman_core.backends.embedded import EmbeddedBackend
from karman_core.backends.system import SystemClock, SystemEntropy
from karman_core.ports.queue import Outgoing
from tests.deployments import HOME, Deployment, deployed
from tests.emulators import start_ministack, why_not_ministack
from tests.faults.graphs import WIDTH, expected
from tests.faults.processes import Stage, stage, wait_until
from tests.runtime.test_processes_on_aws import in_container, process, put_graphs, ready

FOREIGN, BATCH = 100_000, 5_000
RUNS = 20
BODIES = ("no json", "[1, 2]", '{"karman": 1}', '{"hello": "world"}', "ünïcode 👩🏽‍🚀", "x" * 200)
MEGABYTES = 100
"""Of memory, that a worker may take beside what it has at its start."""


def resident_mb(pid: int, what: str = "VmHWM") -> float:
    """The most memory that a process had (or has: VmRSS)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{what}:"):
            return int(line.split()[1]) / 1024
    raise AssertionError(what)


async def fill(database: Path, queue: str) -> None:
    """Put foreign messages into a queue."""
    backend = EmbeddedBackend.open(database, clock=SystemClock(), entropy=SystemEntropy())
    try:
        for first in range(0, FOREIGN, BATCH):
            await backend.queue.send(queue, [body(number) for number in range(first, first + BATCH)])
    finally:
        backend.close()


def body(number: int) -> Outgoing:
    return Outgoing(f"{number:06} {BODIES[number % len(BODIES)]}")


def counts(database: Path) -> tuple[int, int]:
    """Messages that are left, and dead letters."""
    with closing(sqlite3.connect(database)) as connection:
        [left] = connection.execute("SELECT count(*) FROM messages").fetchone()
        [dead] = connection.execute("SELECT count(*) FROM dead_letters").fetchone()
    return int(left), int(dead)


def the_queue(database: Path) -> str:
    with closing(sqlite3.connect(database)) as connection:
        [(name,)] = connection.execute("SELECT name FROM queues WHERE name LIKE 'default/%'").fetchall()
    return str(name)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
async def test_a_hundred_thousand_foreign_messages(tmp_path: Path, figures: Callable[[str], None]) -> None:
    with stage(tmp_path, lease_seconds=15) as on:
        server = on.server()
        usual = resident_mb(server.process.pid, "VmRSS")
        await fill(on.database, the_queue(on.database))
        began = time.monotonic()
        runs = {number: on.trigger("sums", f"r{number}", first=number, width=WIDTH) for number in range(RUNS)}
        ended = {number: on.ended(run_id) for number, run_id in runs.items()}
        for number, run in ended.items():
            assert run["result"] == {"result": expected(number)}
        wait_until(lambda: counts(on.database) == (0, FOREIGN), "not all were buried", seconds=400)
        all_seconds = time.monotonic() - began
        grown = resident_mb(server.process.pid) - usual
        with closing(sqlite3.connect(on.database)) as connection:
            kept = connection.execute("SELECT body, buried_ms FROM dead_letters").fetchall()
        assert {text for text, _ in kept} == {body(number).body for number in range(FOREIGN)}
        last_ms = max(run["ended_ms"] for run in ended.values())
        left = sum(buried_ms > last_ms for _, buried_ms in kept)
        assert left > 0, "the runs had to wait for all that is foreign"
        seconds = (last_ms - min(run["created_ms"] for run in ended.values())) / 1000
        assert after_all(on)
    assert grown < MEGABYTES
    figures(
        f"{RUNS} runs ended after {seconds:.1f} s, {left:,} foreign messages still waiting; all {FOREIGN:,} buried "
        f"after {all_seconds:.0f} s; {grown:.0f} MB more memory"
    )


def after_all(on: Stage) -> bool:
    run = on.ended(on.trigger("sums", "after", first=5, width=WIDTH))
    return bool(run["result"] == {"result": expected(5)})


SOME = 300


@pytest.mark.slow
@pytest.mark.skipif(why_not_ministack() is not None, reason=str(why_not_ministack()))
def test_foreign_messages_in_sqs(figures: Callable[[str], None]) -> None:
    """Through the adapter of SQS, with a worker as it runs in a container."""
    sent = {body(number).body for number in range(SOME)}
    with (
        deployed(start_ministack()) as made,
        process("karman_runtime.container", env=in_container(made)) as worker,
    ):
        ready(worker)
        put_graphs(made, "double")
        made.run(made.backend.queue.send(HOME, [body(number) for number in range(SOME)]))
        began = time.monotonic()
        runs = [made.trigger("double", number=number) for number in range(5)]
        wait_until(lambda: all(made.view(run).ended for run in runs), "the runs did not end")
        seconds = time.monotonic() - began
        found: set[str] = set()
        wait_until(lambda: take_dead(made, found) == sent, f"not all were kept: {len(found)}")
        assert [made.view(run).result for run in runs] == [{"result": 2 * number} for number in range(5)]
        wait_until(lambda: made.left() == 0, "messages are left")
        assert worker.popen.poll() is None
    figures(
        f"{SOME} foreign messages: 5 runs ended after {seconds:.1f} s, all {len(found)} are in the dead-letter queue"
    )


def take_dead(made: Deployment, found: set[str]) -> set[str]:
    """The bodies in the dead-letter queue so far."""
    sqs = made.backend.clients.sqs
    url = sqs.get_queue_url(QueueName=made.dead_letter_queue)["QueueUrl"]
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=900).get(
        "Messages"
    ):
        found.update(message["Body"] for message in messages)
    return found
