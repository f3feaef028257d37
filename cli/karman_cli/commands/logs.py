"""`karman logs`."""

from __future__ import annotations

from typing import Annotated

import typer

from karman_cli import options
from karman_cli.operating import Session, operating


@operating
def logs(
    session: Session,
    run: options.RunId,
    *,
    follow: Annotated[
        bool,
        typer.Option("--follow", "-f", help="Go on until the run has ended. With --json: one line an event."),
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Read all states of a run of more than 10,000.")
    ] = False,
) -> None:
    """Print what has happened in a run, in the order of time: states, attempts with their errors, waits, its end."""
    from karman_cli.telling import tell, tell_to_end

    telling = tell_to_end if follow else tell
    session.run(lambda connection: telling(connection, run, everything=everything, as_json=session.as_json))
