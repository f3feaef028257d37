"""`karman trigger`: starts a run that other processes work on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from karman_cli.values import fitted
from karman_core.domain.errors import Forbidden

if TYPE_CHECKING:
    from karman_cli.connections.connection import Connection, RunRequest
    from karman_core.engine.views import Started


async def trigger_run(connection: Connection, request: RunRequest, typed: Mapping[str, str]) -> Started:
    """Start the run; inputs as typed are fitted to the first node's fields, and win over the request's.

    Raises:
        NotFound, InvalidGraph, InvalidInput, Conflict: nothing was started.
    """
    try:
        view = await connection.graph(request.graph)
        schema = await connection.inputs_schema(view.definition)
    except Forbidden:  # a key that may trigger need not be one that may read
        schema = {}
    inputs = {**request.inputs, **fitted(typed, schema)}
    return await connection.trigger(replace(request, inputs=inputs))
