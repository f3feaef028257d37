"""The routes of webhooks, as calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from karman._internal.http.calls import Call
from karman._internal.http.results import Page, page_reader, reader
from karman._internal.http.routes import Routes
from karman.errors import InvalidInput
from karman_core.domain.definition import JSON
from karman_core.engine.webhook_items import DeliveryView, IssuedWebhook, WebhookView

_RECEIVER_SECONDS = 20.0
"""A receiver may take 15 seconds, which a test waits for."""


@dataclass(frozen=True, slots=True)
class WebhookRoutes:
    """The routes of a namespace."""

    routes: Routes

    def list(self, limit: int | None) -> Call[Page[WebhookView]]:
        path = self.routes.path("webhooks")
        return Call("GET", path, page_reader("webhooks", WebhookView), query={"limit": limit})

    def create(self, url: str, events: Sequence[str] | None, graphs: Sequence[str]) -> Call[IssuedWebhook]:
        body: dict[str, JSON] = {"url": url, "graphs": _names(graphs, "graphs")}
        if events is not None:
            body["events"] = _names(events, "events")
        return Call("POST", self.routes.path("webhooks"), reader(IssuedWebhook), body, idempotent=False)

    def get(self, webhook_id: str) -> Call[WebhookView]:
        return Call("GET", self.routes.path("webhooks", webhook_id), reader(WebhookView))

    def update(
        self,
        webhook_id: str,
        url: str | None,
        events: Sequence[str] | None,
        graphs: Sequence[str] | None,
        enabled: bool | None,  # noqa: FBT001  one of the fields
    ) -> Call[WebhookView]:
        fields: dict[str, JSON] = {
            "url": url,
            "events": None if events is None else _names(events, "events"),
            "graphs": None if graphs is None else _names(graphs, "graphs"),
            "enabled": enabled,
        }
        body = {name: value for name, value in fields.items() if value is not None}
        return Call("PATCH", self.routes.path("webhooks", webhook_id), reader(WebhookView), body)

    def delete(self, webhook_id: str) -> Call[None]:
        path = self.routes.path("webhooks", webhook_id)
        return Call("DELETE", path, lambda _: None, idempotent=False)

    def rotate(self, webhook_id: str, overlap_seconds: int | None) -> Call[IssuedWebhook]:
        body: dict[str, JSON] = {} if overlap_seconds is None else {"overlap_seconds": overlap_seconds}
        # Twice would end the secret that the receiver still has.
        path = self.routes.path("webhooks", webhook_id, "rotate")
        return Call("POST", path, reader(IssuedWebhook), body, idempotent=False)

    def test(self, webhook_id: str) -> Call[DeliveryView]:
        path = self.routes.path("webhooks", webhook_id, "test")
        return Call("POST", path, reader(DeliveryView), wait_seconds=_RECEIVER_SECONDS)

    def deliveries(self, webhook_id: str, limit: int | None) -> Call[Page[DeliveryView]]:
        path = self.routes.path("webhooks", webhook_id, "deliveries")
        return Call("GET", path, page_reader("deliveries", DeliveryView), query={"limit": limit})

    def retry(self, webhook_id: str, delivery_id: str) -> Call[DeliveryView]:
        path = self.routes.path("webhooks", webhook_id, "deliveries", delivery_id, "retry")
        return Call("POST", path, reader(DeliveryView))


def _names(given: Sequence[str], what: str) -> list[str]:
    """As a list. Raises InvalidInput for one text, which is a sequence of its letters."""
    if isinstance(given, str):
        raise InvalidInput(f"{what} is a text; give a list: {what}=[{str(given)!r:.100}].")
    return [str(each) for each in given]
