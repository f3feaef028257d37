"""Real processes on a database file: servers and workers to kill, stop and starve, and clients that do not give up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import httpx

from tests.emulators import ROOT, free_port
from tests.faults.graphs import write_module

KEY = "the-key-of-the-fault-tests"
PATIENCE_SECONDS = 100.0
LEASE_SECONDS = 2
LONG_SUFFERING = """
import dataclasses, functools, karman_runtime.composition as made
made.EngineSettings = functools.partial(made.EngineSettings, crash_limit=1_000)
made.HABITS["embedded"] = dataclasses.replace(made.HABITS["embedded"], max_receives=1_000)
"""
"""Makes a process forgive that workers die again and again on one state, which these tests do to them: a state fails
then after eight of them, and how often a random kill meets the same one is a matter of how slow the machine is."""


class Karman:
    """A `karman` command as a process, whose output goes to a file. Another program may come `before` it."""

    def __init__(self, log: Path, *arguments: str, env: Mapping[str, str], before: str = "") -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("KARMAN_")}
        self.log = log
        code = f"{before}\nfrom karman_cli.main import main; main()"
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-c", code, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env={**kept, "COLUMNS": "300", **env},
            )

    @property
    def said(self) -> str:
        """Everything it wrote so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def until_said(self, text: str) -> str:
        """Wait for a text in what it writes; all that it wrote."""
        wait_until(lambda: text in self.said or self.process.poll() is not None, f"{text!r} was not said")
        assert text in self.said, f"it ended with {self.process.poll()}: {self.said[-3000:]}"
        return self.said

    def until_ended(self) -> int:
        """Its exit code."""
        return self.process.wait(PATIENCE_SECONDS)

    def kill(self) -> None:
        """SIGKILL, also when it is stopped."""
        self.process.kill()
        self.process.wait(PATIENCE_SECONDS)

    def stop(self) -> None:
        """SIGSTOP: it stands still wherever it is."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT."""
        self.process.send_signal(signal.SIGCONT)


@dataclass
class Stage:
    """A folder with a database, a server at one address, workers, and a client."""

    folder: Path
    port: int = field(default_factory=free_port)
    lease_seconds: int = LEASE_SECONDS
    before: str = ""
    patience_seconds: float = PATIENCE_SECONDS
    started: list[Karman] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._numbers = count()
        self.module = write_module(self.folder)
        self.database = self.folder / "runs.db"
        self.api = httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}/v1/namespaces/default",
            headers={"x-api-key": KEY},
            timeout=60,
        )

    @property
    def env(self) -> dict[str, str]:
        """For commands that work on this stage."""
        return {
            "KARMAN_DB": str(self.database),
            "KARMAN_API_KEY": KEY,
            "KARMAN_PORT": str(self.port),
            "KARMAN_LEASE_SECONDS": str(self.lease_seconds),
            "KARMAN_LOG_LEVEL": "info",
        }

    def start(self, *arguments: str, **env: str) -> Karman:
        """Begin a command."""
        log = self.folder / f"log-{next(self._numbers)}"
        process = Karman(log, *arguments, env={**self.env, **env}, before=self.before)
        self.started.append(process)
        return process

    def server(self, *arguments: str, module: bool = True) -> Karman:
        """`karman dev`, ready."""
        server = self.start("dev", *([str(self.module)] if module else []), "--no-reload", *arguments)
        server.until_said("ready: ")
        return server

    def worker(self) -> Karman:
        """`karman worker`, begun."""
        return self.start("worker", str(self.module), "--no-health", "--no-register", "--concurrency", "4")

    def run(self, *arguments: str) -> Karman:
        """A command, ended."""
        command = self.start(*arguments)
        command.until_ended()
        return command

    def trigger(self, graph: str, key: str, **inputs: Any) -> str:
        """Begin a run, asking again until it is acknowledged, as clients do."""
        store = {"folder": str(self.folder)} if graph == "sums" else {}
        return self.acknowledged(graph, key, {"inputs": inputs, "store": store})

    def acknowledged(self, graph: str, key: str, body: Mapping[str, Any]) -> str:
        """The run's id, once an answer says that it began."""
        end = time.monotonic() + self.patience_seconds
        while True:
            try:
                answer = self.api.post(f"/graphs/{graph}/runs", json=body, headers={"idempotency-key": key})
                if answer.status_code in {200, 201}:
                    return str(answer.json()["run_id"])
                assert answer.status_code in {429, 500, 503}, answer.text
            except httpx.TransportError:
                pass  # it is dead, or not there yet
            assert time.monotonic() < end, f"{key} was not acknowledged"
            time.sleep(0.1)

    def ended(self, run_id: str) -> dict[str, Any]:
        """The run, once it has ended."""
        end = time.monotonic() + self.patience_seconds
        while True:
            try:
                answer = self.api.get(f"/runs/{run_id}", params={"wait_seconds": 5})
                if answer.status_code == 200 and answer.json()["ended_ms"] is not None:
                    return dict(answer.json())
                assert answer.status_code in {200, 429, 500, 503}, answer.text
            except httpx.TransportError:
                pass
            assert time.monotonic() < end, f"{run_id} has not ended: {self.logs()}"
            time.sleep(0.1)

    def read(self, path: str, **query: Any) -> dict[str, Any]:
        """What is answered, asking again while the database is busy, as clients do."""
        found: list[dict[str, Any]] = []

        def answered() -> bool:
            answer = self.api.get(path, params=query)
            if answer.status_code in {429, 503}:
                return False
            assert answer.status_code == 200, answer.text
            found.append(answer.json())
            return True

        wait_until(answered, f"{path} was not answered", self.patience_seconds)
        return found[0]

    def states(self, run_id: str) -> list[dict[str, Any]]:
        """Every state of a run."""
        found: list[dict[str, Any]] = []
        cursor = None
        while True:
            query = {"limit": 1000} | ({"cursor": cursor} if cursor else {})
            page = self.read(f"/runs/{run_id}/states", **query)
            found += page["states"]
            cursor = page["cursor"]
            if cursor is None:
                return found

    def logs(self) -> str:
        """The ends of all logs."""
        return "\n".join(f"{each.log.name}: {each.said[-1500:]}" for each in self.started)

    def close(self) -> None:
        """End every process that was begun here."""
        for each in self.started:
            each.kill()
        self.api.close()


@contextmanager
def stage(folder: Path, **options: Any) -> Iterator[Stage]:
    """A stage, cleared in the end."""
    made = Stage(folder, **options)
    try:
        yield made
    finally:
        made.close()


def wait_until(condition: Callable[[], bool], what: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Look until it is so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)
