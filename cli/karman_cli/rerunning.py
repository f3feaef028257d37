"""`karman rerun`: begins a run at a state of another one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from karman_cli.values import fitted
from karman_core.domain.definition import JSON

if TYPE_CHECKING:
    from karman_cli.connections.connection import Connection
    from karman_core.engine.views import Started


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for; `typed` inputs are fitted to the first node's fields and win over `inputs`."""

    run_id: str
    start: str
    typed: Mapping[str, str]
    inputs: Mapping[str, JSON]
    idempotency_key: str | None


async def rerun_from(connection: Connection, request: Request) -> Started:
    """Begin the run; inputs that are not given stay as they were. Raises NotFound, Conflict, InvalidInput."""
    inputs: dict[str, JSON] | None = None
    if request.typed or request.inputs:
        run = await connection.run(request.run_id)
        graph = await connection.graph(run.graph, run.graph_version)
        schema = await connection.inputs_schema(graph.definition)
        inputs = {**run.inputs, **request.inputs, **fitted(request.typed, schema)}
    return await connection.rerun(request.run_id, request.start, inputs, request.idempotency_key)
