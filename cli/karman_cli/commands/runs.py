"""`karman runs`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from karman_cli import options
from karman_cli.operating import Session, operating

if TYPE_CHECKING:
    from karman_cli.connections.connection import Connection
    from karman_core.engine.listing import RunFilter
    from karman_core.engine.views import RunView


@operating
def runs(
    session: Session,
    *,
    graph: options.GraphFilter = None,
    status: options.StatusFilter = None,
    since: options.Since = None,
    until: options.Until = None,
    tag: options.TagFilter = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=10_000)] = 20,
) -> None:
    """List runs, newest first."""
    from karman_cli.filters import run_filter
    from karman_cli.output import print_document
    from karman_cli.tables import print_runs

    wanted = run_filter(graph, status, since, until, tag)
    found = session.run(lambda connection: _list(connection, wanted, limit))
    if session.as_json:
        print_document({"runs": found})
    else:
        print_runs(found)


async def _list(connection: Connection, wanted: RunFilter, limit: int) -> list[RunView]:
    return [run async for run in connection.runs(wanted, limit)]
