"""`karman audit`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from karman_cli.operating import Session, operating

if TYPE_CHECKING:
    from karman_cli.connections.connection import Connection
    from karman_core.engine.auditing import AuditEntry


@operating
def audit(
    session: Session,
    *,
    run: Annotated[str | None, typer.Option("--run", metavar="RUN", help="Only about this run.")] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="Only since then: an age or an ISO time.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="TIME", help="Only before then: an age or an ISO time.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=10_000)] = 50,
) -> None:
    """Who changed what, newest first. On a server it takes a key with scope admin."""
    from karman_cli.filters import run_filter
    from karman_cli.output import note, print_document
    from karman_cli.run_texts import when
    from karman_cli.tables import print_table

    times = run_filter(since=since, until=until)
    found = session.run(lambda connection: _list(connection, times.since_ms, times.until_ms, run, limit))
    if session.as_json:
        print_document({"entries": found})
    elif not found:
        note("no entries")
    else:
        rows = [
            (
                when(each.at_ms),
                each.by,
                each.action,
                each.run_id or "",
                each.target or "",
                each.result or "not known",
            )
            for each in found
        ]
        print_table(("WHEN", "WHO", "WHAT", "RUN", "OF IT", "RESULT"), rows)


async def _list(
    connection: Connection, since_ms: int | None, until_ms: int | None, run: str | None, limit: int
) -> list[AuditEntry]:
    return [entry async for entry in connection.audit(since_ms, until_ms, run, limit)]
