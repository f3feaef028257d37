"""What a handler is given, and the table of routes that it is entered in."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel

from karman_core.engine import Engine
from karman_core.engine.access import Principal, Scope
from karman_core.engine.inspecting import Inspector
from karman_core.engine.operators import Operator
from karman_core.ports.system import Clock, Entropy
from karman_functions.exosphere.directory import Directory
from karman_functions.exosphere.settings import ExosphereSettings

PREFIX = "/v0"
IN_NAMESPACE = f"{PREFIX}/namespace/{{namespace_name}}"

Handler = TypeVar("Handler", bound=Callable[..., Awaitable[Any]])


@dataclass(frozen=True, slots=True)
class Tools:
    """What all calls share. `answer_bytes` is what an answer may have; see Limits."""

    engine: Engine
    inspector: Inspector
    directory: Directory
    clock: Clock
    entropy: Entropy
    settings: ExosphereSettings
    answer_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One request, whose key was verified; with the parameters in its path."""

    tools: Tools
    path: Mapping[str, str]
    principal: Principal | None

    @property
    def engine(self) -> Engine:
        """The use cases."""
        return self.tools.engine

    @property
    def operator(self) -> Operator:
        """What whoever asks may change, recorded in the audit log; for routes that need a key."""
        if self.principal is None:
            raise RuntimeError("A route that needs no key changes nothing that is audited.")
        return self.tools.engine.operator(self.principal.name)

    @property
    def namespace(self) -> str:
        """Whose things this is about."""
        return self.path["namespace_name"]


@dataclass(frozen=True, slots=True)
class Route:
    """A route. `scope` is None for a public one, `body` for one that takes none."""

    method: str
    pattern: re.Pattern[str]
    scope: Scope | None
    body: type[BaseModel] | None
    status: int
    handler: Callable[..., Awaitable[Any]]


class Routes:
    """A part of the table of routes."""

    def __init__(self) -> None:
        self.entries: list[Route] = []

    def route(
        self,
        method: str,
        path: str,
        scope: Scope | None,
        *,
        body: type[BaseModel] | None = None,
        status: int = 200,
    ) -> Callable[[Handler], Handler]:
        """Enter a handler. Parameters of the path are in braces; a slash at the end may be there or not."""
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path.rstrip("/"))

        def register(handler: Handler) -> Handler:
            self.entries.append(
                Route(method, re.compile(f"{pattern}/?", re.DOTALL), scope, body, status, handler)
            )
            return handler

        return register
