"""Servers and workers die by SIGKILL and stand still by SIGSTOP: every acknowledged run ends right.

Beside these, tests/crash kills the workers of one long run, and tests/simulation every process at every port call.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.faults.graphs import WIDTH, expected
from tests.faults.processes import LEASE_SECONDS, LONG_SUFFERING, Karman, Stage, stage

STATES = WIDTH + 2


class Clients:
    """Threads that trigger runs, and each ask again until their run is acknowledged."""

    def __init__(self, on: Stage, runs: int, threads: int) -> None:
        self.on = on
        self.acknowledged: dict[int, str] = {}
        self._left = list(range(runs))
        self._lock = threading.Lock()
        self._pause = 0.0
        self._failures: list[BaseException] = []
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(threads)]

    def begin(self, pause: float) -> None:
        """Trigger from now on, with a pause between two runs of a thread."""
        self._pause = pause
        for thread in self._threads:
            thread.start()

    def finish(self) -> dict[int, str]:
        """The ids of all runs, by number."""
        for thread in self._threads:
            thread.join()  # for as long as its runs may take to be acknowledged
        assert not self._failures, self._failures
        return self.acknowledged

    @property
    def busy(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    def _work(self) -> None:
        try:
            while True:
                with self._lock:
                    if not self._left:
                        return
                    number = self._left.pop()
                run_id = self.on.trigger("sums", f"run-{number}", first=number, width=WIDTH)
                with self._lock:
                    self.acknowledged[number] = run_id
                time.sleep(self._pause)
        except BaseException as error:  # noqa: BLE001  told by who waits for the threads
            self._failures.append(error)


def check_runs(on: Stage, runs: dict[int, str]) -> Counter[str]:
    """Each run ended right: result, one record a state, exact totals, the store counted once. Executions by node."""
    assert len(set(runs.values())) == len(runs)
    for number, run_id in runs.items():
        run = on.ended(run_id)
        assert run["status"] == "SUCCEEDED", run
        assert run["result"] == {"result": expected(number)}, run
        check_states(on, run)
        assert on.read(f"/runs/{run_id}/store")["values"]["doubled"] == WIDTH
    listed = on.read("/runs", limit=1000)
    assert listed["cursor"] is None
    assert {run["run_id"] for run in listed["runs"]} == set(runs.values())
    return Counter(line.split()[0] for line in (on.folder / "journal").read_text().splitlines())


def check_states(on: Stage, run: dict[str, Any]) -> None:
    states = on.states(run["run_id"])
    assert len({state["state_id"] for state in states}) == len(states) == STATES
    assert {state["status"] for state in states} == {"SUCCEEDED"}
    totals = run["totals"]
    assert totals["succeeded"] == STATES, totals
    assert totals["turns"] == sum(state["turns"] for state in states)
    assert totals["failed"] == totals["pruned"] == totals["cancelled"] == 0


def trouble(on: Stage, clients: Clients, rounds: int, chance: random.Random) -> Counter[str]:
    """Kill and stop the server and two workers in turn, at random moments, and begin others in their place."""
    server = on.server()
    workers = [on.worker(), on.worker()]
    clients.begin(pause=0.05)
    done: Counter[str] = Counter()
    stopped: list[tuple[float, Karman]] = []
    for number in range(rounds):
        time.sleep(chance.uniform(0.05, 0.6))
        stopped = go_on(stopped, time.monotonic())
        place = number % 2
        match number % 4:
            case 0:
                server.kill()
                server = on.start("dev", str(on.module), "--no-reload")
                done["server killed"] += 1
            case 1:
                workers[place].kill()
                workers[place] = on.worker()
                done["workers killed"] += 1
            case 2:
                # Longer than its lease: others take over what it holds, and then it goes on with it.
                workers[place].stop()
                stopped.append((time.monotonic() + LEASE_SECONDS + 1, workers[place]))
                workers[place] = on.worker()
                done["workers stopped"] += 1
            case 3:
                server.stop()
                time.sleep(chance.uniform(0.05, 0.5))
                server.go_on()
                done["server stopped"] += 1
    while stopped:
        time.sleep(0.1)
        stopped = go_on(stopped, time.monotonic())
    server.until_said("ready: ")
    return done


def go_on(stopped: list[tuple[float, Karman]], now: float) -> list[tuple[float, Karman]]:
    for until, worker in stopped:
        if until <= now:
            worker.go_on()
    return [(until, worker) for until, worker in stopped if until > now]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("runs", "rounds"), [(20, 4), (200, 40)])
def test_every_acknowledged_run_ends_right(
    tmp_path: Path, figures: Callable[[str], None], runs: int, rounds: int
) -> None:
    seed = random.randrange(10**6)
    with stage(tmp_path, before=LONG_SUFFERING, patience_seconds=200) as on:
        clients = Clients(on, runs, threads=8)
        done = trouble(on, clients, rounds, random.Random(seed))
        acknowledged = clients.finish()
        executions = check_runs(on, acknowledged)

    said = f"seed {seed}, {dict(done)}, {len(acknowledged)} runs, executions {dict(executions)}"
    figures(said)
    assert len(acknowledged) == runs
    assert executions["numbers"] >= runs
