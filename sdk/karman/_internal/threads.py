"""Threads for nodes that are no `async def`.

Not a ThreadPoolExecutor: a node past its timeout cannot be stopped, only left behind. Here it gives its place in the
pool to a fresh thread, and, being a daemon, does not keep the process from exiting.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Returned:
    """A function's result."""

    value: object


@dataclass(frozen=True, slots=True)
class Raised:
    """What a function raised, as a value: a future refuses StopIteration, and the loop stops at SystemExit."""

    error: BaseException


Ended: TypeAlias = Returned | Raised


class Threads:
    """At most `limit` functions at a time, each in a thread of its own. Belongs to one event loop."""

    def __init__(self, limit: int) -> None:
        self._places = asyncio.Semaphore(limit)
        self._idle: list[_Thread] = []

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Wait for a place; `run` is to be called inside. Apart from it, so that waiting is not timed."""
        async with self._places:
            yield

    async def run(self, function: Callable[[], object]) -> Ended:
        """Call the function, with a copy of the caller's contextvars. Cancelled, it leaves the thread behind."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Ended] = loop.create_future()
        thread = self._idle.pop() if self._idle else _Thread()
        thread.work.put(_Call(function, contextvars.copy_context(), loop, future))
        try:
            ended = await future
        except asyncio.CancelledError:
            thread.work.put(None)
            raise
        self._idle.append(thread)
        return ended

    def close(self) -> None:
        """Let idle threads end; busy ones end with their function."""
        while self._idle:
            self._idle.pop().work.put(None)


@dataclass(frozen=True, slots=True)
class _Call:
    function: Callable[[], object]
    context: contextvars.Context
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Ended]

    def perform(self) -> None:
        ended = self.context.run(_call, self.function)
        try:
            self.loop.call_soon_threadsafe(self._report, ended)
        except RuntimeError:
            return  # the loop was closed meanwhile: nobody waits for the result

    def _report(self, ended: Ended) -> None:
        if not self.future.done():
            self.future.set_result(ended)


def _call(function: Callable[[], object]) -> Ended:
    try:
        return Returned(function())
    except BaseException as error:  # noqa: BLE001 - the one place that catches all that a node in a thread raises
        return Raised(error)


class _Thread:
    """A thread that performs what is put to `work`, until that is None."""

    def __init__(self) -> None:
        self.work: SimpleQueue[_Call | None] = SimpleQueue()
        threading.Thread(target=self._perform_all, name="karman-node", daemon=True).start()

    def _perform_all(self) -> None:
        while (call := self.work.get()) is not None:
            call.perform()
            del call  # or an idle thread would keep the node and its inputs alive
