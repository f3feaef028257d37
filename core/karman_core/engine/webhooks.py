"""Webhooks of a namespace: made, changed, tried out, and what became of their deliveries."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from karman_core.domain.definition import NAME_PATTERN
from karman_core.domain.errors import (
    BackendError,
    ConditionFailed,
    Conflict,
    InvalidRequest,
    NotFound,
    Problem,
)
from karman_core.domain.events import FINAL_KINDS, EventKind
from karman_core.domain.rotation import DEFAULT_OVERLAP_SECONDS
from karman_core.domain.webhooks import TEST_KIND, kinds_of, new_secret
from karman_core.engine.cursors import NO_CURSOR, checked_limit, read_cursor, write_cursor
from karman_core.engine.deliveries import Deliveries
from karman_core.engine.layout_table import LayoutBackend
from karman_core.engine.namespaces import Namespaces
from karman_core.engine.paging import every
from karman_core.engine.services import Services
from karman_core.engine.settings import EngineSettings
from karman_core.engine.webhook_items import (
    DeliveriesPage,
    DeliveryView,
    Due,
    IssuedWebhook,
    WebhookView,
    deliveries_of,
    delivery_key,
    delivery_view,
    issued_webhook,
    secrets_scope,
    webhook_key,
    webhook_view,
    webhooks_of,
)
from karman_core.ports.backend import Backend
from karman_core.ports.events import Event
from karman_core.ports.system import Clock, Entropy
from karman_core.ports.table import Absent, Action, Equals, Item, Present, Query, Remove, Set, Value
from karman_core.ports.webhooks import Poster

MAX_WEBHOOKS = 20
"""Of a namespace: all of them are attempted at one time."""

_ID_CHARACTERS = 16
_PLACE = "delivered"


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to be changed of a webhook; None for what stays."""

    url: str | None = None
    events: tuple[str, ...] | None = None
    graphs: tuple[str, ...] | None = None
    enabled: bool | None = None


class Webhooks:
    """Makes, changes and tells of webhooks. Whoever may do so can have Karman send requests: administrators alone."""

    def __init__(self, services: Services, poster: Poster) -> None:
        self._services = services
        self._poster = poster
        self._namespaces = Namespaces(services.backend.table, services.clock)
        self.deliveries = Deliveries(services, poster)

    @classmethod
    def over(
        cls, backend: Backend, clock: Clock, entropy: Entropy, settings: EngineSettings, poster: Poster
    ) -> Self:
        """Put together over a backend."""
        return cls(Services(LayoutBackend(backend), clock, entropy, settings), poster)

    async def create(
        self,
        namespace: str,
        url: str,
        *,
        events: Sequence[str] = FINAL_KINDS,
        graphs: Sequence[str] = (),
        enabled: bool = True,
    ) -> IssuedWebhook:
        """Make a webhook; its secret is in the answer and nowhere else.

        Args:
            events: kinds of events; default the ends of runs.
            graphs: whose runs' events; none for all.

        Raises:
            InvalidRequest: there is no such event, it is not published here, no graph can be called so, or the URL
                leads where none may.
            Conflict: there are as many as there may be.
        """
        kinds = self._kinds(events)
        await self._poster.check(url)
        if len(await self.list(namespace)) >= MAX_WEBHOOKS:
            raise Conflict(f"A namespace has at most {MAX_WEBHOOKS} webhooks; delete one that is not needed.")
        key = webhook_key(namespace, self._services.entropy.token()[:_ID_CHARACTERS])
        item: dict[str, Value] = {
            "pk": key.pk,
            "sk": key.sk,
            "url": url,
            "events": [kind.value for kind in kinds],
            "graphs": _graphs(graphs),
            "enabled": enabled,
            "created": self._services.clock.now_ms(),
        }
        # First the secret: a webhook without one could not be signed for.
        item["secret"], secret = await self._new_secret(namespace, key.sk)
        await self._services.backend.table.put(item, Absent())
        await self._namespaces.note(namespace)
        return issued_webhook(item, secret)

    async def list(self, namespace: str) -> list[WebhookView]:
        """The webhooks of a namespace, oldest first."""
        query = Query(webhooks_of(namespace))
        found = [webhook_view(item) async for item in every(self._services.backend.table, query)]
        return sorted(found, key=lambda view: (view.created_ms, view.id))

    async def get(self, namespace: str, webhook_id: str) -> WebhookView:
        """A webhook. Raises NotFound."""
        return webhook_view(await self._item(namespace, webhook_id))

    async def update(self, namespace: str, webhook_id: str, changes: Changes) -> WebhookView:
        """Change a webhook; deliveries under way go on as it is then. Raises as `create`, and NotFound."""
        actions: list[Action] = []
        if changes.events is not None:
            actions.append(Set("events", [kind.value for kind in self._kinds(changes.events)]))
        if changes.graphs is not None:
            actions.append(Set("graphs", _graphs(changes.graphs)))
        if changes.url is not None:
            await self._poster.check(changes.url)
            actions.append(Set("url", changes.url))
        if changes.enabled is not None:
            actions += [Set("enabled", changes.enabled), Remove("disabled")]
        if not actions:
            return await self.get(namespace, webhook_id)
        try:
            item = await self._services.backend.table.update(
                webhook_key(namespace, webhook_id), actions, Present()
            )
        except ConditionFailed as lost:
            raise _unknown(webhook_id) from lost
        return webhook_view(item)

    async def delete(self, namespace: str, webhook_id: str) -> None:
        """End a webhook; deliveries under way are dropped. Raises NotFound."""
        try:
            await self._services.backend.table.delete(webhook_key(namespace, webhook_id), Present())
        except ConditionFailed as lost:
            raise _unknown(webhook_id) from lost
        scope, secrets = secrets_scope(namespace), self._services.backend.secrets
        names = [name for name in await secrets.names(scope) if name.startswith(f"{webhook_id}.")]
        await secrets.delete(scope, names)

    async def rotate(
        self, namespace: str, webhook_id: str, *, overlap_seconds: int = DEFAULT_OVERLAP_SECONDS
    ) -> IssuedWebhook:
        """Give a webhook another secret; for the overlap requests are signed with the one before too.

        Raises:
            NotFound: no such webhook.
            Conflict: somebody else is rotating it.
        """
        before = await self._item(namespace, webhook_id)
        now = self._services.clock.now_ms()
        name, secret = await self._new_secret(namespace, webhook_id)
        actions: list[Action] = [Set("secret", name), Set("rotated", now)]
        if overlap_seconds:
            actions += [Set("old", before["secret"]), Set("old_until", now + overlap_seconds * 1000)]
        else:
            actions += [Remove("old"), Remove("old_until")]
        try:
            item = await self._services.backend.table.update(
                webhook_key(namespace, webhook_id), actions, Equals("secret", before["secret"])
            )
        except ConditionFailed as lost:
            raise Conflict(f"Webhook '{webhook_id}' was rotated or deleted at the same time.") from lost
        await self._forget(namespace, before, item)
        return issued_webhook(item, secret)

    async def test(self, namespace: str, webhook_id: str) -> DeliveryView:
        """Send an event that says nothing, once, and tell what came of it. Raises NotFound, Conflict if disabled."""
        await self._enabled(namespace, webhook_id)
        event_id = f"test-{self._services.entropy.token()[:_ID_CHARACTERS]}"
        now_ms = self._services.clock.now_ms()
        event = Event(event_id, TEST_KIND, namespace, now_ms, {"webhook_id": webhook_id})
        due = await self.deliveries.begin(event, webhook_id, once=True)
        if due is None:
            raise Conflict("The test was made before.")
        await self.deliveries.attempt(due)
        return await self.delivery(due)

    async def delivery(self, due: Due) -> DeliveryView:
        """A delivery. Raises NotFound."""
        item = await self._services.backend.table.get(delivery_key(due))
        if item is None:
            raise NotFound(f"Webhook '{due.webhook_id}' has no delivery '{due.delivery_id}'.")
        return delivery_view(item)

    async def redeliver(self, namespace: str, webhook_id: str, delivery_id: str) -> DeliveryView:
        """Attempt a delivery again in a moment, however it stands; if that fails, it goes on as a new one does.

        Raises:
            NotFound: no such webhook or delivery.
            Conflict: the webhook is disabled.
        """
        await self._enabled(namespace, webhook_id)
        return delivery_view(await self.deliveries.again(Due(namespace, webhook_id, delivery_id)))

    async def page(
        self, namespace: str, webhook_id: str, *, limit: int = 100, cursor: str | None = None
    ) -> DeliveriesPage:
        """Deliveries of a webhook, those of the newest events first. Raises NotFound, InvalidRequest."""
        limit = checked_limit(limit)
        await self._item(namespace, webhook_id)
        after = None if cursor is None else _read(cursor)
        query = Query(
            deliveries_of(namespace, webhook_id), reverse=True, consistent=False, limit=limit, cursor=after
        )
        page = await self._services.backend.table.query(query)
        following = None if page.cursor is None else write_cursor(_PLACE, page.cursor)
        return DeliveriesPage(tuple(map(delivery_view, page.items)), following)

    async def _item(self, namespace: str, webhook_id: str) -> Item:
        item = await self._services.backend.table.get(webhook_key(namespace, webhook_id))
        if item is None:
            raise _unknown(webhook_id)
        return item

    async def _enabled(self, namespace: str, webhook_id: str) -> None:
        if not (await self.get(namespace, webhook_id)).enabled:
            raise Conflict(f"Webhook '{webhook_id}' is disabled; enable it first.")

    def _kinds(self, given: Sequence[str]) -> tuple[EventKind, ...]:
        kinds = kinds_of(given)
        if EventKind.STARTED in kinds and not self._services.settings.publish_started:
            message = "run.started is not published here; see `publish_started` in the configuration."
            raise InvalidRequest(message, [Problem("events", "not_published", message)])
        if not kinds:
            message = "A webhook takes at least one kind of events."
            raise InvalidRequest(message, [Problem("events", "missing", message)])
        return kinds

    async def _new_secret(self, namespace: str, webhook_id: str) -> tuple[str, str]:
        """A secret that is kept under a name of its own, so that a rotation is one write of the webhook."""
        entropy = self._services.entropy
        name = f"{webhook_id}.{entropy.token()}"
        secret = new_secret(entropy.token(), entropy.token())
        await self._services.backend.secrets.put(secrets_scope(namespace), {name: secret})
        return name, secret

    async def _forget(self, namespace: str, before: Item, now: Item) -> None:
        """Delete the secrets that a rotation has ended."""
        names = {before.get(field) for field in ("secret", "old")} - {now.get("old"), None}
        with suppress(BackendError):  # The webhook is rotated; what is left goes with the webhook.
            await self._services.backend.secrets.delete(secrets_scope(namespace), sorted(filter(None, names)))


def _graphs(given: Sequence[str]) -> list[str]:
    """Names of graphs, each once; there need not be such graphs yet. Raises InvalidRequest."""
    odd = next((name for name in given if re.fullmatch(NAME_PATTERN, name) is None), None)
    if odd is not None:
        message = (
            f"'{odd}' is no name of a graph: it starts with a letter or '_', with letters, digits, '_' and '-' after "
            "it, at most 128."
        )
        raise InvalidRequest(message, [Problem("graphs", "invalid_value", message)])
    return sorted(set(given))


def _read(cursor: str) -> str:
    kind, place = read_cursor(cursor)
    if kind != _PLACE or not isinstance(place, str):
        raise InvalidRequest(NO_CURSOR)
    return place


def _unknown(webhook_id: str) -> NotFound:
    return NotFound(f"There is no webhook '{webhook_id}'.")
