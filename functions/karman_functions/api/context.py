"""What a request is served with. It travels in a context variable: one process serves many requests at a time.

Handlers are plain functions at module level, so that they can be read one by one; this is how they reach the engine.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass

from karman_core.engine import Engine
from karman_core.engine.access import AccessKeys, Principal
from karman_core.engine.operators import Operator
from karman_core.engine.webhooks import Webhooks
from karman_core.ports.system import Clock, Entropy
from karman_core.ports.timers import Schedules
from karman_functions.api.callers import IamCallers
from karman_functions.api.limits import Limiter, Limits


@dataclass(frozen=True, slots=True)
class Services:
    """What all requests share."""

    engine: Engine
    keys: AccessKeys
    schedules: Schedules
    clock: Clock
    entropy: Entropy
    limits: Limits
    limiter: Limiter
    callers: IamCallers
    webhooks: Webhooks


@dataclass(slots=True)
class Exchange:
    """One request and its answer. `principal` is None until it is known who asks, and on public routes."""

    services: Services
    request_id: str
    source: str
    principal: Principal | None = None


exchange: ContextVar[Exchange] = ContextVar("exchange")


def services() -> Services:
    """Of the request that is being served."""
    return exchange.get().services


def engine() -> Engine:
    """Of the request that is being served."""
    return services().engine


def operator() -> Operator:
    """What whoever asks may change, recorded in the audit log; for routes that need a key."""
    current = exchange.get()
    if current.principal is None:
        raise RuntimeError("A route that needs no key changes nothing that is audited.")
    return current.services.engine.operator(current.principal.name)
