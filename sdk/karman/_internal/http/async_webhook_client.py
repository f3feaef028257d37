"""Methods of the asynchronous client for webhooks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence

from karman._internal.http.calls import Call, T
from karman._internal.http.results import Page
from karman._internal.http.routes import Routes
from karman._internal.http.webhook_routes import WebhookRoutes
from karman_core.engine.webhook_items import DeliveryView, IssuedWebhook, WebhookView


class AsyncWebhookMethods(ABC):
    """See `AsyncClient`. For keys with scope admin."""

    _routes: Routes

    def webhooks(self, *, page_size: int | None = None) -> AsyncIterator[WebhookView]:
        """The webhooks of the namespace, oldest first, without their secrets."""
        return self._all(WebhookRoutes(self._routes).list(page_size))

    async def create_webhook(
        self, url: str, *, events: Sequence[str] | None = None, graphs: Sequence[str] = ()
    ) -> IssuedWebhook:
        """Make a webhook; its `secret` is in this answer and in no other.

        Args:
            url: https, and public.
            events: kinds, such as `run.failed`; None for the ends of runs.
            graphs: whose runs' events; none for all.

        Raises:
            InvalidRequest: no webhook can have this URL, or there is no such event.
            Conflict: the namespace has as many as it may.
        """
        return await self._send(WebhookRoutes(self._routes).create(url, events, graphs))

    async def webhook(self, webhook_id: str) -> WebhookView:
        """A webhook. Raises NotFound."""
        return await self._send(WebhookRoutes(self._routes).get(webhook_id))

    async def update_webhook(
        self,
        webhook_id: str,
        *,
        url: str | None = None,
        events: Sequence[str] | None = None,
        graphs: Sequence[str] | None = None,
        enabled: bool | None = None,
    ) -> WebhookView:
        """Change what is named of a webhook. Raises as `create_webhook`, and NotFound."""
        return await self._send(WebhookRoutes(self._routes).update(webhook_id, url, events, graphs, enabled))

    async def delete_webhook(self, webhook_id: str) -> None:
        """End a webhook; deliveries under way are dropped. Raises NotFound."""
        await self._send(WebhookRoutes(self._routes).delete(webhook_id))

    async def rotate_webhook(self, webhook_id: str, *, overlap_seconds: int | None = None) -> IssuedWebhook:
        """Give a webhook another secret; for the overlap (a day) requests are signed with both. Raises NotFound."""
        return await self._send(WebhookRoutes(self._routes).rotate(webhook_id, overlap_seconds))

    async def test_webhook(self, webhook_id: str) -> DeliveryView:
        """Have an event `webhook.test` sent, once; what the receiver answered. Raises NotFound, Conflict."""
        return await self._send(WebhookRoutes(self._routes).test(webhook_id))

    def deliveries(self, webhook_id: str, *, page_size: int | None = None) -> AsyncIterator[DeliveryView]:
        """What became of a webhook's events, those of the newest first. Raises NotFound."""
        return self._all(WebhookRoutes(self._routes).deliveries(webhook_id, page_size))

    async def retry_delivery(self, webhook_id: str, delivery_id: str) -> DeliveryView:
        """Have a delivery attempted again, in a moment, however it stands. Raises NotFound, Conflict."""
        return await self._send(WebhookRoutes(self._routes).retry(webhook_id, delivery_id))

    @abstractmethod
    async def _send(self, call: Call[T]) -> T: ...

    @abstractmethod
    def _all(self, call: Call[Page[T]]) -> AsyncIterator[T]: ...
