"""For tests that are no `async def`."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from karman._internal.loops import on_loop
from karman.errors import KarmanError

P = ParamSpec("P")
T = TypeVar("T")


def synchronous(function: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """A plain function that runs an async one on an event loop of its own.

    It raises KarmanError where a loop runs already.
    """

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        if on_loop():
            instead = f"await {function.__name__}(...)"
            raise KarmanError(f"An event loop is running already; in an async test write `{instead}`.")
        return asyncio.run(function(*args, **kwargs))

    return run
