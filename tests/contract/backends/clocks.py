"""The clocks of the contract suite: one that tests move, and the real one for emulators."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar

from karman_core.backends.system import SystemClock
from tests.contract.backends import SuiteClock

T = TypeVar("T")

START_MS = 1_767_225_600_000
"""2026-01-01T00:00:00Z. Real dates, so that times have as many digits as in production."""

_TURNS = 5
"""How often `advance` lets other tasks of the loop run, before and after it moves the time."""


class RealClock(SystemClock):
    """The wall clock; to advance it is to wait."""

    async def advance(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


class ManualClock:
    """A clock that stands still until a test advances it. Sleepers of any thread wake when their time has come."""

    def __init__(self, start_ms: int = START_MS) -> None:
        self._now_ms = start_ms
        self._lock = threading.Lock()
        self._order = itertools.count()
        self._sleepers: list[tuple[int, int, asyncio.AbstractEventLoop, asyncio.Future[None]]] = []

    def now_ms(self) -> int:
        """Epoch milliseconds."""
        return self._now_ms

    async def sleep(self, seconds: float) -> None:
        """Return once the clock was advanced by so much."""
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        with self._lock:
            until = self._now_ms + round(seconds * 1000)
            heapq.heappush(self._sleepers, (until, next(self._order), loop, waiter))
        if seconds <= 0:
            await self.advance(0)
        await waiter

    async def advance(self, seconds: float) -> None:
        """Move the time at once; tasks of this loop that wait for something else get a few turns before and after."""
        await _let_others_run()
        with self._lock:
            self._now_ms += round(seconds * 1000)
            while self._sleepers and self._sleepers[0][0] <= self._now_ms:
                _, _, loop, waiter = heapq.heappop(self._sleepers)
                if not loop.is_closed():
                    loop.call_soon_threadsafe(_wake, waiter)
        await _let_others_run()


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


async def _let_others_run() -> None:
    for _ in range(_TURNS):
        await asyncio.sleep(0)


async def in_time(clock: SuiteClock, seconds: float, attempt: Callable[[int], Awaitable[T]]) -> T:
    """What an attempt found within so many seconds, in which something is not yet to happen.

    One that took longer, because the machine stood still, tells nothing: it is made again, under another number.
    """
    for number in range(10):
        began_ms = clock.now_ms()
        found = await attempt(number)
        if clock.now_ms() - began_ms < seconds * 1000:
            return found
    raise AssertionError(f"no attempt took less than {seconds} s")
