"""A worker for tests: works on every queue, and lets time jump when there is nothing to do."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

from karman._internal.testing.clock import SkippingClock
from karman._internal.testing.executor import WorkerCrashed
from karman_core.backends.embedded import EmbeddedBackend
from karman_core.engine import Disposition, Engine
from karman_core.ports.queue import Incoming

_LOOK_SECONDS = 0.02
"""How often queues are looked at while nodes run, for what these have sent on."""


class Driver:
    """Works until a run has ended, or nothing is left that could happen.

    Args:
        engine: with an executor.
        backend: whose queues are worked on.
        clock: the backend's and the engine's.
        deliveries: how often each message is delivered; above 1 as a queue that delivers at least once may do.
    """

    def __init__(
        self, engine: Engine, backend: EmbeddedBackend, clock: SkippingClock, *, deliveries: int = 1
    ) -> None:
        self._engine = engine
        self._backend = backend
        self._clock = clock
        self._deliveries = deliveries
        self._delivered: Counter[str] = Counter()
        self._working: set[asyncio.Task[None]] = set()

    async def drive(
        self, *, ended: Callable[[], Awaitable[bool]], act: Callable[[], Awaitable[bool]], until_ms: int
    ) -> None:
        """Work.

        Args:
            ended: asked when nothing is ready: whether to leave it at that, whatever may be due later.
            act: called when nothing is ready: whether it has done something, so that there may be.
            until_ms: time does not jump further.

        Raises:
            BackendError: a port failed, which the embedded backend does not do by itself.
        """
        try:
            while await self._busy() or (not await ended() and (await act() or self._jump(until_ms))):
                pass
        finally:
            for task in self._working:
                task.cancel()
            await asyncio.gather(*self._working, return_exceptions=True)

    async def _busy(self) -> bool:
        for task in [task for task in self._working if task.done()]:
            self._working.discard(task)
            task.result()
        received = await self._receive()
        if not received and self._working:
            await asyncio.wait(self._working, timeout=_LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        return received or bool(self._working)

    async def _receive(self) -> bool:
        found = False
        for queue in self._backend.queue.queues():
            lease_seconds = self._engine.settings.lease_seconds
            for message in await self._backend.queue.receive(queue, lease_seconds=lease_seconds):
                self._working.add(asyncio.create_task(self._work(queue, message)))
                found = True
        return found

    async def _work(self, queue: str, message: Incoming) -> None:
        try:
            disposition = await self._engine.process(queue, message)
        except WorkerCrashed:
            return  # the message comes again when its lease ends
        if disposition is not Disposition.DONE:
            return
        self._delivered[message.id] += 1
        if self._delivered[message.id] < self._deliveries:
            await self._backend.queue.extend(queue, [message.receipt], 0)
        else:
            await self._backend.queue.delete(queue, [message.receipt])

    def _jump(self, until_ms: int) -> bool:
        """Make it the time when the next thing is due; False if nothing is, or too late."""
        due_ms = next_due_ms(self._backend)
        if due_ms is None or due_ms > until_ms:
            return False
        self._clock.jump_to(due_ms)
        return True


def next_due_ms(backend: EmbeddedBackend) -> int | None:
    """When the next hidden message or timer is due, epoch milliseconds; None if there is none."""
    with backend.database.read() as connection:
        found = connection.execute(
            "SELECT min(due) FROM"
            " (SELECT min(hidden_until) AS due FROM messages UNION ALL SELECT min(at_ms) FROM timers)"
        ).fetchone()
    return None if found[0] is None else int(found[0])
