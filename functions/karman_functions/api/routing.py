"""Routes and who may take them. A route cannot be made without saying so."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from aws_lambda_powertools.event_handler.api_gateway import Route, Router

from karman_core.engine.access import Scope

PREFIX = "/v1"
IN_NAMESPACE = f"{PREFIX}/namespaces/<namespace>"
_EXTENSION = "x-karman-scope"
_PUBLIC = "public"

Handler = TypeVar("Handler", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Access:
    """What a route asks of a key; None for a public route."""

    scope: Scope | None


def access_of(route: Route) -> Access | None:
    """What a route asks for. None for the route that stands for there being none."""
    scope = (route.openapi_extensions or {}).get(_EXTENSION)
    if scope is None:
        return None
    return Access(None if scope == _PUBLIC else Scope(scope))


class Resource:
    """The routes of one kind of thing."""

    def __init__(self, tag: str) -> None:
        self.router = Router()
        self._tag = tag

    def public(self, method: str, path: str) -> Callable[[Handler], Handler]:
        """A route that needs no key; the path follows the version."""
        return self._route(method, f"{PREFIX}{path}", None, 200)

    def route(
        self, method: str, path: str, scope: Scope, *, status: int = 200
    ) -> Callable[[Handler], Handler]:
        """A route of a namespace that needs a key of a scope; the path follows the namespace."""
        return self._route(method, f"{IN_NAMESPACE}{path}", scope, status)

    def _route(
        self, method: str, path: str, scope: Scope | None, status: int
    ) -> Callable[[Handler], Handler]:
        def register(handler: Handler) -> Handler:
            summary, _, description = (inspect.getdoc(handler) or "").partition("\n\n")
            decorate = self.router.route(
                path,
                method,
                summary=summary.rstrip("."),
                description=description or None,
                response_description="Done.",
                tags=[self._tag],
                operation_id=handler.__name__,
                security=[{"api_key": []}] if scope else None,
                openapi_extensions={_EXTENSION: scope.value if scope else _PUBLIC},
                status_code=status,
            )
            return decorate(handler)

        return register
