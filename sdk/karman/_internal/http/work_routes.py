"""The routes for workers, as calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import assert_never

from karman._internal.http.calls import Call
from karman._internal.http.results import field_reader, reader
from karman._internal.http.routes import Routes
from karman._internal.results import NodeOutcome
from karman_core.domain.definition import JSON, RegisteredNode
from karman_core.domain.outcome import (
    Awaiting,
    Effects,
    Errored,
    Pruned,
    Requeued,
    StoreAppend,
    StoreDelete,
    StoreIncrement,
    StoreSet,
    StoreWrite,
    Succeeded,
)
from karman_core.engine.views import LeaseView, Registration, Released, Report, Work

_NAME_CHARACTERS = 256
_TEXT_CHARACTERS = 65_536
_BASES = 100
"""As the server has them; what is longer is cut, so that a failure is never lost for its size."""


class WorkRoutes:
    """The routes of a namespace's work."""

    def __init__(self, routes: Routes) -> None:
        self._routes = routes

    def register(self, runtime: str, nodes: Sequence[RegisteredNode]) -> Call[Registration]:
        declared = [node.model_dump(mode="json", exclude={"runtime"}) for node in nodes]
        body = {"runtime": runtime, "nodes": declared}
        return Call("PUT", self._routes.path("nodes"), reader(Registration), body)

    def poll(
        self, nodes: Sequence[str], limit: int, wait_seconds: float, lease_seconds: int
    ) -> Call[tuple[Work, ...]]:
        body = {
            "nodes": list(nodes),
            "limit": limit,
            "wait_seconds": wait_seconds,
            "lease_seconds": lease_seconds,
        }
        path, read = self._routes.path("work", "poll"), field_reader("work", tuple[Work, ...])
        # What a lost answer leased comes back when the leases end, so nothing is lost by asking again.
        return Call("POST", path, read, body, wait_seconds=wait_seconds)

    def heartbeat(self, state_id: str, lease: str, lease_seconds: int) -> Call[LeaseView]:
        body = {"lease": lease, "lease_seconds": lease_seconds}
        return Call("POST", self._routes.path("work", state_id, "heartbeat"), reader(LeaseView), body)

    def release(self, state_id: str, lease: str) -> Call[Released]:
        # Again after a lost answer, it is a conflict, which the worker passes over.
        return Call(
            "POST", self._routes.path("work", state_id, "release"), reader(Released), {"lease": lease}
        )

    def report(self, state_id: str, outcome: NodeOutcome, lease: str | None) -> Call[Report]:
        verb, body = _report(outcome)
        if lease is not None:
            body["lease"] = lease
        return Call("POST", self._routes.path("work", state_id, verb), reader(Report), body)


def _report(outcome: NodeOutcome) -> tuple[str, dict[str, JSON]]:
    match outcome:
        case Succeeded(outputs, following, effects):
            rows = [dict(row) for row in outputs]
            return "outputs", {"outputs": rows, "next": following, **_effects(effects)}
        case Errored():
            return "error", _error(outcome)
        case Pruned(data, effects):
            return "prune", {"data": dict(data), **_effects(effects)}
        case Requeued(delay_ms, effects):
            return "requeue", {"delay_ms": delay_ms, **_effects(effects)}
        case Awaiting(signal, timeout_ms, effects):
            return "wait", {"signal": signal, "timeout_ms": timeout_ms, **_effects(effects)}
        case _:
            assert_never(outcome)


def _error(outcome: Errored) -> dict[str, JSON]:
    bases = [each[:_NAME_CHARACTERS] for each in outcome.bases if each]
    return {
        "kind": outcome.kind[:_NAME_CHARACTERS] or "Exception",
        "message": outcome.message[:_TEXT_CHARACTERS],
        "traceback": outcome.traceback[-_TEXT_CHARACTERS:],
        "retry": outcome.retry,
        "bases": bases[:_BASES],
    }


def _effects(effects: Effects) -> dict[str, JSON]:
    found: dict[str, JSON] = {}
    if effects.store:
        found["store"] = [{"op": _operation(write), **asdict(write)} for write in effects.store]
    if effects.signals:
        found["signals"] = [asdict(signal) for signal in effects.signals]
    return found


def _operation(write: StoreWrite) -> str:
    match write:
        case StoreSet():
            return "set"
        case StoreDelete():
            return "delete"
        case StoreIncrement():
            return "increment"
        case StoreAppend():
            return "append"
        case _:
            assert_never(write)
