"""Time that passes at once, where a test would have to hope that a loaded machine is quick enough, or slow enough."""

from __future__ import annotations

import asyncio


def leap(seconds: float) -> None:
    """Let so much time pass for the running loop: what sleeps or waits with a time-out for less is due next.

    So a time-out can be one that no machine exceeds by being slow, and yet be exceeded.
    """
    loop = asyncio.get_running_loop()
    before = loop.time
    setattr(loop, "time", lambda: before() + seconds)  # noqa: B010  mypy takes no assignment to a method
