"""Deliveries: each event goes to each webhook that wants it, at least once, until the receiver has taken it.

A delivery is an item that is put if absent, so an event that is told twice is one delivery. An attempt is made first
and recorded second, by compare-and-set of the number of attempts; then the timer of the next one is set. A crash in
between leaves the message (or the invocation, or the timer) to come again: it finds that the attempt was not recorded,
and makes it again, or that it was, and sets the timer again.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from dataclasses import replace

from karman_core.domain.errors import ConditionFailed, NotFound
from karman_core.domain.webhooks import Answer, DeliveryStatus, headers, payload, retry_delay_ms, wants
from karman_core.engine.paging import every
from karman_core.engine.services import Services
from karman_core.engine.webhook_items import (
    Due,
    delivery_key,
    detail_of,
    new_delivery,
    secrets_scope,
    webhook_key,
    webhooks_of,
)
from karman_core.ports.events import Event
from karman_core.ports.table import Absent, Action, AllOf, Equals, Item, Present, Query, Remove, Set
from karman_core.ports.timers import Timer
from karman_core.ports.webhooks import WEBHOOKS, Poster

logger = logging.getLogger(__name__)

_BELIEVED_MS = 15_000
"""A secret is remembered for so long, so that a burst of events does not exhaust the service that keeps it."""

_REMEMBERED = 1_000
_GONE = "The receiver answered 410: it wants no more."
_NO_SECRET = "The webhook's secret is not there; rotate it."  # noqa: S105  a message


class Deliveries:
    """Makes deliveries of events, and attempts of deliveries."""

    def __init__(self, services: Services, poster: Poster) -> None:
        self._services = services
        self._poster = poster
        self._secrets: dict[tuple[str, tuple[str, ...]], tuple[int, dict[str, str]]] = {}

    async def take(self, event: Event) -> list[Due]:
        """Begin the deliveries of an event; the attempts that are due now. The same event again begins none anew."""
        graph = str(event.detail.get("graph"))
        query = Query(webhooks_of(event.namespace))
        found = [
            item["sk"]
            async for item in every(self._services.backend.table, query)
            if item["enabled"]
            and item["created"] <= event.at_ms
            and wants(item["events"], item["graphs"], event.kind, graph)
        ]
        begun = await asyncio.gather(*(self.begin(event, webhook_id) for webhook_id in found))
        return [due for due in begun if due is not None]

    async def begin(self, event: Event, webhook_id: str, *, once: bool = False) -> Due | None:
        """Begin one delivery; its first attempt, unless that was made before."""
        item = new_delivery(event, webhook_id, self._services.ttl(), once=once)
        due = Due(event.namespace, webhook_id, item["sk"])
        try:
            await self._services.backend.table.put(item, Absent())
        except ConditionFailed as lost:
            if lost.old is None or lost.old["status"] != DeliveryStatus.PENDING.value:
                return None
            if lost.old["attempts"]:
                await self._set_timer(due, lost.old)
                return None
        return due

    async def again(self, due: Due) -> Item:
        """Make a delivery due now, however it stands; its attempts are counted anew. Raises NotFound."""
        now_ms = self._services.clock.now_ms()
        changes: list[Action] = [
            Set("status", DeliveryStatus.PENDING.value),
            Set("attempts", 0),
            Set("next", now_ms),
        ]
        try:
            item = await self._services.backend.table.update(delivery_key(due), changes, Present())
        except ConditionFailed as lost:
            raise NotFound(f"Webhook '{due.webhook_id}' has no delivery '{due.delivery_id}'.") from lost
        await self._set_timer(due, item)
        return item

    async def resume(self, due: Due) -> None:
        """Have an attempt made in a moment that could not be; of a delivery that has ended, or is none, nothing."""
        item = await self._services.backend.table.get(delivery_key(due))
        if item is not None and item["status"] == DeliveryStatus.PENDING.value:
            await self._set_timer(due, {"next": item["at"], **item})  # The first one was due at once.

    async def attempt(self, due: Due) -> DeliveryStatus | None:
        """Make an attempt, unless it was made before.

        Returns:
            How the delivery stands now; None when it is nothing that this attempt changed.

        Raises:
            BackendError: it is to be made again.
        """
        item = await self._services.backend.table.get(delivery_key(due))
        if item is None or item["status"] != DeliveryStatus.PENDING.value:
            return None
        if item["attempts"] > due.made:
            if item["attempts"] == due.made + 1:
                await self._set_timer(due, item)
            return None
        webhook = await self._services.backend.table.get(webhook_key(due.namespace, due.webhook_id))
        if webhook is None or not webhook["enabled"]:
            return await self._record(due, item, [Set("status", DeliveryStatus.DROPPED.value)])
        answer = await self._post(due, item, webhook)
        if answer.gone:
            await self._disable(due, webhook["url"])
        return await self._record(due, item, self._changes(item, answer))

    async def _post(self, due: Due, item: Item, webhook: Item) -> Answer:
        now_ms = self._services.clock.now_ms()
        secrets = await self._read_secrets(due, webhook, now_ms)
        if not secrets:
            return Answer(error=_NO_SECRET)
        body = payload(item["kind"], item["at"], detail_of(item))
        signed = headers(secrets, item["event"], now_ms // 1000, body)
        return await self._poster.post(webhook["url"], signed, body)

    async def _read_secrets(self, due: Due, webhook: Item, now_ms: int) -> list[str]:
        """The secret, and for a while after a rotation the one before. Their names change with each rotation."""
        names = [webhook["secret"]]
        if now_ms < webhook.get("old_until", 0):
            names.append(webhook["old"])
        key = (due.namespace, tuple(names))
        until, values = self._secrets.get(key, (0, {}))
        if now_ms >= until:
            values = await self._services.backend.secrets.get(secrets_scope(due.namespace), names)
            if len(self._secrets) >= _REMEMBERED:
                self._secrets.clear()
            self._secrets[key] = (now_ms + _BELIEVED_MS, values)
        return [values[name] for name in names if name in values]

    def _changes(self, item: Item, answer: Answer) -> list[Action]:
        now_ms, made = self._services.clock.now_ms(), item["attempts"] + 1
        delay = None
        if not (answer.delivered or answer.gone or item.get("once")):
            uniform = self._services.entropy.uniform()
            delay = retry_delay_ms(made, uniform, answer.retry_after_seconds)
        status = DeliveryStatus.DELIVERED if answer.delivered else DeliveryStatus.FAILED
        status = status if delay is None else DeliveryStatus.PENDING
        optional = {
            "code": answer.status,
            "error": answer.problem,
            "next": None if delay is None else now_ms + delay,
        }
        return [
            Set("status", status.value),
            Set("attempts", made),
            Set("last", now_ms),
            *(Remove(name) if value is None else Set(name, value) for name, value in optional.items()),
        ]

    async def _record(self, due: Due, item: Item, changes: list[Action]) -> DeliveryStatus | None:
        asked = AllOf((Equals("status", DeliveryStatus.PENDING.value), Equals("attempts", item["attempts"])))
        try:
            now = await self._services.backend.table.update(delivery_key(due), changes, asked)
        except ConditionFailed:
            return None  # Somebody else was told of it too, and has seen to what follows.
        status = DeliveryStatus(now["status"])
        fields = {
            "namespace": due.namespace,
            "webhook_id": due.webhook_id,
            "event_id": now["event"],
            "attempt": now["attempts"],
            "response_status": now.get("code"),
        }
        if status is DeliveryStatus.PENDING:
            logger.info("webhook not delivered yet", extra={**fields, "error": now.get("error")})
            await self._set_timer(due, now)
        elif status is DeliveryStatus.DELIVERED:
            logger.info("webhook delivered", extra=fields)
        else:
            level = logging.INFO if now.get("once") else logging.WARNING  # of a test, whoever asked is told
            logger.log(level, "webhook not delivered", extra={**fields, "error": now.get("error")})
        return status

    async def _set_timer(self, due: Due, item: Item) -> None:
        """Of the next attempt. Each has a name of its own: one that has just fired may take a new one with it.

        Attempts are counted anew when a delivery is asked for again, so the time is a part of the name.
        """
        following = replace(due, made=item["attempts"])
        name = hashlib.sha256(f"{following.body()} {item['next']}".encode()).hexdigest()[:40]
        timer = Timer(f"webhook-{name}", item["next"], WEBHOOKS, following.body())
        await self._services.backend.timers.set(timer)

    async def _disable(self, due: Due, url: str) -> None:
        """Unless it leads somewhere else by now."""
        try:
            await self._services.backend.table.update(
                webhook_key(due.namespace, due.webhook_id),
                [Set("enabled", value=False), Set("disabled", _GONE)],
                Equals("url", url),
            )
        except ConditionFailed:
            return  # deleted, or changed, meanwhile
        logger.warning("webhook disabled", extra={"namespace": due.namespace, "webhook_id": due.webhook_id})
