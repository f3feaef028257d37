"""How fast `karman dev` answers 200 clients at once: `python -m bench api-load`.

The server is a process of its own: API, worker and database file together, as a user starts it. Before the clock starts
it has run 100 forks of 1,000 branches, which leaves 100,200 states in the database. Then each client triggers a run,
and gets one it triggered before; and again, over one connection each. In the one measure it never rests, which says
how much the server can take; in the other it rests up to a second between requests, as people and programs do.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

CLIENTS = 200
SECONDS = 60.0
HISTORY_RUNS = 100
KEY = "bench"
_PATH = "/v1/namespaces/default"
_START_SECONDS = 30.0
_HISTORY_SECONDS = 900.0
_AT_ONCE = 4
_ROOT = Path(__file__).parent.parent


@dataclass(slots=True)
class Figures:
    """Answer times in seconds, and what went wrong."""

    trigger: list[float] = field(default_factory=list)
    get: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


class Connection:
    """HTTP/1.1 over one kept connection, with as little work as can be: the client must not be what is measured."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, url: str) -> Connection:
        """Connect."""
        parts = urlsplit(url)
        return cls(*await asyncio.open_connection(parts.hostname, parts.port))

    async def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Status and body of an answer."""
        data = b"" if body is None else json.dumps(body).encode()
        kind = "content-type: application/json\r\n" if data else ""
        head = f"{method} {_PATH}{path} HTTP/1.1\r\nhost: karman\r\nx-api-key: {KEY}\r\n{kind}"
        head += f"content-length: {len(data)}\r\n\r\n"
        self._writer.write(head.encode() + data)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        lines = answer.lower().split(b"\r\n")
        length = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
        return int(answer[9:12]), json.loads(await self._reader.readexactly(length))

    def close(self) -> None:
        """Let go."""
        self._writer.close()


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """`karman dev` on a database in the folder; its URL."""
    karman, database = Path(sys.executable).with_name("karman"), folder / "bench.db"
    command = [str(karman), "dev", "bench.api_load_graphs", "--port", "0", "--db", str(database), "--json"]
    environment = {**os.environ, "KARMAN_API_KEY": KEY, "KARMAN_LOG_LEVEL": "error", "PYTHONPATH": str(_ROOT)}
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)  # noqa: S603
    try:
        printed = ""
        while server.stdout is not None and (line := server.stdout.readline()):
            printed += line
            if line.rstrip() == "}" or printed.count("{") == printed.count("}") > 0:
                break
        yield json.loads(printed)["url"]
    finally:
        server.terminate()
        server.wait(_START_SECONDS)


async def make_history(url: str, runs: int) -> int:
    """Run so many forks; the number of states that they left."""
    connection = await Connection.open(url)
    states = 0
    waiting: list[str] = []
    for number in range(runs + _AT_ONCE):
        if number < runs:
            waiting.append((await connection.call("POST", "/graphs/fork/runs", {}))[1]["run_id"])
        if number >= _AT_ONCE - 1 and waiting:
            run = await _ended(connection, waiting.pop(0))
            states += run["totals"]["succeeded"]
    connection.close()
    return states


async def _ended(connection: Connection, run_id: str) -> dict[str, Any]:
    until = time.monotonic() + _HISTORY_SECONDS
    while time.monotonic() < until:
        _, run = await connection.call("GET", f"/runs/{run_id}?wait_seconds=20")
        if run["ended_ms"] is not None:
            return dict(run)
    raise TimeoutError(run_id)


async def _client(url: str, until: float, rest_seconds: float, figures: Figures) -> None:
    connection = await Connection.open(url)
    runs: list[str] = []
    await asyncio.sleep(random.random() * min(1.0, rest_seconds + 0.1))
    while time.monotonic() < until:
        begun = time.perf_counter()
        status, body = await connection.call("POST", "/graphs/chain/runs", {})
        figures.trigger.append(time.perf_counter() - begun)
        if status != HTTPStatus.CREATED:
            figures.errors.append(f"trigger: {status} {body}")
            continue
        runs.append(body["run_id"])
        await asyncio.sleep(random.random() * rest_seconds)
        begun = time.perf_counter()
        status, body = await connection.call("GET", f"/runs/{random.choice(runs)}")
        figures.get.append(time.perf_counter() - begun)
        if status != HTTPStatus.OK:
            figures.errors.append(f"get: {status} {body}")
        await asyncio.sleep(random.random() * rest_seconds)
    connection.close()


async def load(url: str, clients: int, seconds: float, rest_seconds: float) -> Figures:
    """Let the clients work for so long."""
    figures, until = Figures(), time.monotonic() + seconds
    await asyncio.gather(*(_client(url, until, rest_seconds, figures) for _ in range(clients)))
    return figures


def milliseconds(times: Sequence[float], share: float) -> float:
    """The time that this share of the answers took at most."""
    return sorted(times)[min(len(times) - 1, int(len(times) * share))] * 1000


async def measure(clients: int, seconds: float, history_runs: int) -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as url:
        begun = time.monotonic()
        states = await make_history(url, history_runs)
        print(f"karman dev, {clients} clients, {seconds:g} s; history of {states:,} states, made in", end=" ")
        print(f"{time.monotonic() - begun:.0f} s")
        print(f"{'':<34} {'a second':>9} {'p50 ms':>7} {'p99 ms':>7} {'max ms':>7} {'errors':>7}")
        for name, rest_seconds in {"resting up to 1 s": 1.0, "never resting": 0.0}.items():
            figures = await load(url, clients, seconds, rest_seconds)
            for kind, times in {"trigger": figures.trigger, "get": figures.get}.items():
                shares = "".join(f" {milliseconds(times, share):>7.0f}" for share in (0.5, 0.99, 1.0))
                print(
                    f"{f'{kind}, {name}':<34} {len(times) / seconds:>9.0f}{shares} {len(figures.errors):>7}"
                )
            for error in figures.errors[:3]:
                print(error)
            await asyncio.sleep(5.0 if rest_seconds else 0.0)


def main() -> None:
    """The default measure."""
    asyncio.run(measure(CLIENTS, SECONDS, HISTORY_RUNS))


if __name__ == "__main__":
    asyncio.run(measure(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])))
