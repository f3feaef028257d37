"""Nodes that a function runs in tests; some of them misbehave."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from pathlib import Path
from typing import Any

from karman import Context, node

logger = logging.getLogger(__name__)

GATE = "KARMAN_TEST_GATE"
"""Environment variable with the folder in which nodes that take long make the file `BEGUN`, and wait for `LET_GO`."""

BEGUN = "begun"
LET_GO = "let_go"

ENOUGH = threading.Event()
"""Ends what hangs in a thread, which nobody can stop."""


def tell_begun() -> None:
    """Make the file, where somebody waits for it."""
    if folder := os.environ.get(GATE):
        (Path(folder) / BEGUN).touch()


@node
async def double(number: int) -> int:
    logger.info("doubling")
    return 2 * number


@node
async def fail(number: int) -> int:
    raise ValueError(f"{number} is not to be had")


@node
def end_the_process(number: int) -> int:
    os._exit(3)


@node
async def hang(number: int) -> int:
    tell_begun()
    await asyncio.Event().wait()
    return number


@node
def hang_in_a_thread(number: int) -> int:
    ENOUGH.wait(200)
    return number


@node
async def trace(ctx: Context) -> Any:
    return ctx.trace_parent


@node
def wait_to_be_let_go(number: int) -> int:
    tell_begun()
    while not Path(os.environ[GATE], LET_GO).exists():
        time.sleep(0.05)
    return number


@node
async def take_a_second(number: int) -> int:
    await asyncio.sleep(1)
    return number
