"""The application: takes API Gateway's events (payload format 2.0), on Lambda and on one machine, and answers them."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools.event_handler import CORSConfig, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError

from karman_core.backends.posting import HttpxPoster
from karman_core.domain.errors import KarmanError, NotFound, PayloadTooLarge
from karman_core.engine import Engine
from karman_core.engine.access import AccessKeys
from karman_core.engine.webhooks import Webhooks
from karman_core.ports.backend import Backend
from karman_core.ports.system import Clock, Entropy
from karman_core.ports.webhooks import Poster
from karman_functions.api import errors
from karman_functions.api.bodies import with_text_body
from karman_functions.api.callers import IamCaller, IamCallers
from karman_functions.api.context import Exchange, Services, exchange
from karman_functions.api.fitting import MOST_BYTES_A_CHARACTER, bytes_in_json
from karman_functions.api.limits import Limiter, Limits
from karman_functions.api.resolver import ConcurrentResolver
from karman_functions.api.routes import RESOURCES

SECURITY_HEADERS: Mapping[str, str] = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "strict-transport-security": "max-age=31536000",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
"""On every answer that does not say otherwise. Browsers take the one about transport over HTTPS only."""


def application(  # noqa: PLR0913  each is a thing of its own that a deployment sets
    backend: Backend,
    engine: Engine,
    *,
    clock: Clock,
    entropy: Entropy,
    admin_key: str | None,
    limits: Limits | None = None,
    cors_origins: Sequence[str] = (),
    callers: Sequence[IamCaller] = (),
    poster: Poster | None = None,
) -> Application:
    """The API over a backend and an engine on it.

    Args:
        admin_key: serves all namespaces; None for none.
        limits: sizes and rates; see Limits.
        cors_origins: pages of these origins may call the API from a browser; none by default.
        callers: what AWS identities may do whose signatures the gateway has checked; nothing by default.
        poster: the network of webhooks; None for public addresses alone.
    """
    limits = limits or Limits()
    keys = AccessKeys(backend.table, clock, entropy, admin_key=admin_key)
    limiter = Limiter(limits, clock)
    webhooks = Webhooks.over(backend, clock, entropy, engine.settings, poster or HttpxPoster())
    services = Services(
        engine, keys, backend.schedules, clock, entropy, limits, limiter, IamCallers(callers), webhooks
    )
    return Application(services, cors_origins=cors_origins)


class Application:
    """Serves requests, many at a time, on one event loop."""

    def __init__(self, services: Services, *, cors_origins: Sequence[str] = ()) -> None:
        self.services = services
        self.resolver = ConcurrentResolver(_cors(cors_origins))
        for resource in RESOURCES:
            self.resolver.include_router(resource.router)
        self.resolver.not_found(self._no_route)
        self.resolver.exception_handler(Exception)(errors.answer)

    async def handle(self, event: Mapping[str, Any], context: Any = None) -> dict[str, Any]:  # noqa: ANN401  Lambda's
        """Answer one event. Never raises for what a request holds."""
        with self._exchange(event):
            try:
                if event["rawPath"].endswith("\n"):  # which the patterns of routes overlook
                    raise NotFound("There is no such route.")
                whole = with_text_body(event, self.services.limits.body_bytes)
                answer = await self.resolver.resolve_async(whole, context)
            except Exception as error:  # noqa: BLE001  the last resort: every request gets an answer
                answer = _plain(errors.answer(error))
            return self._finished(event, answer)

    def failed(self, event: Mapping[str, Any], error: KarmanError) -> dict[str, Any]:
        """The answer to an event that somebody else could not serve, in the same form."""
        with self._exchange(event):
            return self._finished(event, _plain(errors.described(error)))

    @contextmanager
    def _exchange(self, event: Mapping[str, Any]) -> Iterator[None]:
        about = event.get("requestContext", {})
        request_id = about.get("requestId") or self.services.entropy.token()
        source = about.get("http", {}).get("sourceIp", "")
        token = exchange.set(Exchange(self.services, request_id, source))
        try:
            yield
        finally:
            exchange.reset(token)

    def _no_route(self, _: NotFoundError) -> Response[str]:
        event = self.resolver.current_event
        found = [route for route in self.resolver.routes if route.rule.match(event.path)]
        # A path that is spelled out, as /runs/bulk, is no run of that name.
        fewest = min((route.rule.groups for route in found), default=0)
        allowed = sorted({route.method for route in found if route.rule.groups == fewest})
        if allowed:
            return errors.answer(errors.MethodNotAllowed(f"Here are {', '.join(allowed)} only.", allowed))
        return errors.answer(NotFound("There is no such route."))

    def _finished(self, event: Mapping[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        """The answer with the headers that all have, compressed if that pays, and not too large to be given back."""
        finished = self._packed(event, answer)
        limit = self.services.limits.answer_bytes
        if limit is None or len(finished["body"]) * MOST_BYTES_A_CHARACTER <= limit:
            return finished
        sent = bytes_in_json(finished["body"])
        if sent <= limit:
            return finished
        size = f"The answer has {sent:,} bytes, over the limit of {limit:,}"
        error = PayloadTooLarge(f"{size}; ask for a smaller page, and take gzip.")
        return self._packed(event, _plain(errors.described(error)))

    def _packed(self, event: Mapping[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        own = {name.lower(): value for name, value in answer["headers"].items()}
        headers = {**SECURITY_HEADERS, **own, "x-request-id": exchange.get().request_id}
        body = answer.get("body") or ""
        finished = {**answer, "headers": headers, "body": body, "isBase64Encoded": False}
        if answer["statusCode"] in {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}:
            headers.pop("content-type", None)
            return finished | {"body": ""}
        headers["vary"] = ", ".join(filter(None, ["accept-encoding", own.get("vary")]))
        data = body.encode()
        if len(data) < self.services.limits.compress_bytes or not _takes_gzip(event):
            return finished
        headers["content-encoding"] = "gzip"
        packed = base64.b64encode(gzip.compress(data, 6, mtime=0)).decode()
        return finished | {"body": packed, "isBase64Encoded": True}


def _plain(response: Response[str]) -> dict[str, Any]:
    headers = {name: str(value) for name, value in response.headers.items()}
    return {"statusCode": response.status_code, "headers": headers, "body": response.body}


def _takes_gzip(event: Mapping[str, Any]) -> bool:
    headers = event.get("headers") or {}
    given = next((value for name, value in headers.items() if name.lower() == "accept-encoding"), "")
    for choice in given.lower().split(","):
        name, _, weight = choice.replace(" ", "").partition(";q=")
        if name == "gzip":
            return weight.strip("0.") != "" if weight else True
    return False


def _cors(origins: Sequence[str]) -> CORSConfig | None:
    if not origins:
        return None
    return CORSConfig(
        allow_origin=origins[0],
        extra_origins=list(origins[1:]),
        allow_headers=["content-type", "idempotency-key", "if-none-match", "x-api-key"],
        expose_headers=["etag", "retry-after", "x-request-id"],
        max_age=600,
    )
