"""A worker on the in-memory queue, with an engine that does what a test says and a clock that a test moves."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from karman._internal.testing.clock import NumberedEntropy, SkippingClock
from karman_core.backends.embedded import MEMORY, EmbeddedBackend
from karman_core.engine import Disposition
from karman_core.ports.queue import Depth, Incoming, Outgoing, Queue
from karman_runtime.worker import Worker

QUEUE = "default/test"

Act = Callable[[Incoming], Awaitable[Disposition]]


async def done(message: Incoming) -> Disposition:
    return Disposition.DONE


async def eventually(condition: Callable[[], bool]) -> None:
    """Let others run until the condition holds; the time limit is only for a test that fails."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110  what is waited for sets no event
            await asyncio.sleep(0.001)


async def settled() -> None:
    """Let others of this loop run until they wait for something, by turns and not by time."""
    for _ in range(100):
        await asyncio.sleep(0)


@dataclass
class ScriptedEngine:
    """Acts on a message by its body; keeps track of what is being worked on."""

    acts: dict[str, Act] = field(default_factory=dict)
    otherwise: Act = done
    begun: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    dead: list[str] = field(default_factory=list)
    knows_dead: bool = True
    active: int = 0
    most_active: int = 0
    stopping: Callable[[], bool] = lambda: False

    async def process(
        self, queue: str, message: Incoming, *, stopping: Callable[[], bool], until_ms: int | None = None
    ) -> Disposition:
        self.begun.append(message.body)
        self.stopping = stopping
        self.active += 1
        self.most_active = max(self.most_active, self.active)
        try:
            return await self.acts.get(message.body, self.otherwise)(message)
        finally:
            self.active -= 1
            self.ended.append(message.body)

    async def dead_letter(self, queue: str, message: Incoming) -> bool:
        self.dead.append(message.body)
        return self.knows_dead


class RecordedQueue:
    """The queue port, with a record of the calls and faults that a test plans."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self.calls: list[tuple[str, object]] = []
        self.faults: dict[str, list[Exception]] = {}
        self.receive_gate: asyncio.Event | None = None
        self.extend_gate: asyncio.Event | None = None

    def named(self, call: str) -> list[Any]:
        """The arguments of each call of that name."""
        return [arguments for name, arguments in self.calls if name == call]

    async def create(self, queue: str) -> None:
        await self._queue.create(queue)

    async def send(self, queue: str, messages: Sequence[Outgoing]) -> None:
        await self._queue.send(queue, messages)

    async def receive(
        self, queue: str, *, limit: int = 10, wait_seconds: float = 0.0, lease_seconds: int = 60
    ) -> list[Incoming]:
        self._note("receive", (queue, limit, wait_seconds))
        if self.receive_gate is not None:
            await self.receive_gate.wait()
        return await self._queue.receive(
            queue, limit=limit, wait_seconds=wait_seconds, lease_seconds=lease_seconds
        )

    async def extend(self, queue: str, receipts: Sequence[str], lease_seconds: int) -> list[str]:
        self._note("extend", (tuple(receipts), lease_seconds))
        if self.extend_gate is not None:
            await self.extend_gate.wait()
        return await self._queue.extend(queue, receipts, lease_seconds)

    async def delete(self, queue: str, receipts: Sequence[str]) -> None:
        self._note("delete", tuple(receipts))
        await self._queue.delete(queue, receipts)

    async def bury(self, queue: str, message: Incoming, reason: str) -> None:
        self._note("bury", message.body)
        await self._queue.bury(queue, message, reason)

    async def depth(self, queue: str) -> Depth:
        return await self._queue.depth(queue)

    def _note(self, call: str, arguments: object) -> None:
        self.calls.append((call, arguments))
        if planned := self.faults.get(call):
            raise planned.pop(0)


LONG_SECONDS = 0.5


class BenchClock(SkippingClock):
    """A long sleep ends when a test skips it, and never because the machine stood still for as long."""

    def __init__(self) -> None:
        super().__init__()
        self._long: list[float] = []

    async def sleep(self, seconds: float) -> None:
        if seconds <= LONG_SECONDS:
            return await super().sleep(seconds)
        sleeper = (self.now_ms() + round(seconds * 1000), asyncio.Event())
        self._sleepers.add(sleeper)
        self._long.append(seconds)
        try:
            await sleeper[1].wait()
        finally:
            self._long.remove(seconds)
            self._sleepers.discard(sleeper)

    def sleeps(self, seconds: float) -> bool:
        """Whether somebody is in a sleep of this length."""
        return seconds in self._long


class Bench:
    """Everything a worker needs, in one place."""

    def __init__(self) -> None:
        self.clock = BenchClock()
        self.backend = EmbeddedBackend.open(MEMORY, clock=self.clock, entropy=NumberedEntropy())
        self.queue = RecordedQueue(self.backend.queue)
        self.engine = ScriptedEngine()

    def worker(
        self,
        queues: Sequence[str] = (QUEUE,),
        *,
        concurrency: int = 4,
        lease_seconds: int = 60,
        grace_seconds: float = 30.0,
        max_receives: int | None = None,
        finishes_receives: bool = False,
    ) -> Worker:
        return Worker(
            self.engine,
            self.queue,
            queues,
            clock=self.clock,
            concurrency=concurrency,
            lease_seconds=lease_seconds,
            grace_seconds=grace_seconds,
            max_receives=max_receives,
            finishes_receives=finishes_receives,
        )

    async def called(self, call: str, times: int) -> None:
        """Wait until the queue was called so often."""
        await eventually(lambda: len(self.queue.named(call)) == times)

    async def ended(self, *bodies: str) -> None:
        """Wait until these messages, and no others, have been worked on; in any order."""
        await eventually(lambda: sorted(self.engine.ended) == sorted(bodies))

    async def send(self, *bodies: str, queue: str = QUEUE) -> None:
        await self.queue.create(queue)
        await self.queue.send(queue, [Outgoing(body) for body in bodies])

    async def left(self, queue: str = QUEUE) -> int:
        """Messages that are still in the queue."""
        depth = await self.queue.depth(queue)
        return depth.ready + depth.in_flight + depth.delayed


@asynccontextmanager
async def working(worker: Worker) -> AsyncIterator[asyncio.Task[None]]:
    """The worker, at work within the block and stopped at its end."""
    task = asyncio.create_task(worker.run())
    try:
        yield task
    finally:
        worker.stop()
        await asyncio.wait([task])


class MovedClock:
    """Is moved by the test alone, in either direction, as people do with the clock of a machine."""

    def __init__(self, at_ms: int = 0) -> None:
        self.at_ms = at_ms
        self.sleepers = 0
        self._moved = asyncio.Event()

    def now_ms(self) -> int:
        return self.at_ms

    async def sleep(self, seconds: float) -> None:
        due_ms = self.at_ms + seconds * 1000
        self.sleepers += 1
        try:
            while self.at_ms < due_ms:
                self._moved.clear()
                await self._moved.wait()
        finally:
            self.sleepers -= 1

    def skip(self, seconds: float) -> None:
        self.at_ms += round(seconds * 1000)
        self._moved.set()


class Gate:
    """Nodes that a test holds and lets go."""

    def __init__(self) -> None:
        self._open = asyncio.Event()

    async def __call__(self, message: Incoming) -> Disposition:
        await self._open.wait()
        return Disposition.DONE

    def open(self) -> None:
        self._open.set()
