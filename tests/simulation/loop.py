"""An event loop without a clock of its own: it runs what is ready, in order, and time is what the simulation says.

Only the public interface of event loops is implemented, and of that what the code under test uses: tasks, futures and
timers. Anything else (sockets, threads, signals) raises, because no simulation could repeat it.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

_Callback = Callable[..., object]
_Base: Any = asyncio.AbstractEventLoop
"""What is not implemented raises NotImplementedError, as the base class has it."""


class SimulationLoop(_Base):  # type: ignore[misc]  # typed as Any, or it would have to implement sockets
    """Runs callbacks first in, first out; `now` is seconds of simulated time."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._ready: deque[tuple[asyncio.Handle, _Callback, tuple[Any, ...], contextvars.Context]] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle, _Callback, tuple[Any, ...], Any]] = []
        self._order = 0
        self.failures: list[dict[str, Any]] = []
        self.on_task: Callable[[asyncio.Task[Any], contextvars.Context], None] = lambda _task, _context: None

    def run_ready(self) -> None:
        """Run callbacks until none is ready."""
        ready = self._ready
        while ready:
            handle, callback, arguments, context = ready.popleft()
            if not handle.cancelled():
                context.run(callback, *arguments)

    def complete(self, work: Coroutine[Any, Any, Any]) -> Any:
        """The result of work that waits for nothing but itself."""
        task = self.create_task(work)
        self.run_ready()
        if not task.done():
            task.cancel()
            raise RuntimeError("work that should not have to wait waits")
        return task.result()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Be the running loop of this thread, beside or inside another one."""
        before = asyncio.events._get_running_loop()  # noqa: SLF001  meant for those who write loops
        asyncio.events._set_running_loop(self)  # noqa: SLF001
        try:
            yield
        finally:
            asyncio.events._set_running_loop(before)  # noqa: SLF001

    # --- timers -------------------------------------------------------------------------------------------------------

    def next_timer(self) -> float | None:
        """When the next timer is due; None for none."""
        while self._timers and self._timers[0][2].cancelled():
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def fire_timers(self) -> None:
        """Make ready what is due."""
        while (due := self.next_timer()) is not None and due <= self._now():
            _, _, handle, callback, arguments, context = heapq.heappop(self._timers)
            self._ready.append((handle, callback, arguments, context))

    # --- what asyncio asks for ----------------------------------------------------------------------------------------

    def time(self) -> float:
        """Seconds of simulated time."""
        return self._now()

    def call_soon(self, callback: _Callback, *args: Any, context: Any = None) -> asyncio.Handle:
        """Run the callback when those before it have run."""
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append((handle, callback, args, context or contextvars.copy_context()))
        return handle

    def call_soon_threadsafe(self, callback: _Callback, *args: Any, context: Any = None) -> asyncio.Handle:
        """The same: there is one thread."""
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self, delay: float, callback: _Callback, *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        """Run the callback after so many seconds of simulated time."""
        return self.call_at(self._now() + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: _Callback, *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        """Run the callback at a simulated time."""
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self._order += 1
        heapq.heappush(
            self._timers, (when, self._order, handle, callback, args, context or contextvars.copy_context())
        )
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """TimerHandle tells of its cancelling; such timers are dropped when they come up."""

    def create_future(self) -> asyncio.Future[Any]:
        """A future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: str | None = None, context: Any = None) -> asyncio.Task[Any]:
        """A task of this loop."""
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, name=name, context=context)
        self.on_task(task, context or contextvars.copy_context())
        return task

    def get_debug(self) -> bool:
        """No."""
        return False

    def is_running(self) -> bool:
        """Yes, whenever anybody asks."""
        return True

    def is_closed(self) -> bool:
        """No: it holds nothing that could be closed."""
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Keep what nobody took care of."""
        self.failures.append(context)
