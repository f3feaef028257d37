"""DynamoDB Local is stopped and started again while runs go on: workers and API are there again when it is."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from karman import Graph, Retry
from tests.deployments import NAMESPACE, Deployment, deployed
from tests.emulators import (
    Emulator,
    begin_dynamodb_local,
    free_port,
    start_ministack,
    why_not_dynamodb_local,
    why_not_ministack,
)
from tests.faults.processes import KEY, wait_until
from tests.runtime import lambda_nodes
from tests.runtime.test_processes_on_aws import in_container, process, ready

pytestmark = [
    pytest.mark.slow,
    pytest.mark.java,
    pytest.mark.timeout(600),
    pytest.mark.skipif(why_not_dynamodb_local() is not None, reason=str(why_not_dynamodb_local())),
    pytest.mark.skipif(why_not_ministack() is not None, reason=str(why_not_ministack())),
]

RESTARTS, RUNS, LEASE_SECONDS = 3, 12, 5
DOWN_SECONDS = 4.0
PATIENCE_SECONDS = 200


class Table:
    """DynamoDB Local with its data on disk."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._data = folder / "data"
        self._data.mkdir()
        self.running: Emulator | None = None

    def start(self) -> None:
        self.running = begin_dynamodb_local(self.port, "-dbPath", str(self._data))

    def stop(self) -> None:
        if self.running is not None:
            self.running.stop()
            self.running = None


@pytest.fixture
def table(tmp_path: Path) -> Iterator[Table]:
    made = Table(tmp_path)
    made.start()
    yield made
    made.stop()


def prepare(made: Deployment) -> None:
    """A chain of four nodes that take a second, two of them."""
    graph = Graph("chain", retry=Retry.fixed(0, delay=0.1))
    before = graph.add(lambda_nodes.double, "first")
    for name, kind in (("second", lambda_nodes.take_a_second), ("third", lambda_nodes.take_a_second)):
        after = graph.add(kind, name, number=before.outputs.result)
        before >> after
        before = after
    made.put(graph.definition())


def test_workers_and_api_outlast_it(table: Table, figures: Callable[[str], None]) -> None:
    endpoints = {
        "AWS_ENDPOINT_URL": start_ministack(),
        "AWS_ENDPOINT_URL_DYNAMODB": f"http://127.0.0.1:{table.port}",
        "KARMAN_LEASE_SECONDS": str(LEASE_SECONDS),
    }
    with ExitStack() as stack:
        made = stack.enter_context(deployed(None, **endpoints))
        env = in_container(made)
        workers = [stack.enter_context(process("karman_runtime.container", env=env)) for _ in range(2)]
        for worker in workers:
            ready(worker)
        server = stack.enter_context(process("tests.faults.api_on_aws", env=env))
        url = server.line(0)
        headers = {"x-api-key": KEY}
        api = stack.enter_context(
            httpx.Client(base_url=f"{url}/v1/namespaces/{NAMESPACE}", headers=headers, timeout=60)
        )
        prepare(made)
        answers: Counter[int] = Counter()
        runs: list[str] = []
        for restart in range(RESTARTS):
            for number in range(RUNS):
                answers += trigger(api, runs, f"{restart}-{number}", number)
            time.sleep(0.3 + 0.4 * restart)  # in the first node of some, the second of others
            table.stop()
            until = time.monotonic() + DOWN_SECONDS
            while time.monotonic() < until:
                answers += trigger(api, [], "while it is down", 1)
                time.sleep(0.2)
            table.start()
        check(api, runs)
        assert [each.popen.poll() for each in (*workers, server)] == [None] * 3
        ended(api, trigger_until(api, "after"))
    figures(
        f"{RESTARTS} restarts, {len(runs)} acknowledged runs ended right, answers to triggers {dict(answers)}"
    )


def trigger(api: httpx.Client, runs: list[str], key: str, number: int) -> Counter[int]:
    """Trigger a run; those that are acknowledged are noted."""
    answer = api.post(
        "/graphs/chain/runs", json={"inputs": {"number": number}}, headers={"idempotency-key": key}
    )
    if answer.status_code in {200, 201}:
        runs.append(answer.json()["run_id"])
    else:
        assert answer.status_code == 503, answer.text
        assert answer.headers["retry-after"]
    return Counter([answer.status_code])


def trigger_until(api: httpx.Client, key: str) -> str:
    runs: list[str] = []
    wait_until(lambda: bool(trigger(api, runs, key, 3)) and bool(runs), "the API does not take runs again")
    return runs[0]


def check(api: httpx.Client, runs: list[str]) -> None:
    assert len(runs) >= RUNS
    for run_id in runs:
        run = ended(api, run_id)
        assert run["totals"]["succeeded"] == 3, run
        states = api.get(f"/runs/{run_id}/states").json()["states"]
        assert [state["status"] for state in states] == ["SUCCEEDED"] * 3
        assert run["result"] == {"result": 2 * run["inputs"]["number"]}


def ended(api: httpx.Client, run_id: str) -> dict[str, Any]:
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        answer = api.get(f"/runs/{run_id}", params={"wait_seconds": 5})
        if answer.status_code == 200 and answer.json()["ended_ms"] is not None:
            run = dict(answer.json())
            assert run["status"] == "SUCCEEDED", run
            return run
        assert answer.status_code in {200, 503}, answer.text
        assert time.monotonic() < end, f"{run_id} has not ended: {answer.text}"
