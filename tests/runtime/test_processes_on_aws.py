"""What runs nodes on AWS, as processes of their own, on MiniStack: a function that dies, and a container worker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from karman import Graph, RetryPolicy
from tests.deployments import HOME, NAMESPACE, Deployment, deployed
from tests.emulators import ROOT, start_ministack, why_not_ministack
from tests.runtime import lambda_nodes
from tests.runtime.lambda_events import sqs_event

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(why_not_ministack() is not None, reason=str(why_not_ministack())),
]

NODES = "tests.runtime.lambda_nodes"
PATIENCE_SECONDS = 100.0


@pytest.fixture
def deployment() -> Iterator[Deployment]:
    with deployed(start_ministack()) as made:
        yield made


def put_graphs(deployment: Deployment, *names: str) -> None:
    """One graph for each node, of its name."""
    for name in names:
        graph = Graph(name)
        graph.add(getattr(lambda_nodes, name), retry=RetryPolicy(max_retries=0))
        deployment.put(graph.definition())


def environment(deployment: Deployment, **more: str) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**inherited, **deployment.environment, "KARMAN_NODES": NODES, "PYTHONPATH": str(ROOT), **more}


class Process:
    """A module as a process. Its output goes to files, so that it never waits for somebody to read it."""

    def __init__(self, folder: Path, module: str, *arguments: str, env: dict[str, str]) -> None:
        self._output, self._errors = folder / "output", folder / "errors"
        with self._output.open("wb") as output, self._errors.open("wb") as errors:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=errors,
                cwd=ROOT,
                env=env,
            )

    @property
    def errors(self) -> str:
        """What it wrote to stderr so far."""
        return self._errors.read_text(encoding="utf-8", errors="replace")

    def lines(self) -> list[str]:
        """The lines that it wrote to stdout so far."""
        *whole, _ = self._output.read_text(encoding="utf-8").split("\n")
        return whole

    def line(self, number: int) -> str:
        """A line of stdout, once it is there."""
        wait_for(lambda: len(self.lines()) > number or self.popen.poll() is not None)
        lines = self.lines()
        assert len(lines) > number, f"it ended: {self.errors}"
        return lines[number]

    def until_logged(self, message: str) -> dict[str, Any]:
        """The first line of its log with this message, once it is there."""
        number = 0
        while True:
            said: dict[str, Any] = json.loads(self.line(number))
            if said.get("message") == message:
                return said
            number += 1

    def ask(self, text: str) -> str:
        """What it answers to a line on stdin: a line."""
        before = len(self.lines())
        assert self.popen.stdin is not None
        self.popen.stdin.write(f"{text}\n".encode())
        self.popen.stdin.flush()
        return self.line(before)

    def until_ended(self) -> int:
        """Its exit code."""
        return self.popen.wait(PATIENCE_SECONDS)


@contextmanager
def process(module: str, *arguments: str, env: dict[str, str]) -> Iterator[Process]:
    with tempfile.TemporaryDirectory(prefix="karman-process-") as folder:
        started = Process(Path(folder), module, *arguments, env=env)
        try:
            yield started
        finally:
            started.popen.kill()
            started.popen.communicate()


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.05)


# --- a function -------------------------------------------------------------------------------------------------------


def test_a_node_that_exits_the_process_fails_its_state_alone(deployment: Deployment) -> None:
    short = environment(deployment, KARMAN_LEASE_SECONDS="1")
    with process("tests.runtime.lambda_process", env=short) as function:

        def invoke(event: dict[str, Any]) -> dict[str, Any]:
            return dict(json.loads(function.ask(json.dumps(event))))

        assert len(invoke({"karman": "register"})["answer"]["registered"]) > 3
        put_graphs(deployment, "end_the_process", "double")
        ending = deployment.trigger("end_the_process", number=1)
        mates = [deployment.trigger("double", number=number) for number in range(3)]
        crashes = 0
        while deployment.left():
            # Hidden for a quarter of an hour; but whoever dies at once has shortened that before.
            messages = deployment.take()
            if not messages:
                time.sleep(0.1)
                continue
            receipts = [message.receipt for message in messages]
            said = invoke(sqs_event(deployment.queue, messages))
            if "exit" in said:
                assert said["exit"] == 3
                crashes += 1
            else:
                assert said["answer"]["batchItemFailures"] == []
                deployment.run(deployment.backend.queue.delete(HOME, receipts))

    assert crashes == 9  # the first one, and the eight that are counted
    view = deployment.view(ending)
    assert view.status == "FAILED"
    assert "worker_crashed" in str(view.error)
    assert [deployment.view(mate).result for mate in mates] == [{"result": 2 * number} for number in range(3)]


# --- a container ------------------------------------------------------------------------------------------------------


def ready(worker: Process) -> str:
    """The address of its health, once it works."""
    said = worker.until_logged("ready")
    assert said["queue"] == HOME
    return str(said["health"])


def health(url: str) -> dict[str, Any]:
    """What is answered; a worker that stood still gives no answer, and is asked again."""
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10) as response:
                return dict(json.loads(response.read()))
        except urllib.error.HTTPError:
            raise
        except OSError:
            assert time.monotonic() < end, "nobody answers"
            time.sleep(0.1)


def in_container(deployment: Deployment, **more: str) -> dict[str, str]:
    """The environment that the image and a task definition make."""
    return environment(
        deployment,
        KARMAN_BACKEND="aws",
        KARMAN_LOG_FORMAT="json",
        KARMAN_LOG_LEVEL="info",
        KARMAN_METRICS="1",
        KARMAN_HEALTH_PORT="0",
        **more,
    )


def test_a_container_worker_works_is_healthy_and_drains(deployment: Deployment, tmp_path: Path) -> None:
    more = {lambda_nodes.GATE: str(tmp_path), "KARMAN_STOP_SECONDS": "120"}
    with process("karman_runtime.container", env=in_container(deployment, **more)) as worker:
        url = ready(worker)
        put_graphs(deployment, "double", "wait_to_be_let_go")
        run_id = deployment.trigger("double", number=21)
        wait_for(lambda: deployment.view(run_id).ended)
        assert deployment.view(run_id).result == {"result": 42}
        wait_for(lambda: health(url)["finished"] == 1)
        wait_for(lambda: health(url)["last_poll_age_seconds"] < 30)
        said = health(url)
        assert said["healthy"]
        assert said["queues"] == [HOME]

        slow = deployment.trigger("wait_to_be_let_go", number=1)
        # Not just held: a state whose node has not begun by then is given back.
        wait_for((tmp_path / lambda_nodes.BEGUN).exists)
        assert health(url)["in_flight"] == 1
        worker.popen.send_signal(signal.SIGTERM)
        assert worker.until_logged("stopping")["in_flight"] == 1
        (tmp_path / lambda_nodes.LET_GO).touch()
        assert worker.until_ended() == 0, worker.errors
        lines = [json.loads(line) for line in worker.lines()]

    assert deployment.view(slow).status == "SUCCEEDED"
    assert deployment.left() == 0
    assert [line["message"] for line in lines if "message" in line][-1] == "stopped"
    executions = sum(sum(line["Executions"]) for line in lines if "Executions" in line)
    assert executions == 2


def test_the_command_gives_back_what_does_not_end_within_the_stop_time(
    deployment: Deployment, tmp_path: Path
) -> None:
    # Nobody waits for the end of such a lease.
    more = {lambda_nodes.GATE: str(tmp_path), "KARMAN_LEASE_SECONDS": "3600"}
    env = in_container(deployment, KARMAN_NODES="", **more)
    options = ["--queue", "rt", "--namespace", NAMESPACE, "--stop-seconds", "8", "--concurrency", "2"]
    with process("tests.runtime.patient_command", "worker", NODES, *options, env=env) as worker:
        ready(worker)
        put_graphs(deployment, "hang")
        deployment.trigger("hang", number=1)
        wait_for((tmp_path / lambda_nodes.BEGUN).exists)
        worker.popen.send_signal(signal.SIGTERM)
        assert worker.until_ended() == 0, worker.errors

    assert len(deployment.take()) == 1


@pytest.mark.parametrize(
    ("arguments", "more", "said"),
    [
        ([NODES, "tests.runtime.lambda_events"], {"KARMAN_RUNTIME": ""}, "Several modules need one name"),
        (["tests.runtime.lambda_events"], {}, "There is no node in tests.runtime.lambda_events"),
        (["tests.runtime.broken_nodes"], {}, "no such thing"),
        ([NODES], {"KARMAN_TABLE": ""}, "KARMAN_TABLE"),
    ],
)
def test_a_worker_that_cannot_work_says_why(
    deployment: Deployment, arguments: list[str], more: dict[str, str], said: str
) -> None:
    env = {**in_container(deployment), **more}
    with process("karman_runtime.container", *arguments, env=env) as worker:
        assert worker.until_ended() == 2
        assert said in worker.errors
