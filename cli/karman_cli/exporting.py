"""A whole run as JSON lines, to keep it beyond its retention or to look at it with other tools.

The first line is the header; each line says in `kind` what it is. States come in the order of their branches, each
group behind the state that opened it. Lines are written as they are read, so a run of any size takes the memory of a
page.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from karman_core.domain.errors import NotFound

if TYPE_CHECKING:
    from karman_cli.connections.connection import Connection

FORMAT: Final = 1


async def lines(connection: Connection, run_id: str) -> AsyncIterator[dict[str, Any]]:
    """The lines of a run, each a JSON object. Raises NotFound before the first."""
    run = await connection.run(run_id)
    graph = await connection.graph(run.graph, run.graph_version)
    yield {"kind": "header", "format": FORMAT, "namespace": connection.place.namespace, "run": run}
    yield {"kind": "graph", "graph": graph}
    async for state in connection.states(run_id):
        yield {"kind": "state", "state": state}
        if state.width is not None:
            with suppress(NotFound):  # it has not been opened yet
                yield {"kind": "group", "group": await connection.group(run_id, state.state_id)}
    for key, value in sorted((await connection.store(run_id)).items()):
        yield {"kind": "store", "key": key, "value": value}
    for name in run.awaiting:
        yield {"kind": "signal", "name": name, "awaited": True}
