"""The worker: receives messages from task queues and lets the engine work on several at a time.

It owns what lies between a queue and the engine: how many messages are held, whose leases are extended, what is
deleted, and how it ends. What a message means is the engine's business alone. Nothing here is needed for correctness:
a worker may be killed at any point, and what it held is delivered again when the leases end.

Ending has three steps. *Stopping*: nothing more is received, and the engine begins no further state (`stopping()`).
*Grace*: nodes that are running may finish. *Giving back*: what still runs is cancelled, and the engine sends the work
back to the queue for another worker.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from karman_core.domain.errors import KarmanError
from karman_core.engine import Disposition
from karman_core.ports.observer import Observer
from karman_core.ports.queue import Incoming, Queue
from karman_core.ports.system import Clock
from karman_runtime.deletions import Deletions
from karman_runtime.leases import Lease, Leases
from karman_runtime.slots import Slots

logger = logging.getLogger(__name__)

RECEIVE_LIMIT = 10
"""The most that one receive gives (the queue port, SQS)."""

LINGER_SECONDS = 0.005
"""A receiver that finds few free slots waits this long for more, so that a busy worker receives in batches."""

LONGEST_PAUSE_SECONDS = 30.0
"""The back-off of a receiver whose queue throttles or does not answer grows up to this."""

GIVE_BACK_SECONDS = 5.0
"""How long the engine has to send the work of cancelled messages back."""


class Processor(Protocol):
    """What the worker needs of the engine."""

    async def process(
        self, queue: str, message: Incoming, *, stopping: Callable[[], bool], until_ms: int | None = None
    ) -> Disposition:
        """Work on one message and say what becomes of it."""
        ...

    async def dead_letter(self, queue: str, message: Incoming) -> bool:
        """Make a run go on without a message; False for one that is of no run."""
        ...


@dataclass(frozen=True, slots=True)
class WorkerSnapshot:
    """What a worker is doing, for health checks and metrics.

    Attributes:
        in_flight, free_slots: messages being worked on, and room for more.
        received, finished: messages so far; `finished` were deleted or are about to be.
        kept: messages left to be delivered again because the engine said so.
        failed: messages whose processing raised, which is a fault of the backend or of Karman.
        lost_leases: messages that were delivered elsewhere while this worker was at work on them.
        last_receive_ms: when a queue last answered, epoch milliseconds; old means that none can be reached.
    """

    queues: tuple[str, ...]
    stopping: bool
    in_flight: int
    free_slots: int
    received: int
    finished: int
    kept: int
    failed: int
    lost_leases: int
    last_receive_ms: int | None
    last_beat_ms: int | None


class Worker:
    """Works on the messages of some queues until stopped. One instance serves one `run` or `run_until`."""

    def __init__(  # noqa: PLR0913  what a deployment may tune
        self,
        engine: Processor,
        queue: Queue,
        queues: Sequence[str],
        *,
        clock: Clock,
        concurrency: int = 16,
        lease_seconds: int = 60,
        grace_seconds: float = 30.0,
        wait_seconds: float = 20.0,
        max_receives: int | None = None,
        finishes_receives: bool = False,
        observer: Observer | None = None,
    ) -> None:
        """Make a worker.

        Args:
            engine: works on a message.
            queue: the queue port.
            queues: names of the task queues, which exist.
            clock: for heartbeats, back-off and grace.
            concurrency: messages held at once; at least one for each queue.
            lease_seconds: how long a message stays hidden after this worker dies.
            grace_seconds: how long running nodes may take to finish once the worker stops.
            wait_seconds: how long one receive waits for a message (at most 20).
            finishes_receives: when stopping, wait for receives under way, and give back what they get; for queues that
                go on with a receive whose caller was cancelled.
            max_receives: a message that was received more often is dead; None where the queue itself sees to that.
            observer: is told of leases that were lost.
        """
        if not queues or concurrency < len(queues):
            raise ValueError("a worker needs at least one queue and a slot for each of them")
        self._engine = engine
        self._queue = queue
        self._queues = tuple(queues)
        self._clock = clock
        self._grace_seconds = grace_seconds
        self._wait_seconds = wait_seconds
        self._lease_seconds = lease_seconds
        self._max_receives = max_receives
        self._finishes_receives = finishes_receives
        self._unfinished: set[asyncio.Task[None]] = set()
        self._slots = Slots(concurrency)
        self._leases = Leases(queue, clock, lease_seconds, observer)
        self._deletions = Deletions(queue, clock)
        self._work: set[asyncio.Task[None]] = set()
        self._stop = asyncio.Event()
        self._received = self._finished = self._kept = self._failed = 0
        self._last_receive_ms: int | None = None

    # --- from outside -------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Begin to end: `run` returns when what is in flight has finished or was given back."""
        self._stop.set()

    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stop.is_set()

    def snapshot(self) -> WorkerSnapshot:
        """What the worker is doing now."""
        return WorkerSnapshot(
            queues=self._queues,
            stopping=self.stopping(),
            in_flight=len(self._leases),
            free_slots=self._slots.total - len(self._leases),
            received=self._received,
            finished=self._finished,
            kept=self._kept,
            failed=self._failed,
            lost_leases=self._leases.stale_count,
            last_receive_ms=self._last_receive_ms,
            last_beat_ms=self._leases.last_beat_ms,
        )

    async def run(self) -> None:
        """Work until `stop`."""
        await self.run_until(self._stop.wait())

    async def run_until(self, ended: Awaitable[object]) -> None:
        """Work until `ended` completes (or `stop`), then end in the three steps; raises what `ended` raised.

        Raises BackendError too when a queue fails in a way that trying again cannot mend.
        """
        until = asyncio.ensure_future(ended)
        stopped = asyncio.create_task(self._stop.wait())
        heartbeat = asyncio.create_task(self._leases.beat_forever())
        deleting = asyncio.create_task(self._deletions.run())
        receivers = [asyncio.create_task(self._receive_forever(queue)) for queue in self._queues]
        all_tasks = [until, stopped, heartbeat, deleting, *receivers]
        try:
            await asyncio.wait(all_tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._stop.set()
            await _cancel([*receivers, stopped])
            await self._drain()
            self._deletions.close()
            await asyncio.wait([deleting, *self._unfinished])
            await _cancel([heartbeat, until])
        for task in all_tasks:
            if not task.cancelled():
                task.result()

    # --- receiving ----------------------------------------------------------------------------------------------------

    async def _receive_forever(self, queue: str) -> None:
        failures = 0
        # Stopping is asked for beside being cancelled: a clock or an adapter may swallow a cancellation
        # (`asyncio.wait_for` does, before Python 3.12).
        while not self.stopping():
            try:
                await self._receive(queue)
                failures = 0
            except KarmanError as error:
                if not error.retryable:
                    raise
                pause = min(0.1 * 2**failures, LONGEST_PAUSE_SECONDS)
                failures += 1
                logger.warning("receive failed", extra={"queue": queue, "error": str(error), "pause": pause})
                await self._clock.sleep(pause)

    async def _receive(self, queue: str) -> None:
        """Receive once and begin the work.

        With several queues no receiver may sit on slots while it waits for a message, or an idle queue would starve
        a busy one. It asks for as many as there is room for without waiting; only when there are none, it waits with
        one slot.
        """
        slots = await self._reserve()
        alone = len(self._queues) == 1
        taken = await self._take(queue, slots, self._wait_seconds if alone else 0.0)
        if not taken and not alone:
            slots = await self._slots.reserve(1)
            await self._take(queue, slots, self._wait_seconds)

    async def _reserve(self) -> int:
        wanted = min(RECEIVE_LIMIT, self._slots.total)
        slots = await self._slots.reserve(wanted)
        if slots < wanted:
            await self._clock.sleep(LINGER_SECONDS)
            more = min(wanted - slots, self._slots.free)
            slots += await self._slots.reserve(more) if more else 0
        return slots

    async def _take(self, queue: str, slots: int, wait_seconds: float) -> int:
        """Receive up to `slots` messages into the reserved slots; those that stay empty are released."""
        taken = 0
        try:
            if self.stopping():
                return 0
            messages = await self._messages(queue, slots, wait_seconds)
            self._last_receive_ms = self._clock.now_ms()
            self._received += len(messages)
            for message in messages:
                if (lease := self._leases.hold(queue, message)) is not None:
                    self._begin(lease)
                    taken += 1
        finally:
            self._slots.release(slots - taken)
        return taken

    async def _messages(self, queue: str, limit: int, wait_seconds: float) -> list[Incoming]:
        receiving = asyncio.create_task(
            self._queue.receive(
                queue, limit=limit, wait_seconds=wait_seconds, lease_seconds=self._lease_seconds
            )
        )
        try:
            return await asyncio.shield(receiving)
        except asyncio.CancelledError:
            if self._finishes_receives:
                self._unfinished.add(asyncio.create_task(self._return(queue, receiving)))
            else:
                receiving.cancel()
            raise

    async def _return(self, queue: str, receiving: asyncio.Task[list[Incoming]]) -> None:
        """Give back what a receive got after the worker was stopped."""
        try:
            messages = await receiving
            if messages:
                await self._queue.extend(queue, [message.receipt for message in messages], 0)
        except KarmanError as error:
            logger.warning("messages not returned", extra={"queue": queue, "error": str(error)})

    # --- working ------------------------------------------------------------------------------------------------------

    def _begin(self, lease: Lease) -> None:
        task = asyncio.create_task(self._process(lease), name=f"{lease.queue} {lease.message.id}")
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    async def _process(self, lease: Lease) -> None:
        try:
            disposition = await self._disposition(lease)
            if disposition is Disposition.DONE:
                self._finished += 1
                self._deletions.add(lease.queue, lease.receipt)
            else:
                self._kept += 1
        except KarmanError as error:
            self._failed += 1
            await self._put_off(lease, error)
        except Exception:  # a fault in one message must not reach the others
            self._failed += 1
            logger.exception("message failed", extra=_fields(lease))
        finally:
            self._leases.release(lease)
            self._slots.release()

    async def _disposition(self, lease: Lease) -> Disposition:
        message = lease.message
        if self._max_receives is None or message.receive_count <= self._max_receives:
            return await self._engine.process(lease.queue, message, stopping=self.stopping)
        logger.error("message is dead", extra=_fields(lease))
        if await self._engine.dead_letter(lease.queue, message):
            return Disposition.DONE
        await self._queue.bury(lease.queue, message, f"received {message.receive_count} times")
        return Disposition.KEEP

    async def _put_off(self, lease: Lease, error: KarmanError) -> None:
        """Have the message delivered again: soon if the backend was busy, else when its lease ends."""
        logger.warning(
            "message failed", extra={**_fields(lease), "error": str(error)}, exc_info=not error.retryable
        )
        if not error.retryable:
            return
        pause = min(2**lease.message.receive_count, self._lease_seconds)
        try:
            await self._queue.extend(lease.queue, [lease.receipt], pause)
        except KarmanError as refused:
            logger.warning("message not put off", extra={**_fields(lease), "error": str(refused)})

    # --- ending -------------------------------------------------------------------------------------------------------

    async def _drain(self) -> None:
        await self._finish_within(self._grace_seconds)
        if self._work:
            logger.warning("grace is over, giving work back", extra={"in_flight": len(self._work)})
            for task in self._work:
                task.cancel()
            await self._finish_within(GIVE_BACK_SECONDS)
        if self._work:
            logger.error("work abandoned until its lease ends", extra={"in_flight": len(self._work)})

    async def _finish_within(self, seconds: float) -> None:
        """Wait until no message is in flight, at most so long by the worker's clock."""
        if not self._work:
            return
        deadline = asyncio.create_task(self._clock.sleep(seconds))
        try:
            while self._work and not deadline.done():
                await asyncio.wait([*self._work, deadline], return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _cancel([deadline])


async def _cancel(tasks: Collection[asyncio.Future[Any]]) -> None:
    """Cancel tasks and wait until they have ended; what they raise stays in them."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


def _fields(lease: Lease) -> dict[str, object]:
    message = lease.message
    return {"queue": lease.queue, "message_id": message.id, "receive_count": message.receive_count}
