"""Nodes that a function runs in tests; some of them misbehave."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from typing import Any

from karman import Context, node

logger = logging.getLogger(__name__)


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
async def take_a_second(number: int) -> int:
    await asyncio.sleep(1)
    return number
