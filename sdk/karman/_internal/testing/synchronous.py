"""For tests that are no `async def`."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from karman.errors import KarmanError

T = TypeVar("T")


def run_sync(coroutine: Coroutine[Any, Any, T], instead: str) -> T:
    """Run a coroutine on an event loop of its own.

    Args:
        coroutine: what to run.
        instead: what to await where a loop runs already.

    Raises:
        KarmanError: if a loop runs already.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    coroutine.close()
    raise KarmanError(f"An event loop is running already; in an async test write `await {instead}(...)`.")
