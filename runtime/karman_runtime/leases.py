"""Leases of the messages in flight, and the heartbeat that extends them.

A message is hidden from other workers until its lease ends. While the engine works on it, the lease is extended every
third of its length, so that two beats may fail before another worker takes the message over. A lease that was lost all
the same is noted and no more: the work goes on, since the commit decides whose result counts.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import dataclass

from karman_core.domain.errors import KarmanError
from karman_core.ports.observer import LeaseLost, Observer
from karman_core.ports.queue import Incoming, Queue
from karman_core.ports.system import Clock

logger = logging.getLogger(__name__)

BEATS_PER_LEASE = 3
RETRY_BEATS_PER_LEASE = 12
"""After a beat that failed, the next one comes sooner."""


@dataclass(slots=True)
class Lease:
    """One message in flight. `stale` when the queue said that it belongs to another delivery by now."""

    queue: str
    message: Incoming
    receipt: str
    stale: bool = False


class Leases:
    """Every lease that this worker holds, by queue and message."""

    def __init__(
        self, queue: Queue, clock: Clock, lease_seconds: int, observer: Observer | None = None
    ) -> None:
        self._queue = queue
        self._clock = clock
        self._lease_seconds = lease_seconds
        self._observer = observer
        self._held: dict[tuple[str, str], Lease] = {}
        self.stale_count = 0
        self.last_beat_ms: int | None = None

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, queue: str, message: Incoming) -> Lease | None:
        """Hold the lease of a message that was received; None when this worker is at work on the message already.

        The queue delivers a message again when a beat came too late, for example because an `async` node blocked the
        event loop. Running it a second time here would help no one: the new receipt replaces the old one instead, so
        that the beats and the delete that follow name the delivery that counts.
        """
        held = self._held.get((queue, message.id))
        if held is not None:
            held.receipt = message.receipt
            held.stale = False
            return None
        lease = Lease(queue, message, message.receipt)
        self._held[queue, message.id] = lease
        return lease

    def release(self, lease: Lease) -> None:
        """Extend it no more."""
        self._held.pop((lease.queue, lease.message.id), None)

    async def beat_forever(self) -> None:
        """Extend all leases every third of their length, until cancelled."""
        interval = self._lease_seconds / BEATS_PER_LEASE
        pause = interval
        while True:
            due_ms = self._clock.now_ms() + int(pause * 1000)
            await self._clock.sleep(pause)
            self._warn_if_late(self._clock.now_ms() - due_ms, interval)
            pause = interval if await self.beat() else self._lease_seconds / RETRY_BEATS_PER_LEASE

    async def beat(self) -> bool:
        """Extend every lease once, one call a queue. False when a queue could not be asked."""
        by_queue: defaultdict[str, list[Lease]] = defaultdict(list)
        for lease in self._held.values():
            if not lease.stale:
                by_queue[lease.queue].append(lease)
        answers = [await self._extend(queue, leases) for queue, leases in by_queue.items()]
        self.last_beat_ms = self._clock.now_ms()
        return all(answers)

    async def _extend(self, queue: str, leases: list[Lease]) -> bool:
        by_receipt = {lease.receipt: lease for lease in leases}
        try:
            lost = await self._queue.extend(queue, list(by_receipt), self._lease_seconds)
        except KarmanError as error:
            logger.warning("leases not extended", extra={"queue": queue, "error": str(error)})
            return False
        for receipt in lost:
            self._note_stale(by_receipt[receipt], receipt)
        return True

    def _note_stale(self, lease: Lease, receipt: str) -> None:
        held = self._held.get((lease.queue, lease.message.id))
        if held is not lease or lease.receipt != receipt:
            return  # it ended, or came again with a new receipt, while the queue was being asked
        lease.stale = True
        self.stale_count += 1
        if self._observer is not None:
            self._observer.observe(LeaseLost(lease.queue, lease.message.id))
        logger.warning("lease lost", extra={"queue": lease.queue, "message_id": lease.message.id})

    def _warn_if_late(self, late_ms: int, interval: float) -> None:
        if late_ms > interval * 1000:
            logger.warning(
                "event loop blocked: an async node computes or waits without `await`; write it as a plain function, "
                "which runs in a thread",
                extra={"blocked_seconds": round(late_ms / 1000, 1)},
            )
