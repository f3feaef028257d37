"""The graphs under which processes are killed, stopped and starved; written to a file that `karman` loads."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

WIDTH = 5

SOURCE = '''
import asyncio
import os
import random
from pathlib import Path
from karman import Context, Graph, Retry, node

def note(folder, kind, ctx):
    """Write an execution down, outside of Karman."""
    file = os.open(Path(folder, "journal"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{kind} {ctx.state_id}\\n".encode())
    os.close(file)

@node
def numbers(first: int, width: int, folder: str, ctx: Context) -> list[int]:
    note(folder, "numbers", ctx)
    return list(range(first, first + width))

@node
async def double(number: int, folder: str, pause: float, ctx: Context) -> int:
    note(folder, "double", ctx)
    await asyncio.sleep(pause)
    while Path(folder, "closed").exists():
        await asyncio.sleep(0.02)
    ctx.store.increment("doubled", 1)
    return 2 * number

@node
def add_up(numbers: list[int], folder: str, ctx: Context) -> int:
    note(folder, "add_up", ctx)
    return sum(numbers)

sums = Graph("sums", retry=Retry.fixed(3, delay=0.1), store_required=["folder"], store_defaults={"pause": 0.05})
many = sums.add(numbers, "many", folder=sums.store.folder)
each = sums.add(double, "each", number=many.outputs.result, folder=sums.store.folder, pause=sums.store.pause)
total = sums.add(add_up, "total", unites=many, numbers=each.outputs.result, folder=sums.store.folder)
many >> each >> total

@node
def repeat(size: int) -> str:
    return random.Random(size).randbytes(size // 2 + 1).hex()[:size]  # does not compress to nothing

@node
def measure(text: str) -> int:
    return len(text)

large = Graph("large", retry=Retry.fixed(0, delay=0.1))
made = large.add(repeat, "made")
made >> large.add(measure, "measured", text=made.outputs.result)
'''


def write_module(folder: Path) -> Path:
    """The graphs `sums` and `large` as a file."""
    path = folder / "faulty.py"
    path.write_text(SOURCE, encoding="utf-8")
    return path


@contextmanager
def closed(folder: Path) -> Iterator[None]:
    """Within the block, runs of `sums` do not end."""
    gate = folder / "closed"
    gate.touch()
    try:
        yield
    finally:
        gate.unlink()


def expected(first: int, width: int = WIDTH) -> int:
    """The result of a run of `sums`."""
    return sum(2 * number for number in range(first, first + width))


def counted(database: Path, run_id: str) -> dict[str, Any]:
    """What the database file itself has of a run: states by identifier, and how often the store was incremented."""
    connection = sqlite3.connect(database)
    try:
        rows = connection.execute(
            "SELECT pk, sk, body FROM items WHERE pk LIKE ?", (f"default#run#{run_id}%",)
        ).fetchall()
    finally:
        connection.close()
    states = [json.loads(body) for pk, sk, body in rows if "#b#" in pk and sk.startswith("s#")]
    return {"states": len(states), "statuses": {state["st"] for state in states}}
