"""API keys."""

from __future__ import annotations

from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body

from karman_core.engine.access import IssuedKey, Scope
from karman_functions.api.context import operator, services
from karman_functions.api.limits import MAX_PAGE
from karman_functions.api.models import Keys, KeyToIssue, KeyToRotate
from karman_functions.api.paging import page_of
from karman_functions.api.parameters import Cursor, KeyId, Limit, Namespace
from karman_functions.api.routing import Resource

resource = Resource("keys")


@resource.route("GET", "/keys", Scope.ADMIN)
async def list_keys(namespace: Namespace, limit: Limit = MAX_PAGE, cursor: Cursor = None) -> Keys:
    """The namespace's keys, oldest first, without their secrets."""
    keys = await services().keys.list(namespace)
    return Keys(*page_of(keys, lambda key: f"{key.created_ms:015d}.{key.id}", limit, cursor))


@resource.route("POST", "/keys", Scope.ADMIN, status=201)
async def issue_key(namespace: Namespace, body: Annotated[KeyToIssue, Body()]) -> IssuedKey:
    """Make a key. Its secret is in this answer and in no other."""
    return await operator().issue_key(services().keys, namespace, body.name, body.scopes)


@resource.route("DELETE", "/keys/<key_id>", Scope.ADMIN, status=204)
async def revoke_key(namespace: Namespace, key_id: KeyId) -> Response[None]:
    """End a key. Processes that have just verified it believe it for some seconds more."""
    await operator().revoke_key(services().keys, namespace, key_id)
    return Response(204)


@resource.route("POST", "/keys/<key_id>/rotate", Scope.ADMIN)
async def rotate_key(
    namespace: Namespace,
    key_id: KeyId,
    body: Annotated[KeyToRotate, Body()] = KeyToRotate(),  # noqa: B008  frozen
) -> IssuedKey:
    """Give a key another secret; the one before goes on for the overlap."""
    return await operator().rotate_key(
        services().keys, namespace, key_id, overlap_seconds=body.overlap_seconds
    )
