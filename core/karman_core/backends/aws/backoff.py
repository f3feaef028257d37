"""Work that a service took only in part: what is left is sent again, later and later, and not for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

from karman_core.ports.system import Clock, Entropy

T = TypeVar("T")
R = TypeVar("R")

_ATTEMPTS = 8
_FIRST_SECONDS = 0.05
_LONGEST_SECONDS = 2.0
_AT_ONCE = 8
"""Batches of one call under way together; the other callers of the pool of threads want their turn too."""


class Backoff:
    """Sends batches until nothing of them is left, with full jitter between the tries."""

    def __init__(self, clock: Clock, entropy: Entropy) -> None:
        self._clock = clock
        self._entropy = entropy

    async def exhaust(
        self,
        todo: Sequence[T],
        send: Callable[[Sequence[T]], Awaitable[Sequence[T]]],
        give_up: Callable[[int], Exception],
    ) -> None:
        """Call `send` with what it returned as left before, until nothing is.

        Raises what `give_up` makes of the number left, after several calls in a row that got nothing done. A service
        that does a part of each batch (DynamoDB stops a batch get at 16 MB) is not giving up.
        """
        idle = 0
        while todo:
            left = await send(todo)
            idle = idle + 1 if len(left) == len(todo) else 0
            if left:
                if idle == _ATTEMPTS:
                    raise give_up(len(left))
                longest = min(_LONGEST_SECONDS, _FIRST_SECONDS * 2**idle)
                await self._clock.sleep(longest * self._entropy.uniform())
            todo = left


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Consecutive pieces of at most so many."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


async def each(work: Callable[[T], Awaitable[R]], items: Iterable[T]) -> list[R]:
    """Do the work for every item, a few at a time; results in order. Waits for all before it raises the first error."""
    places = asyncio.Semaphore(_AT_ONCE)

    async def one(item: T) -> R:
        async with places:
            return await work(item)

    results = await asyncio.gather(*(one(item) for item in items), return_exceptions=True)
    done: list[R] = []
    for result in results:
        if isinstance(result, BaseException):
            raise result
        done.append(result)
    return done
