"""`karman skip`."""

from __future__ import annotations

from typing import Annotated

import typer

from karman_cli import options
from karman_cli.operating import Session, operating


@operating
def skip(
    session: Session,
    run: options.RunId,
    state: Annotated[
        str,
        typer.Argument(
            metavar="STATE", help="The state's id: `karman show` has those of failed states, with --json all."
        ),
    ],
    *,
    output: Annotated[
        list[str] | None,
        typer.Option(
            "--output",
            metavar="JSON",
            help="An output as a JSON object; given several times, a fanout. None: as a node that returns nothing.",
        ),
    ] = None,
    next_node: Annotated[
        str | None,
        typer.Option("--next", metavar="IDENTIFIER", help="What follows, where the node would choose."),
    ] = None,
) -> None:
    """Give a state its outputs instead of its node; the run goes on as if the node had given them.

    For a state without an outcome of a run that goes on, and for a failed state of a FAILED run.
    """
    from karman_cli.output import note, print_document
    from karman_cli.values import json_object

    outputs = [json_object(text, "--output") for text in output] if output else None
    view = session.run(lambda connection: connection.skip(run, state, outputs, next_node))
    if session.as_json:
        print_document(view)
    else:
        note(f"state {state} of run {run} is skipped")
