"""Worker processes are killed with SIGKILL at random moments of a real run; the run ends as if nothing had happened."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from karman_core.engine import Engine
from karman_core.engine.views import RunView, StateView
from tests.crash.graph import GATE, JOURNAL, SECTIONS, WIDTH
from tests.crash.worker import NAMESPACE, RUNTIME, open_engine

ROOT = Path(__file__).parents[2]
WORKERS, KILLS = 3, 20
LIMIT_SECONDS = 300


class Workers:
    """Worker processes, always as many as at the start."""

    def __init__(self, database: Path) -> None:
        self.database = database
        self.environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.running = [self.start() for _ in range(WORKERS)]

    def start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.crash.worker", str(self.database)]
        return subprocess.Popen(command, env=self.environment, cwd=ROOT)

    def kill_one(self, chance: random.Random) -> None:
        place = chance.randrange(len(self.running))
        victim = self.running[place]
        victim.send_signal(signal.SIGKILL)
        assert victim.wait(60) == -signal.SIGKILL
        self.running[place] = self.start()

    def let_the_run_end(self) -> None:
        Path(self.environment[GATE]).touch()


@contextmanager
def workers(database: Path) -> Iterator[Workers]:
    some = Workers(database)
    try:
        yield some
    finally:
        for process in some.running:
            process.kill()
            process.wait(60)


async def begin(database: Path) -> tuple[Engine, str]:
    from tests.crash.graph import build  # noqa: PLC0415  the environment of the nodes is set first

    _, engine, executor = open_engine(database)
    await engine.register_nodes(NAMESPACE, executor.registered(RUNTIME))
    view = await engine.put_graph(NAMESPACE, build().build())
    assert view.valid, view.problems
    started = await engine.trigger(NAMESPACE, "crash")
    return engine, started.run_id


async def watch(engine: Engine, run_id: str, some: Workers, seed: int) -> tuple[RunView, int]:
    chance = random.Random(seed)
    kills, until = 0, time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < until:
        run = await engine.get_run(NAMESPACE, run_id)
        if run.ended:
            return run, kills
        await asyncio.sleep(chance.uniform(0.05, 0.5))
        if kills < KILLS:
            some.kill_one(chance)
            kills += 1
            if kills == KILLS:
                some.let_the_run_end()
    pytest.fail(f"the run has not ended after {LIMIT_SECONDS} s and {kills} kills")


async def every_state(engine: Engine, run_id: str) -> list[StateView]:
    found: list[StateView] = []
    cursor = None
    while True:
        page = await engine.list_states(NAMESPACE, run_id, cursor=cursor, limit=100)
        found += page.states
        cursor = page.cursor
        if cursor is None:
            return found


@pytest.mark.timeout(LIMIT_SECONDS + 60)
async def test_a_run_survives_twenty_kills(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    journal, database = tmp_path / "journal", tmp_path / "run.db"
    monkeypatch.setenv(JOURNAL, str(journal))
    monkeypatch.setenv(GATE, str(tmp_path / "gate"))  # opened by the last kill
    engine, run_id = await begin(database)
    with workers(database) as some:
        run, kills = await watch(engine, run_id, some, seed=random.randrange(10**6))
    states = await every_state(engine, run_id)
    executions = Counter(line.split()[0] for line in journal.read_text().splitlines())
    record_property("crash", f"{kills} kills, {run.totals}, executions {dict(executions)}")

    assert run.status == "SUCCEEDED", run
    assert kills == KILLS
    check_states(states)
    check_results(states, journal)
    assert await engine.read_store(NAMESPACE, run_id) == {"gathered": WIDTH}
    assert run.totals.succeeded == len(states)
    assert run.totals.turns == sum(state.turns for state in states)


def check_states(states: list[StateView]) -> None:
    counts = Counter(state.identifier for state in states)
    assert counts == {
        "documents": 1,
        "sections": WIDTH,
        "analyse": WIDTH * SECTIONS,
        "gather": WIDTH,
        "report": 1,
    }
    assert {state.status for state in states} == {"SUCCEEDED"}
    assert len({state.state_id for state in states}) == len(states)


def check_results(states: list[StateView], journal: Path) -> None:
    """The one result of each state is of an execution of that very state, and it is what the unites have read."""
    written = {tuple(line.split()[1:]) for line in journal.read_text().splitlines()}
    tokens = {}
    for state in states:
        assert state.outputs
        tokens[state.state_id] = state.outputs[0]["token"]
        assert (state.state_id, tokens[state.state_id]) in written
    [report] = [state for state in states if state.identifier == "report"]
    analysed = [tokens[state.state_id] for state in states if state.identifier == "analyse"]
    assert report.outputs
    assert [token for group in report.outputs[0]["tokens"] for token in group] == analysed
    expected = sum(document * 100 + section for document in range(WIDTH) for section in range(SECTIONS))
    assert report.outputs[0]["total"] == expected
