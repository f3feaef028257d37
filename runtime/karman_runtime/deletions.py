"""Deletes of finished messages, collected for a moment so that ten cost one call."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict

from karman_core.domain.errors import KarmanError
from karman_core.ports.queue import Queue
from karman_core.ports.system import Clock

logger = logging.getLogger(__name__)

BATCH = 10
"""What one SQS call deletes."""

LINGER_SECONDS = 0.02
"""How long a delete waits for company. It only has to be done before the lease ends."""

TRIES = 4


class Deletions:
    """A buffer of receipts that a background task empties.

    A delete that fails to the end is dropped: the message is delivered again, and whoever gets it finds the work done.
    """

    def __init__(self, queue: Queue, clock: Clock) -> None:
        self._queue = queue
        self._clock = clock
        self._pending: defaultdict[str, list[str]] = defaultdict(list)
        self._any = asyncio.Event()
        self._batch = asyncio.Event()
        self._closed = False

    def add(self, queue: str, receipt: str) -> None:
        """Have the message deleted soon."""
        self._pending[queue].append(receipt)
        self._any.set()
        if len(self._pending[queue]) >= BATCH:
            self._batch.set()

    async def run(self) -> None:
        """Delete what comes in, until closed; what was added before the close is deleted before this returns."""
        while not self._closed:
            await self._any.wait()
            try:
                async with asyncio.timeout(LINGER_SECONDS):
                    await self._batch.wait()
            except TimeoutError:
                pass
            await self.flush()

    def close(self) -> None:
        """Have `run` do the rest and return. Cancelling it instead could lose what it is about to delete."""
        self._closed = True
        self._any.set()
        self._batch.set()

    def forget(self) -> None:
        """Have `run` return without what is pending now: somebody else deletes it."""
        self._pending.clear()
        self.close()

    async def flush(self) -> None:
        """Delete everything that is pending now."""
        self._any.clear()
        self._batch.clear()
        pending, self._pending = self._pending, defaultdict(list)
        for queue, receipts in pending.items():
            await self._delete(queue, receipts)

    async def _delete(self, queue: str, receipts: list[str]) -> None:
        for failures in range(TRIES):
            try:
                await self._queue.delete(queue, receipts)
            except KarmanError as error:
                logger.warning("messages not deleted", extra={"queue": queue, "error": str(error)})
                if not error.retryable:
                    return
                await self._clock.sleep(0.1 * 4**failures)
            else:
                return
