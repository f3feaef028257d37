"""Waking those of this process that wait for a message, in whichever thread and event loop each of them runs.

Other processes are not told; they look again every few milliseconds.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Wakeups:
    """Who waits for which queue."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._loops: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}

    @contextmanager
    def listen(self, queue: str) -> Iterator[asyncio.Event]:
        """An event that is set by every `wake` of the queue from now on."""
        event = asyncio.Event()
        with self._lock:
            self._waiting.setdefault(queue, set()).add(event)
            self._loops[event] = asyncio.get_running_loop()
        try:
            yield event
        finally:
            with self._lock:
                self._waiting[queue].discard(event)
                del self._loops[event]

    def wake(self, queue: str) -> None:
        """Set the events of all who listen to the queue."""
        if not self._loops:  # the usual case on a busy machine: nobody waits
            return
        with self._lock:
            events = [(event, self._loops[event]) for event in self._waiting.get(queue, ())]
        for event, loop in events:
            with suppress(RuntimeError):  # a loop that was closed with a listener in it
                loop.call_soon_threadsafe(event.set)
