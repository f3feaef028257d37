"""`karman retry`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from karman_cli import options
from karman_cli.operating import Selection, Session, operating

if TYPE_CHECKING:
    from karman_cli.connections.connection import Connection
    from karman_core.engine.views import RunView


@operating
def retry(
    session: Session,
    selection: Selection,
    *,
    state: Annotated[
        str | None,
        typer.Option("--state", metavar="STATE", help="This failed state alone, by its id (`karman show`)."),
    ] = None,
    wait: options.Wait = False,
) -> int:
    """Run the failed states of a FAILED run again, and what follows from them.

    With --all it is done to all FAILED runs that pass the filters. Exit codes with --wait: as of `karman trigger`.
    """
    from karman_cli.selecting import operate

    run = selection.one()
    if run is None and (state is not None or wait):
        raise typer.BadParameter("--state and --wait take one RUN")
    if run is not None and wait:
        return session.run(lambda connection: _retry_and_wait(connection, session, run, state))
    return operate(session, selection, "retry", lambda connection, run: _retry(connection, run, state))


async def _retry(connection: Connection, run: str, state: str | None) -> RunView:
    return await (connection.retry(run) if state is None else connection.retry_state(run, state))


async def _retry_and_wait(connection: Connection, session: Session, run: str, state: str | None) -> int:
    from karman_cli.following import follow_to_end

    before = await connection.run(run)
    await _retry(connection, run, state)
    return await follow_to_end(
        connection, run, as_json=session.as_json, traceback=session.traceback, after_ms=before.ended_ms or 0
    )
