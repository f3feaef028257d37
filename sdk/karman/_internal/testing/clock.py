"""A clock that does not pass by itself, so that an hour's back-off takes no time in a test."""

from __future__ import annotations

import asyncio

START_MS = 1_767_225_600_000
"""2026-01-01T00:00:00Z: runs in tests are dated alike, whenever they are run."""


class SkippingClock:
    """Stands still until it is told to jump.

    Sleeping on it ends when a jump passes the end of the sleep, or, if nobody jumps, after that much real time: what
    waits a moment for others to finish needs no help.

    Args:
        start_ms: what time it is at first, epoch milliseconds.
    """

    def __init__(self, start_ms: int = START_MS) -> None:
        self._now_ms = start_ms
        self._sleepers: set[tuple[int, asyncio.Event]] = set()

    def now_ms(self) -> int:
        """Epoch milliseconds."""
        return self._now_ms

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds of this clock."""
        sleeper = (self._now_ms + round(seconds * 1000), asyncio.Event())
        self._sleepers.add(sleeper)
        woken = asyncio.ensure_future(sleeper[1].wait())
        try:
            # Not wait_for: before Python 3.12 it may swallow a cancellation.
            await asyncio.wait({woken}, timeout=seconds)
            self.jump_to(sleeper[0])
        finally:
            woken.cancel()
            self._sleepers.discard(sleeper)

    def jump_to(self, at_ms: int) -> None:
        """Make it this time, unless it is later already."""
        self._now_ms = max(self._now_ms, at_ms)
        for due_ms, event in self._sleepers:
            if due_ms <= self._now_ms:
                event.set()

    def skip(self, seconds: float) -> None:
        """Let so many seconds pass at once."""
        self.jump_to(self._now_ms + round(seconds * 1000))


class NumberedEntropy:
    """Ids in sequence and draws from the middle, so that a test that is run again sees the same."""

    def __init__(self) -> None:
        self._drawn = 0

    def uniform(self) -> float:
        """Always 0.5."""
        return 0.5

    def token(self) -> str:
        """26 characters of [0-9a-z], counting from 1, with the number in front: ids are made of the first ones."""
        self._drawn += 1
        return f"{self._drawn:010d}".ljust(26, "0")
