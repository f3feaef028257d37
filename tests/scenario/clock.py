"""Time and chance of a scenario: both belong to the test."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random

START_MS = 1_767_225_600_000
"""2026-01-01T00:00:00Z. Real dates, so that times have as many digits as in production."""


class ManualClock:
    """Stands still until somebody advances it; sleepers then wake in order. For one event loop."""

    def __init__(self, start_ms: int = START_MS) -> None:
        self._now_ms = start_ms
        self._order = itertools.count()
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []

    def now_ms(self) -> int:
        """Epoch milliseconds."""
        return self._now_ms

    async def sleep(self, seconds: float) -> None:
        """Return once the clock was advanced by so much."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now_ms + round(seconds * 1000), next(self._order), waiter))
        await waiter

    def advance(self, seconds: float) -> None:
        """Let so much time pass at once."""
        self.advance_to(self._now_ms + round(seconds * 1000))

    def advance_to(self, at_ms: int) -> None:
        """Make it this time, unless it is later already."""
        self._now_ms = max(self._now_ms, at_ms)
        while self._sleepers and self._sleepers[0][0] <= self._now_ms:
            waiter = heapq.heappop(self._sleepers)[2]
            if not waiter.done():
                waiter.set_result(None)

    def next_wake_ms(self) -> int | None:
        """When the next sleeper wakes; None if nobody sleeps."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else None


class SeededEntropy:
    """Draws and ids that are the same in every run of a test; `draws` are given out first."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)
        self._tokens = itertools.count(1)
        self.draws: list[float] = []

    def uniform(self) -> float:
        """A number in [0, 1)."""
        return self.draws.pop(0) if self.draws else self._random.random()

    def token(self) -> str:
        """26 characters of [0-9a-z], with the number in front: ids are made of the first ones."""
        return f"{next(self._tokens):010d}".ljust(26, "0")
