"""`karman rerun`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from karman_cli import options
from karman_cli.operating import Session, operating

if TYPE_CHECKING:
    from karman_cli.connections.connection import Connection
    from karman_cli.rerunning import Request


@operating
def rerun(
    session: Session,
    run: options.RunId,
    *,
    start: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="IDENTIFIER",
            help="Where to begin: a state of the run's first branch, or its id.",
        ),
    ],
    inputs: options.Inputs = None,
    input_file: options.InputFile = None,
    idempotency_key: options.IdempotencyKey = None,
    wait: options.Wait = False,
) -> int:
    """Begin a new run at a state of another, which reuses what came before it; print its id.

    Inputs that are given take the place of the trigger's, or for a later state of what the graph gives it; the others
    stay.
    """
    from karman_cli.rerunning import Request
    from karman_cli.values import pairs, read_object

    request = Request(run, start, pairs(inputs, "--input"), read_object(input_file), idempotency_key)
    return session.run(lambda connection: _rerun(connection, session, request, wait=wait))


async def _rerun(connection: Connection, session: Session, request: Request, *, wait: bool) -> int:
    from karman_cli.rerunning import rerun_from
    from karman_cli.starting import tell_started

    return await tell_started(connection, session, await rerun_from(connection, request), wait=wait)
