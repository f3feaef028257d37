"""Powertools' resolver, made fit for many requests at a time.

It is written for Lambda, where a process serves one request after the other. Two things of it break on one machine:

- It keeps the current event in an attribute of a class, and the context of the request in one of the resolver. Here
  both are in a context variable, of which each task has its own.
- It runs its validation, which is synchronous, in threads that wait for the rest of the request: two threads a request,
  of a pool that has a few more than there are processors. Some long polls take all of them and stand still for ever.
  Validation waits for nothing, so here it is called directly.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias, cast
from urllib.parse import parse_qs

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, CORSConfig, Response
from aws_lambda_powertools.event_handler.api_gateway import Route
from aws_lambda_powertools.event_handler.middlewares.openapi_validation import (
    OpenAPIRequestValidationMiddleware,
    OpenAPIResponseValidationMiddleware,
)
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEventV2

from karman_functions.api.bodies import parse_json
from karman_functions.api.guard import guard
from karman_functions.api.routing import access_of

Next: TypeAlias = Callable[[Any], Awaitable[Response[Any]]]

_dumps = partial(json.dumps, separators=(",", ":"), ensure_ascii=False)
_requests = OpenAPIRequestValidationMiddleware()
_responses = OpenAPIResponseValidationMiddleware(validation_serializer=_dumps)


class _Event(APIGatewayProxyEventV2):
    """An event whose query is read from its text: API Gateway joins what is repeated by commas, as values have them."""

    @property
    def resolved_query_string_parameters(self) -> dict[str, list[str]]:
        """Every value of each parameter."""
        raw = self.get("rawQueryString")
        return parse_qs(raw, keep_blank_values=True) if raw else super().resolved_query_string_parameters


@dataclass(frozen=True, slots=True)
class _Current:
    """What Powertools keeps of the request that it resolves."""

    event: APIGatewayProxyEventV2
    lambda_context: Any
    context: dict[str, Any] = field(default_factory=dict)


_current: ContextVar[_Current] = ContextVar("current")


class ConcurrentResolver(APIGatewayHttpResolver):
    """Resolves many requests of one event loop at a time."""

    def __init__(self, cors: CORSConfig | None = None) -> None:
        super().__init__(
            cors=cors,
            debug=False,
            serializer=_dumps,
            enable_validation=True,
            json_body_deserializer=parse_json,
        )
        # Powertools puts these two around every handler; see the module.
        self._request_validation_middleware = _check_request  # type: ignore[assignment]  # takes any callable
        self._response_validation_middleware = _check_response  # type: ignore[assignment]  # (same)

    async def resolve_async(self, event: Mapping[str, Any], context: Any) -> dict[str, Any]:  # noqa: ANN401  Lambda's
        """Find the route and serve the request."""
        token = _current.set(_Current(_Event(dict(event), parse_json), context))
        try:
            return await super().resolve_async(event, context)
        finally:
            _current.reset(token)

    @property
    def routes(self) -> Sequence[Route]:
        """All that there are."""
        return [*self._static_routes, *self._dynamic_routes]

    @property
    def current_event(self) -> APIGatewayProxyEventV2:  # type: ignore[override]  # an attribute there
        """The event of this task's request."""
        return _current.get().event

    @property
    def lambda_context(self) -> Any:  # type: ignore[override]  # noqa: ANN401  an attribute there
        """What Lambda gave with the event."""
        return _current.get().lambda_context

    @property
    def context(self) -> dict[str, Any]:
        """Notes of this task's request; outside of requests, what is noted is forgotten."""
        current = _current.get(None)
        return {} if current is None else current.context

    @context.setter
    def context(self, value: dict[str, Any]) -> None:
        """Powertools begins with an empty one; so does every request."""

    def _push_processed_stack_frame(self, frame: str) -> None:
        """Powertools' trace for debugging, one list for all requests."""


async def _check_request(app: ConcurrentResolver, next_middleware: Next) -> Response[Any]:
    access = access_of(app.context["_route"])
    if access is not None:
        await guard(app.current_event, app.context, access)
        _requests.handler(app, cast("Any", _nothing))
    return await next_middleware(app)


async def _check_response(app: ConcurrentResolver, next_middleware: Next) -> Response[Any]:
    response = await next_middleware(app)
    if access_of(app.context["_route"]) is None:
        return response
    return _responses.handler(app, cast("Any", lambda _: response))


def _nothing(app: Any) -> Response[Any]:  # noqa: ANN401  what Powertools passes on
    del app
    return Response(status_code=204)
