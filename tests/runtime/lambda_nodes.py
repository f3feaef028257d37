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
"""Environment variable with the folder in which `wait_to_be_let_go` makes the file `BEGUN`, and waits for `LET_GO`."""

BEGUN = "begun"
LET_GO = "let_go"


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
    await asyncio.Event().wait()
    return number


@node
def hang_in_a_thread(number: int) -> int:
    threading.Event().wait(20)
    return number


@node
async def trace(ctx: Context) -> Any:
    return ctx.trace_parent


@node
def wait_to_be_let_go(number: int) -> int:
    folder = Path(os.environ[GATE])
    (folder / BEGUN).touch()
    while not (folder / LET_GO).exists():
        time.sleep(0.05)
    return number


@node
async def take_a_second(number: int) -> int:
    await asyncio.sleep(1)
    return number
