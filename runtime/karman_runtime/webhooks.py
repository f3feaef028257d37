"""Webhooks on one machine: follows the events of the database file, and delivers them.

On AWS a rule of the event bus and Scheduler call a function. Both lead to the same use cases. Here a bookmark says up
to which event all deliveries have begun, and each attempt is a message of a queue: what a process that dies leaves
behind is seen again by the next one, and what happened while none was there is delivered when one is.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final, NoReturn

from karman_core.domain.errors import KarmanError
from karman_core.engine.deliveries import Deliveries
from karman_core.engine.webhook_items import read_due
from karman_core.ports.events import Feed
from karman_core.ports.queue import Incoming, Outgoing, Queue
from karman_core.ports.system import Clock
from karman_core.ports.table import Key, Table
from karman_core.ports.webhooks import WEBHOOKS

logger = logging.getLogger(__name__)

LOOK_SECONDS: Final = 0.5
LEASE_SECONDS: Final = 60
"""An attempt takes a quarter of it at most."""

_BATCH: Final = 100
_AT_ONCE: Final = 20
_WAIT_SECONDS: Final = 20.0
_PAUSE_SECONDS: Final = 5.0
_MOST_RECEIVES: Final = 30
_BOOKMARK: Final = Key("webhooks", "bookmark")


class WebhookLoop:
    """Delivers the events of one database file."""

    def __init__(self, feed: Feed, queue: Queue, table: Table, deliveries: Deliveries, clock: Clock) -> None:
        self._feed = feed
        self._queue = queue
        self._table = table
        self._deliveries = deliveries
        self._clock = clock
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._attempts: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Follow events and make the attempts that are due, until cancelled."""
        await self._queue.create(WEBHOOKS)
        loops = [asyncio.create_task(each) for each in (self._follow_forever(), self._deliver_forever())]
        try:
            await asyncio.gather(*loops)
        finally:
            left = [*loops, *self._attempts]
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    async def follow(self) -> bool:
        """Begin the deliveries of the next events. Returns whether there were any."""
        item = await self._table.get(_BOOKMARK)
        found = self._feed.read(0 if item is None else item["position"], _BATCH)
        for published in found:
            due = await self._deliveries.take(published.event)
            await self._queue.send(WEBHOOKS, [Outgoing(each.body()) for each in due])
        if found:
            await self._table.put({"pk": _BOOKMARK.pk, "sk": _BOOKMARK.sk, "position": found[-1].position})
        return bool(found)

    async def deliver(self, wait_seconds: float = 0.0) -> int:
        """Begin the attempts that are due, as far as there is room; how many. They go on beside."""
        messages = await self._queue.receive(WEBHOOKS, wait_seconds=wait_seconds, lease_seconds=LEASE_SECONDS)
        for message in messages:
            await self._room.acquire()
            task = asyncio.create_task(self._attempt(message))
            self._attempts.add(task)
            task.add_done_callback(self._ended)
        return len(messages)

    async def settle(self) -> None:
        """Wait for the attempts that go on."""
        while self._attempts:
            await asyncio.wait(self._attempts)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._room.release()
        self._attempts.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:  # its message comes again too
            logger.error("webhook attempt broken off", extra={"error": type(error).__name__})

    async def _attempt(self, message: Incoming) -> None:
        due = read_due(message.body)
        try:
            if due is None or message.receive_count > _MOST_RECEIVES:
                await self._queue.bury(
                    WEBHOOKS, message, "no delivery of a webhook, or one that ends nowhere"
                )
                return
            await self._deliveries.attempt(due)
            await self._queue.delete(WEBHOOKS, [message.receipt])
        except KarmanError as error:  # its message comes again when the lease ends
            logger.warning("webhook not attempted", extra={"message_id": message.id, "error": str(error)})

    async def _follow_forever(self) -> NoReturn:
        while True:
            try:
                while await self.follow():
                    pass
            except KarmanError as error:
                logger.warning("events not followed", extra={"error": str(error)})
            await self._clock.sleep(LOOK_SECONDS)

    async def _deliver_forever(self) -> NoReturn:
        while True:
            try:
                await self.deliver(_WAIT_SECONDS)
            except KarmanError as error:
                logger.warning("webhooks not received", extra={"error": str(error)})
                await self._clock.sleep(_PAUSE_SECONDS)
