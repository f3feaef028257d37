"""`karman runs`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from karman_cli import options

if TYPE_CHECKING:
    from karman_core.engine import Engine
    from karman_core.engine.views import RunView

STATUSES = ("QUEUED", "RUNNING", "PAUSED", "SUCCEEDED", "FAILED", "CANCELLED", "TIMED_OUT")


def runs(
    *,
    graph: Annotated[str | None, typer.Option("--graph", metavar="NAME", help="Runs of this graph.")] = None,
    status: Annotated[
        str | None, typer.Option("--status", metavar="STATUS", help=f"One of {', '.join(STATUSES)}.")
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="AGE", help="Not older than this: 90s, 15m, 2h, 1d, 1w.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=10_000)] = 20,
    db: options.Db = None,
    namespace: options.Namespace = None,
    as_json: options.Json = False,
    traceback: options.Traceback = False,  # noqa: ARG001  read by the command group
) -> None:
    """List runs, newest first."""
    from karman_cli.output import print_document
    from karman_cli.session import with_engine
    from karman_cli.tables import print_runs
    from karman_cli.values import duration_seconds
    from karman_core.backends.system import SystemClock

    wanted = None if status is None else status.upper()
    if wanted is not None and wanted not in STATUSES:
        raise typer.BadParameter(f"--status is one of {', '.join(STATUSES)}, not {status!r}")
    age = None if since is None else duration_seconds(since, "--since")
    since_ms = None if age is None else SystemClock().now_ms() - age * 1000
    found = with_engine(
        db,
        namespace,
        lambda engine, name: _all(engine, name, limit, graph=graph, status=wanted, since_ms=since_ms),
    )
    if as_json:
        print_document({"runs": found})
    else:
        print_runs(found)


async def _all(
    engine: Engine, namespace: str, limit: int, *, graph: str | None, status: str | None, since_ms: int | None
) -> list[RunView]:
    """Pages until there are enough: a filter may leave pages empty."""
    found: list[RunView] = []
    cursor = None
    while len(found) < limit:
        page = await engine.list_runs(
            namespace, graph=graph, status=status, since_ms=since_ms, limit=limit - len(found), cursor=cursor
        )
        found += page.runs
        cursor = page.cursor
        if cursor is None:
            break
    return found[:limit]
