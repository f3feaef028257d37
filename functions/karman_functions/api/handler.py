"""What Lambda calls for requests of API Gateway's HTTP API, or of a function URL (payload format 2.0).

The event loop and all clients are made with the first request and live as long as the instance, so that connections and
caches stay warm.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from karman_core.backends.posting import HttpxPoster
from karman_core.domain.tracing import from_x_ray
from karman_functions import composition
from karman_functions.api.app import Application
from karman_functions.api.limits import Limits
from karman_functions.exosphere import exosphere_application
from karman_functions.settings import Settings, load_settings, x_ray_header

ANSWER_BYTES = 6_000_000
"""Lambda gives back at most 6 MB (6,291,556 bytes), of which headers take some."""


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance of the function."""

    application: Application
    process: composition.Process

    @property
    def loop(self) -> asyncio.Runner:
        """On which requests are served."""
        return self.process.loop

    def answer(self, event: Mapping[str, Any], context: Any) -> dict[str, Any]:  # noqa: ANN401  Lambda's
        """Serve one request to its end."""
        if self.process.settings.tracing == "xray":
            event = with_trace(event, x_ray_header())
        return self.process.serve(self.application.handle(event, context), context)


def compose(settings: Settings) -> Instance:
    """The API, and Exosphere's beside it, over the AWS backend."""
    process = composition.compose(settings)
    app = exosphere_application(
        process.backend,
        process.engine,
        clock=process.clock,
        entropy=process.entropy,
        admin_key=settings.api_key.get_secret_value() if settings.api_key else None,
        limits=Limits(
            body_bytes=settings.body_bytes,
            requests_per_second=settings.rate or None,
            burst=settings.burst,
            answer_bytes=ANSWER_BYTES,
        ),
        cors_origins=[origin.strip() for origin in settings.cors_origins.split(",") if origin.strip()],
        callers=settings.iam_callers,
        poster=HttpxPoster(loopback=settings.webhook_loopback),
    )
    return Instance(app, process)


@cache
def instance() -> Instance:
    """This process's; the environment is read here, with the first request."""
    return compose(load_settings())


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:  # noqa: ANN401  Lambda's
    """Lambda's entry."""
    return instance().answer(event, context)


def with_trace(event: Mapping[str, Any], header: str | None) -> Mapping[str, Any]:
    """The event with the trace of X-Ray's header as its `traceparent`, unless it has one or there is none."""
    trace = from_x_ray(header)
    headers = event.get("headers") or {}
    if trace is None or any(name.lower() == "traceparent" for name in headers):
        return event
    return {**event, "headers": {**headers, "traceparent": trace}}
