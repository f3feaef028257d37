"""The command line as tests use it: in this process, and as a process of its own."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from typer.testing import CliRunner

from karman_cli.main import app

PATIENCE_SECONDS = 100.0

GREETING = """
from karman import Graph, node

@node
def greet(name: str, times: int = 1) -> str:
    print("a node prints")
    return " ".join(f"Hello, {name}!" for _ in range(times))

graph = Graph("greeting")
graph.add(greet)
"""

SUMS = """
import asyncio
from karman import Graph, Retry, node

@node
def numbers(count: int, wrong: int = -1) -> list[int]:
    return [-1 if number == wrong else number for number in range(count)]

@node
async def double(number: int) -> int:
    if number < 0:
        raise ValueError("a negative number")
    return 2 * number

@node
def add_up(numbers: list[int]) -> int:
    return sum(numbers)

graph = Graph("sums", retry=Retry.exponential(0))
many = graph.add(numbers, "many")
each = graph.add(double, "each", number=many.outputs.result)
total = graph.add(add_up, "total", unites=many, numbers=each.outputs.result)
many >> each >> total
"""

APPROVAL = """
from karman import Context, Graph, WaitFor, node

@node
async def ask(question: str, ctx: Context) -> dict[str, object]:
    if ctx.resumed is None:
        raise WaitFor("approve")
    return {"answer": ctx.resumed.payload}

graph = Graph("approval")
graph.add(ask)
"""

SLOW = """
import asyncio
from pathlib import Path
from karman import Graph, node

@node
def numbers(count: int) -> list[int]:
    return list(range(count))

@node
async def wait(number: int, folder: str) -> int:
    began = Path(folder, f"{number}.began")
    again = began.exists()
    began.touch()
    while not again and not Path(folder, "open").exists():
        await asyncio.sleep(0.01)
    return number

@node
def count(numbers: list[int]) -> int:
    return len(numbers)

graph = Graph("slow", store_required=["folder"])
many = graph.add(numbers, "many")
each = graph.add(wait, "each", number=many.outputs.result, folder=graph.store.folder)
total = graph.add(count, "total", unites=many, numbers=each.outputs.result)
many >> each >> total
"""


@dataclass(frozen=True)
class Output:
    """How a command ended, and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """What it wrote to stdout, which is one JSON document."""
        return json.loads(self.out)


def karman(*arguments: str, stdin: str | None = None, env: dict[str, str] | None = None) -> Output:
    """Run a command in this process."""
    result = CliRunner().invoke(app, list(arguments), prog_name="karman", input=stdin, env=env)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Output(result.exit_code, result.stdout, result.stderr)


PATIENT = "import karman_cli.live_code; karman_cli.live_code.GRACE_SECONDS = 200.0"
"""A program that `start` can have run before a command: the grace is as long as a slow machine needs."""


def start(*arguments: str, before: str = "", **env: str) -> subprocess.Popen[str]:
    """Begin a command as a process of its own; another program may come `before` it."""
    return subprocess.Popen(
        [sys.executable, "-c", f"{before}\nfrom karman_cli.main import main; main()", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "COLUMNS": "200", **env},
    )


def finish(process: subprocess.Popen[str]) -> Output:
    """Wait for its end."""
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    return Output(process.returncode, out, err)


@contextmanager
def unheard(process: subprocess.Popen[str]) -> Iterator[None]:
    """Within the block, what the process writes is dropped, so that it waits for no reader; then it ends."""

    def drop(stream: IO[str]) -> None:
        with stream:
            for _ in stream:
                pass

    streams = [stream for stream in (process.stdout, process.stderr) if stream is not None]
    readers = [threading.Thread(target=drop, args=(stream,), daemon=True) for stream in streams]
    for reader in readers:
        reader.start()
    try:
        yield
    finally:
        process.kill()
        process.wait()
        for reader in readers:
            reader.join()


def wait_until(condition: Callable[[], bool], what: str = "it did not come about") -> None:
    """Look until it is so."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def wait_for_line(process: subprocess.Popen[str], part: str) -> str:
    """Read stderr up to a line that holds the part."""
    assert process.stderr is not None
    read = []
    for line in process.stderr:
        read.append(line)
        if part in line:
            return line
    raise AssertionError(f"{part!r} was not said, but: {''.join(read)}")


def write(name: str, text: str) -> Path:
    """Write a file into the working folder, which is empty in each test. Nobody ever sees a part of it."""
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = path.with_name(f".{path.name}.whole")
    whole.write_text(text, encoding="utf-8")
    whole.replace(path)
    return path
