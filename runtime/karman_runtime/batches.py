"""A batch of messages that somebody else received: Lambda, from SQS. Worked on together, each for itself.

- Leases: one call at the start shortens the visibility that the queue gave (it has to exceed the function's time-out)
  to the lease; heartbeats extend it. If the process dies, others get the work a lease later. No message is worked on
  before the call has returned: a node that kills the process at once would keep the whole batch from others for the
  queue's visibility, which is hours. Only if SQS does not answer for a while the work begins all the same.
- Ends: a message that is finished while others go on is deleted at once. Those that are finished when the batch is are
  left to whoever received it, who deletes what it is not told to keep.
- Faults: an error of one message keeps that message, for another delivery, and touches no other. One that kills the
  process cannot be told from its mates; so a message that was received several times already is worked on after all
  others, and by itself.
- Time: nodes are stopped at `until_ms`, and then have their outcomes committed; at `cancel_ms` the engine gives back
  what still goes on; at `end_ms` the rest is left to its leases.
"""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from karman_core.domain.errors import KarmanError
from karman_core.engine import Disposition
from karman_core.ports.observer import Observer
from karman_core.ports.queue import Incoming, Queue
from karman_core.ports.system import Clock
from karman_runtime.deletions import Deletions
from karman_runtime.leases import Lease, Leases
from karman_runtime.worker import Processor

logger = logging.getLogger(__name__)

SHORTENING_SECONDS = 2.0
"""So long the work waits for its leases. Usually it takes milliseconds."""

SUSPECT_RECEIVES = 3
"""Received so often, a message may be the one that kills its workers; a busy backend has messages come twice, too."""


@dataclass(frozen=True, slots=True)
class Times:
    """When a batch has to come to its end, epoch milliseconds; see the module."""

    begun_ms: int
    until_ms: int
    cancel_ms: int
    end_ms: int

    @classmethod
    def within(cls, now_ms: int, remaining_ms: int, handover_seconds: float) -> Times:
        """Of an invocation with so much time left: the hand-over takes a quarter of it at most."""
        handover = min(handover_seconds * 1000, remaining_ms / 4)
        end = now_ms + remaining_ms
        return cls(now_ms, int(end - handover), int(end - handover / 4), int(end - handover / 10))


@dataclass(slots=True)
class BatchWorker:
    """Works on batches of one task queue, one at a time.

    Attributes:
        queue: the queue port; `name`: of the task queue.
        stopping: the process is to end: no further states are begun.
    """

    engine: Processor
    queue: Queue
    name: str
    clock: Clock
    lease_seconds: int
    observer: Observer | None = None
    stopping: bool = field(default=False, init=False)

    async def work(self, messages: Sequence[Incoming], times: Times) -> list[str]:
        """Work on all of them. Returns the ids of those that are to be delivered again."""
        return await _Batch(self, times).work(messages)


class _Batch:
    """One of them."""

    def __init__(self, worker: BatchWorker, times: Times) -> None:
        self._worker = worker
        self._times = times
        self._leases = Leases(worker.queue, worker.clock, worker.lease_seconds, worker.observer)
        self._deletions = Deletions(worker.queue, worker.clock)
        self._done: set[str] = set()

    async def work(self, messages: Sequence[Incoming]) -> list[str]:
        leases = [lease for one in messages if (lease := self._leases.hold(self._worker.name, one))]
        shortening = asyncio.create_task(self._leases.beat())
        beating = asyncio.create_task(self._leases.beat_forever())
        deleting = asyncio.create_task(self._deletions.run())
        try:
            await self._within_time(asyncio.create_task(self._begin(shortening, leases)))
        finally:
            self._deletions.forget()
            beating.cancel()
            await asyncio.wait([shortening, beating, deleting])
        return [message.id for message in messages if message.id not in self._done]

    async def _within_time(self, working: asyncio.Task[None]) -> None:
        """Wait for the work; in the end cancel it, which has the engine give back what it is at."""
        await self._wait_until(self._times.cancel_ms, working)
        if not working.done():
            logger.warning("time is over, giving work back", extra={"in_flight": len(self._leases)})
            working.cancel()
            await self._wait_until(self._times.end_ms, working)
        if not working.done():
            logger.error("work abandoned until its lease ends", extra={"in_flight": len(self._leases)})

    async def _begin(self, shortening: asyncio.Task[bool], leases: Collection[Lease]) -> None:
        """Process all, once their leases are short."""
        await self._wait_until(self._worker.clock.now_ms() + int(SHORTENING_SECONDS * 1000), shortening)
        if not shortening.done():
            logger.warning("leases not shortened in time", extra={"queue": self._worker.name})
        await self._process_all(leases)

    async def _wait_until(self, at_ms: int, working: asyncio.Task[Any]) -> None:
        seconds = max(0, at_ms - self._worker.clock.now_ms()) / 1000
        deadline = asyncio.create_task(self._worker.clock.sleep(seconds))
        await asyncio.wait([working, deadline], return_when=asyncio.FIRST_COMPLETED)
        deadline.cancel()

    async def _process_all(self, leases: Collection[Lease]) -> None:
        suspects = [lease for lease in leases if lease.message.receive_count >= SUSPECT_RECEIVES]
        others = [lease for lease in leases if lease.message.receive_count < SUSPECT_RECEIVES]
        await self._together(others)
        # In another order each time, so that one which kills the process is not always before the same other.
        for number, lease in enumerate(sorted(suspects, key=_shuffled)):
            if (others or number) and self._late():
                await self._give_back(lease)
            else:
                await self._together([lease])

    async def _together(self, leases: Collection[Lease]) -> None:
        """Process messages side by side. Cancelled, all of them are, and each has the chance to be given back."""
        tasks = [asyncio.create_task(self._process(lease)) for lease in leases]
        try:
            await asyncio.gather(*tasks)
        except asyncio.CancelledError:
            await asyncio.wait(tasks)
            raise

    def _late(self) -> bool:
        """Whether a node might be stopped that would have had time enough in a batch of its own."""
        times = self._times
        return self._worker.clock.now_ms() * 2 > times.begun_ms + times.until_ms

    async def _process(self, lease: Lease) -> None:
        worker, message = self._worker, lease.message
        try:
            disposition = await worker.engine.process(
                lease.queue, message, stopping=lambda: worker.stopping, until_ms=self._times.until_ms
            )
            if disposition is Disposition.DONE:
                self._done.add(message.id)
                if len(self._leases) > 1:
                    self._deletions.add(lease.queue, lease.receipt)
        except KarmanError as error:
            fields = {**_fields(lease), "error": str(error)}
            logger.warning("message failed", extra=fields, exc_info=not error.retryable)
            if error.retryable:
                await self._put_off(lease, min(2**message.receive_count, worker.lease_seconds))
        except Exception:  # a fault in one message must not reach the others
            logger.exception("message failed", extra=_fields(lease))
        finally:
            self._leases.release(lease)

    async def _give_back(self, lease: Lease) -> None:
        self._leases.release(lease)
        await self._put_off(lease, 0)

    async def _put_off(self, lease: Lease, seconds: int) -> None:
        """Have the message delivered again so much later; if that fails, when its lease ends."""
        try:
            await self._worker.queue.extend(lease.queue, [lease.receipt], seconds)
        except KarmanError as refused:
            logger.warning("message not put off", extra={**_fields(lease), "error": str(refused)})


def _shuffled(lease: Lease) -> int:
    return zlib.crc32(f"{lease.message.id} {lease.message.receive_count}".encode())


def _fields(lease: Lease) -> dict[str, object]:
    message = lease.message
    return {"queue": lease.queue, "message_id": message.id, "receive_count": message.receive_count}
