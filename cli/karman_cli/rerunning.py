"""`karman rerun`: begins a run at a state of another one."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from karman_cli.registering import instance_of, root_of
from karman_cli.values import fitted
from karman_core.domain.definition import JSON, GraphDefinition
from karman_core.domain.errors import NotFound

if TYPE_CHECKING:
    from karman_cli.connections.connection import Connection
    from karman_core.engine.views import Started


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for; `typed` inputs are fitted to the fields of the node at `start` and win over `inputs`."""

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
        definition = (await connection.graph(run.graph, run.graph_version)).definition
        root = root_of(definition)
        first = root is not None and request.start in {root.identifier, f"{run.run_id}--0"}
        identifier = None if first else await _identifier(connection, definition, request)
        schema = await connection.inputs_schema(definition, identifier)
        inputs = {**(run.inputs if first else {}), **request.inputs, **fitted(request.typed, schema)}
    return await connection.rerun(request.run_id, request.start, inputs, request.idempotency_key)


async def _identifier(connection: Connection, definition: GraphDefinition, request: Request) -> str:
    """The node instance of `start`, which may be a state's id; what is neither, the rerun itself refuses."""
    if instance_of(definition, request.start) is None:
        with suppress(NotFound):
            return (await connection.state(request.run_id, request.start)).identifier
    return request.start
