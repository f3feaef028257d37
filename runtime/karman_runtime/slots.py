"""Slots: how many messages a worker may hold at once."""

from __future__ import annotations

import asyncio


class Slots:
    """A number of slots that several receivers share. A receiver reserves before it asks the queue.

    Reserving first is what keeps a worker from taking messages that it has no room for: they would only wait, hidden
    from workers that are free.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self.free = total
        self._freed = asyncio.Event()

    async def reserve(self, most: int) -> int:
        """Take between 1 and `most` slots; waits until one is free."""
        while self.free == 0:
            self._freed.clear()
            await self._freed.wait()
        taken = min(most, self.free)
        self.free -= taken
        return taken

    def release(self, count: int = 1) -> None:
        """Give slots back."""
        self.free += count
        if count:
            self._freed.set()
