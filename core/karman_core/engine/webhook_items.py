"""Webhooks and their deliveries as items, and as they are shown.

    {ns}#webhooks        {id}                   a webhook; its secret is kept apart, by the port of secrets
    {ns}#webhook#{id}    {time}-{event}         a delivery: the event as it is sent, and what came of each attempt

Workers neither read nor write them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Final, TypeVar

from karman_core.domain.definition import JSON
from karman_core.domain.events import EventKind
from karman_core.domain.webhooks import DeliveryStatus
from karman_core.engine.keys import time_text
from karman_core.engine.payloads import pack, unpack
from karman_core.ports.events import Event
from karman_core.ports.table import Item, Key

WEBHOOK_SECRETS: Final = "@webhooks"
"""Begins the scopes of secrets; no namespace is called so."""

DUE_KIND: Final = "karman.webhook"
"""`kind` in the body of a timer for a delivery."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookView:
    """A webhook, without its secret. Times are epoch milliseconds.

    Attributes:
        events: kinds of events that it takes.
        graphs: whose runs' events; empty for all.
        enabled: events that happen while it is not are never delivered to it.
        disabled_because: why Karman has disabled it.
        overlap_until_ms: so long requests are signed with the secret before the last rotation too.
    """

    id: str
    url: str
    events: tuple[EventKind, ...]
    graphs: tuple[str, ...] = ()
    enabled: bool = True
    created_ms: int
    rotated_ms: int | None = None
    overlap_until_ms: int | None = None
    disabled_because: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedWebhook(WebhookView):
    """A webhook with its secret, which is shown this once."""

    secret: str = field(repr=False)


V = TypeVar("V", bound=WebhookView)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryView:
    """An event on its way to a webhook. Times are epoch milliseconds.

    Attributes:
        event_id: in the header `webhook-id` of every attempt.
        run_id: of the run that it is about; None for a test.
        at_ms: when the event happened.
        attempts: that were made.
        response_status: what the receiver answered to the last one; None when it did not.
        error: why that one failed.
        last_ms, next_ms: when it was, and when the next one is due.
    """

    id: str
    event_id: str
    event: str
    run_id: str | None
    at_ms: int
    status: DeliveryStatus
    attempts: int
    response_status: int | None = None
    error: str | None = None
    last_ms: int | None = None
    next_ms: int | None = None


@dataclass(frozen=True, slots=True)
class DeliveriesPage:
    """Deliveries, those of the newest events first, and where to go on."""

    deliveries: tuple[DeliveryView, ...]
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Due:
    """An attempt that is to be made; `made` is how many were before it."""

    namespace: str
    webhook_id: str
    delivery_id: str
    made: int = 0

    def body(self) -> str:
        """As a message or a timer carries it."""
        fields = {
            "namespace": self.namespace,
            "webhook": self.webhook_id,
            "delivery": self.delivery_id,
            "made": self.made,
        }
        return json.dumps({"kind": DUE_KIND, **fields})


def read_due(value: object) -> Due | None:
    """The reverse of `Due.body`, of its JSON or of what that holds; None for anything else."""
    try:
        data = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return None
    if not isinstance(data, dict) or data.get("kind") != DUE_KIND:
        return None
    namespace, webhook_id, delivery_id = (data.get(name) for name in ("namespace", "webhook", "delivery"))
    made = data.get("made")
    if not (isinstance(namespace, str) and isinstance(webhook_id, str) and isinstance(delivery_id, str)):
        return None
    if not (namespace and webhook_id and delivery_id and isinstance(made, int)):
        return None
    return Due(namespace, webhook_id, delivery_id, made)


def webhook_key(namespace: str, webhook_id: str) -> Key:
    """A webhook."""
    return Key(webhooks_of(namespace), webhook_id)


def webhooks_of(namespace: str) -> str:
    """The partition of a namespace's webhooks."""
    return f"{namespace}#webhooks"


def deliveries_of(namespace: str, webhook_id: str) -> str:
    """The partition of a webhook's deliveries, in the order of their events."""
    return f"{namespace}#webhook#{webhook_id}"


def delivery_key(due: Due) -> Key:
    """A delivery."""
    return Key(deliveries_of(due.namespace, due.webhook_id), due.delivery_id)


def secrets_scope(namespace: str) -> str:
    """Where secrets are kept. It does not begin with the namespace: its workers may read all that does."""
    return f"{WEBHOOK_SECRETS}/{namespace}"


def new_delivery(event: Event, webhook_id: str, ttl: int, *, once: bool = False) -> Item:
    """The item of a delivery that begins; its key follows from the event, so that one event is one delivery.

    Args:
        once: without further attempts.
    """
    detail = {**event.detail, "id": event.id, "namespace": event.namespace, "at_ms": event.at_ms}
    key = Key(deliveries_of(event.namespace, webhook_id), f"{time_text(event.at_ms)}-{event.id}")
    return {
        "pk": key.pk,
        "sk": key.sk,
        "event": event.id,
        "kind": event.kind,
        "at": event.at_ms,
        "detail": pack(detail),
        "status": DeliveryStatus.PENDING.value,
        "attempts": 0,
        "ttl": ttl,
        **({"once": True} if once else {}),
    }


def detail_of(item: Item) -> dict[str, JSON]:
    """What the event of a delivery says."""
    detail = unpack(item["detail"])
    return detail if isinstance(detail, dict) else {}


def webhook_view(item: Item) -> WebhookView:
    """A webhook as it is shown."""
    return _shown(WebhookView, item)


def issued_webhook(item: Item, secret: str) -> IssuedWebhook:
    """A webhook as it is shown once, with its secret."""
    return _shown(IssuedWebhook, item, secret=secret)


def _shown(kind: type[V], item: Item, **secret: str) -> V:
    return kind(
        id=item["sk"],
        url=item["url"],
        events=tuple(map(EventKind, item["events"])),
        graphs=tuple(item["graphs"]),
        enabled=item["enabled"],
        created_ms=item["created"],
        rotated_ms=item.get("rotated"),
        overlap_until_ms=item.get("old_until"),
        disabled_because=item.get("disabled"),
        **secret,
    )


def delivery_view(item: Item) -> DeliveryView:
    """A delivery as it is shown."""
    run_id = detail_of(item).get("run_id")
    return DeliveryView(
        id=item["sk"],
        event_id=item["event"],
        event=item["kind"],
        run_id=run_id if isinstance(run_id, str) else None,
        at_ms=item["at"],
        status=DeliveryStatus(item["status"]),
        attempts=item["attempts"],
        response_status=item.get("code"),
        error=item.get("error"),
        last_ms=item.get("last"),
        next_ms=item.get("next"),
    )
