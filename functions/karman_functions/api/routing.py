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
_EXTENSION = "x-karman-scopes"
_OPERATORS = "x-karman-operators-only"

Handler = TypeVar("Handler", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Access:
    """What a route asks for: a key with one of the scopes; none for a public route.

    `operators`: it takes who administers all namespaces, as the server's own admin key does.
    """

    scopes: tuple[Scope, ...]
    operators: bool = False


def access_of(route: Route) -> Access | None:
    """What a route asks for. None for the route that stands for there being none."""
    extensions = route.openapi_extensions or {}
    scopes = extensions.get(_EXTENSION)
    if scopes is None:
        return None
    return Access(tuple(map(Scope, scopes)), operators=_OPERATORS in extensions)


class Resource:
    """The routes of one kind of thing."""

    def __init__(self, tag: str) -> None:
        self.router = Router()
        self._tag = tag

    def public(self, method: str, path: str) -> Callable[[Handler], Handler]:
        """A route that needs no key; the path follows the version."""
        return self._route(method, f"{PREFIX}{path}", (), 200)

    def hidden(self, path: str) -> Callable[[Handler], Handler]:
        """A page that needs no key, and is no part of the API's description; the path follows the version."""
        return self.router.get(
            f"{PREFIX}{path}", openapi_extensions={_EXTENSION: []}, include_in_schema=False
        )

    def server(self, method: str, path: str) -> Callable[[Handler], Handler]:
        """A route of no namespace, for the configured admin key alone; the path follows the version."""
        return self._route(method, f"{PREFIX}{path}", (Scope.ADMIN,), 200, operators=True)

    def operators(self, method: str, path: str) -> Callable[[Handler], Handler]:
        """A route of a namespace for those who administer all of them; the path follows the namespace."""
        return self._route(method, f"{IN_NAMESPACE}{path}", (Scope.ADMIN,), 200, operators=True)

    def route(
        self, method: str, path: str, *scopes: Scope, status: int = 200
    ) -> Callable[[Handler], Handler]:
        """A route of a namespace that needs a key with one of the scopes; the path follows the namespace."""
        if not scopes:
            raise ValueError(f"{method} {path} does not say who may take it.")
        return self._route(method, f"{IN_NAMESPACE}{path}", scopes, status)

    def _route(
        self, method: str, path: str, scopes: tuple[Scope, ...], status: int, *, operators: bool = False
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
                security=[{"api_key": []}] if scopes else None,
                openapi_extensions={
                    _EXTENSION: [scope.value for scope in scopes],
                    **({_OPERATORS: True} if operators else {}),
                },
                status_code=status,
            )
            return decorate(handler)

        return register
