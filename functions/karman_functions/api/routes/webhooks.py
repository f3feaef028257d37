"""Webhooks: where a namespace's events go. For administrators alone: whoever makes one has Karman send requests."""

from __future__ import annotations

from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body

from karman_core.engine.access import Scope
from karman_core.engine.webhook_items import DeliveriesPage, DeliveryView, IssuedWebhook, WebhookView
from karman_core.engine.webhooks import Changes
from karman_functions.api.context import operator, services
from karman_functions.api.limits import MAX_PAGE
from karman_functions.api.models import KeyToRotate, WebhookList, WebhookToCreate, WebhookToUpdate
from karman_functions.api.paging import page_of
from karman_functions.api.parameters import Cursor, DeliveryId, Limit, Namespace, WebhookId
from karman_functions.api.routing import Resource

resource = Resource("webhooks")


@resource.route("GET", "/webhooks", Scope.ADMIN)
async def list_webhooks(namespace: Namespace, limit: Limit = MAX_PAGE, cursor: Cursor = None) -> WebhookList:
    """The namespace's webhooks, oldest first, without their secrets."""
    webhooks = await services().webhooks.list(namespace)
    return WebhookList(*page_of(webhooks, lambda each: f"{each.created_ms:015d}.{each.id}", limit, cursor))


@resource.route("POST", "/webhooks", Scope.ADMIN, status=201)
async def create_webhook(namespace: Namespace, body: Annotated[WebhookToCreate, Body()]) -> IssuedWebhook:
    """Make a webhook. Its secret is in this answer and in no other.

    The URL is https and leads to public addresses alone; that is checked now and for each request.
    """
    return await operator().create_webhook(
        services().webhooks,
        namespace,
        body.url,
        events=body.events,
        graphs=body.graphs,
        enabled=body.enabled,
    )


@resource.route("GET", "/webhooks/<webhook_id>", Scope.ADMIN)
async def get_webhook(namespace: Namespace, webhook_id: WebhookId) -> WebhookView:
    """A webhook."""
    return await services().webhooks.get(namespace, webhook_id)


@resource.route("PATCH", "/webhooks/<webhook_id>", Scope.ADMIN)
async def update_webhook(
    namespace: Namespace, webhook_id: WebhookId, body: Annotated[WebhookToUpdate, Body()]
) -> WebhookView:
    """Change what is named of a webhook. Deliveries under way go on as it is then."""
    changes = Changes(
        url=body.url,
        events=None if body.events is None else tuple(body.events),
        graphs=None if body.graphs is None else tuple(body.graphs),
        enabled=body.enabled,
    )
    return await operator().update_webhook(services().webhooks, namespace, webhook_id, changes)


@resource.route("DELETE", "/webhooks/<webhook_id>", Scope.ADMIN, status=204)
async def delete_webhook(namespace: Namespace, webhook_id: WebhookId) -> Response[None]:
    """End a webhook. Deliveries under way are dropped."""
    await operator().delete_webhook(services().webhooks, namespace, webhook_id)
    return Response(204)


@resource.route("POST", "/webhooks/<webhook_id>/rotate", Scope.ADMIN)
async def rotate_webhook(
    namespace: Namespace,
    webhook_id: WebhookId,
    body: Annotated[KeyToRotate, Body()] = KeyToRotate(),  # noqa: B008  frozen
) -> IssuedWebhook:
    """Give a webhook another secret. For the overlap, requests are signed with the one before too."""
    return await operator().rotate_webhook(
        services().webhooks, namespace, webhook_id, overlap_seconds=body.overlap_seconds
    )


@resource.route("POST", "/webhooks/<webhook_id>/test", Scope.ADMIN)
async def test_webhook(namespace: Namespace, webhook_id: WebhookId) -> DeliveryView:
    """Send an event `webhook.test`, once, and tell what the receiver answered."""
    return await operator().test_webhook(services().webhooks, namespace, webhook_id)


@resource.route("GET", "/webhooks/<webhook_id>/deliveries", Scope.ADMIN)
async def list_deliveries(
    namespace: Namespace, webhook_id: WebhookId, limit: Limit = 100, cursor: Cursor = None
) -> DeliveriesPage:
    """What became of the webhook's events, those of the newest first."""
    return await services().webhooks.page(namespace, webhook_id, limit=limit, cursor=cursor)


@resource.route("POST", "/webhooks/<webhook_id>/deliveries/<delivery_id>/retry", Scope.ADMIN)
async def retry_delivery(
    namespace: Namespace, webhook_id: WebhookId, delivery_id: DeliveryId
) -> DeliveryView:
    """Attempt a delivery again in a moment, however it stands."""
    return await operator().redeliver(services().webhooks, namespace, webhook_id, delivery_id)
