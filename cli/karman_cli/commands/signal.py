"""`karman signal`."""

from __future__ import annotations

from typing import Annotated

import typer

from karman_cli import options
from karman_cli.operating import Session, operating


@operating
def signal(
    session: Session,
    run: options.RunId,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The signal's name.")],
    *,
    payload: Annotated[
        str | None,
        typer.Option(
            "--payload", metavar="JSON", help="What the waiting node is given; text if it is no JSON."
        ),
    ] = None,
) -> None:
    """Send a signal to a run. One that nobody waits for yet is kept until somebody does."""
    from karman_cli.output import note, print_document
    from karman_cli.values import json_or_text

    value = None if payload is None else json_or_text(payload)
    session.run(lambda connection: connection.signal(run, name, value))
    if session.as_json:
        print_document({"run_id": run, "signal": name, "payload": value})
    else:
        note(f"sent the signal '{name}' to run {run}")
