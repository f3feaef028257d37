"""`karman trigger`: starts a run that other processes work on, and may wait for its end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from karman_cli.conclusions import failed_states
from karman_cli.registering import root_schema
from karman_cli.values import fitted
from karman_core.domain.definition import JSON

if TYPE_CHECKING:
    from karman_core.engine import Engine
    from karman_core.engine.views import RunView, Started, StateView

LOOK_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Request:
    """What a run is started with; `typed` inputs are fitted to the root node's fields and win over `inputs`."""

    graph: str
    typed: Mapping[str, str]
    inputs: Mapping[str, JSON]
    store: Mapping[str, JSON]
    idempotency_key: str | None
    delay_seconds: float
    timeout_seconds: float | None


async def trigger_run(engine: Engine, namespace: str, request: Request) -> Started:
    """Start the run. Raises NotFound, InvalidGraph, InvalidInput, Conflict."""
    view = await engine.get_graph(namespace, request.graph)
    schema = await root_schema(engine, namespace, view.definition)
    return await engine.trigger(
        namespace,
        request.graph,
        inputs={**request.inputs, **fitted(request.typed, schema)},
        store=request.store,
        start_delay_ms=round(request.delay_seconds * 1000),
        idempotency_key=request.idempotency_key,
        timeout_ms=None if request.timeout_seconds is None else round(request.timeout_seconds * 1000),
    )


async def until_ended(engine: Engine, namespace: str, run_id: str) -> tuple[RunView, tuple[StateView, ...]]:
    """The run as it ended, and what failed in it. Other processes work on it, so it is read again and again."""
    while True:
        run = await engine.get_run(namespace, run_id)
        if run.ended:
            return run, await failed_states(engine, run)
        await asyncio.sleep(LOOK_SECONDS)
