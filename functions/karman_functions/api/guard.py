"""What every request passes before its route is called: key, rate, scope, media type, names of parameters.

In this order, so that who has no key learns nothing but that, and costs no more than the look at it.
"""

from __future__ import annotations

import re
from typing import Any

from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEventV2

from karman_core.domain.definition import NAME_PATTERN
from karman_core.domain.errors import Forbidden, InvalidRequest, NotFound, Problem, Unauthorized
from karman_core.engine.access import Principal, Scope
from karman_functions.api.context import exchange
from karman_functions.api.errors import UnsupportedMediaType
from karman_functions.api.routing import Access

_JSON = "application/json"
_AS_IS = "identity"


async def guard(event: APIGatewayProxyEventV2, context: dict[str, Any], access: Access) -> None:
    """Let the request through.

    Raises:
        RateLimited, Unauthorized, Forbidden, NotFound, UnsupportedMediaType, InvalidRequest: see each.
    """
    if access.scopes:
        namespace = context["_route_args"].get("namespace")
        principal = await _authenticate(event, namespace)
        _authorize(principal, namespace, access)
    route = context["_route"]
    if route.dependant.body_params:
        _check_media_type(event)
    known = {field.alias for field in route.dependant.query_params}
    unknown = sorted(event.query_string_parameters.keys() - known)
    if unknown:
        problems = [Problem(f"query.{name[:64]}", "unknown_field", _no_parameter(known)) for name in unknown]
        raise InvalidRequest("The request is not valid.", problems)


async def _authenticate(event: APIGatewayProxyEventV2, namespace: str | None) -> Principal:
    """Who asks: by a key, or by a signature that the gateway has checked. A key that is sent is the one that counts.

    Raises Unauthorized; RateLimited for too many requests of a caller, or wrong keys of an address.
    """
    current = exchange.get()
    limiter = current.services.limiter
    limiter.check_failures(current.source)
    key = event.headers.get("x-api-key")
    signer = None if key else current.services.callers.principal(event.get("requestContext") or {}, namespace)
    try:
        principal = signer or await current.services.keys.verify(key)
    except Unauthorized:
        limiter.note_failure(current.source)
        raise
    limiter.take(f"{principal.namespace or ''}.{principal.key_id}")
    current.principal = principal
    return principal


def _authorize(principal: Principal, namespace: str | None, access: Access) -> None:
    """Raises Forbidden, in the same words whatever exists; NotFound for the admin key and no namespace's name.

    A route of no namespace (None) is for those who administer all of them, as some of a namespace are.
    """
    if access.operators and (principal.namespace is not None or Scope.ADMIN not in principal.scopes):
        raise Forbidden("The caller may not do this: it takes the server's own admin key.")
    if namespace is None:
        return
    if not any(principal.may(namespace, scope) for scope in access.scopes):
        wanted = " or ".join(f"'{scope}'" for scope in access.scopes)
        raise Forbidden(f"The caller may not do this: it takes scope {wanted} in this namespace.")
    if not re.fullmatch(NAME_PATTERN.rstrip("$"), namespace):
        raise NotFound("There is no such namespace.")


def require(namespace: str, scope: Scope) -> None:
    """Ask for more than the route does, for some of what it can do. Raises Forbidden."""
    principal = exchange.get().principal
    if principal is None or not principal.may(namespace, scope):
        raise Forbidden(f"The caller may not do this: it takes scope '{scope}' in this namespace.")


def _check_media_type(event: APIGatewayProxyEventV2) -> None:
    given = event.headers.get("content-type", _JSON).partition(";")[0].strip().lower()
    if event.body and given != _JSON:
        raise UnsupportedMediaType(f"The body's content type is '{given[:64]}'; send {_JSON}.")
    encoding = event.headers.get("content-encoding", _AS_IS).strip().lower()
    if event.body and encoding != _AS_IS:
        raise UnsupportedMediaType(f"The body is encoded with '{encoding[:64]}'; send it as it is.")


def _no_parameter(known: set[str]) -> str:
    return f"There is no such parameter; there are {', '.join(sorted(known)) or 'none'}."
