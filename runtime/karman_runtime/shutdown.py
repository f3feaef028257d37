"""SIGTERM and SIGINT: the first one asks to end, the second one ends.

A worker that is asked to end finishes what it does, which may take as long as a node runs. Somebody who presses Ctrl-C
again, or a platform that runs out of patience, gets out at once; the leases see to it that nothing is lost.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)

INTERRUPTED = 130
"""The exit code after a second signal: 128 + SIGINT, as shells have it."""


@contextmanager
def on_signals(ask_to_end: Callable[[], None], at_once: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Within the block, call `ask_to_end` at the first signal; at the second `at_once`, and exit.

    Must be entered while the event loop runs. Outside the main thread, where Python delivers no signals, it does
    nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    asked = False

    def handle(_number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            try:
                at_once()
            finally:  # It may fail: the signal may have come inside of a print, which another print must not enter.
                exit_now(INTERRUPTED)
        asked = True
        # Not `loop.add_signal_handler`: the second signal has to work while a node blocks the loop.
        loop.call_soon_threadsafe(ask_to_end)

    before = {number: signal.signal(number, handle) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def exit_now(code: int) -> None:
    """End the process without waiting for threads, which may run a node that nobody can interrupt."""
    for stream in (sys.stdout, sys.stderr):
        # A signal handler may stand inside a write of the same stream; what it held is lost then.
        with suppress(OSError, RuntimeError, ValueError):
            stream.flush()
    os._exit(code)
