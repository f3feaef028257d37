"""`karman signal`."""

from __future__ import annotations

from typing import Annotated

import typer

from karman_cli import options


def signal(
    run: options.RunId,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The signal's name.")],
    *,
    payload: Annotated[
        str | None,
        typer.Option(
            "--payload", metavar="JSON", help="What the waiting node is given; text if it is no JSON."
        ),
    ] = None,
    db: options.Db = None,
    namespace: options.Namespace = None,
    as_json: options.Json = False,
    traceback: options.Traceback = False,  # noqa: ARG001  read by the command group
) -> None:
    """Send a signal to a run. One that nobody waits for yet is kept until somebody does."""
    from karman_cli.output import note, print_document
    from karman_cli.session import with_engine
    from karman_cli.values import json_or_text

    value = None if payload is None else json_or_text(payload)
    with_engine(db, namespace, lambda engine, own: engine.signal(own, run, name, value))
    if as_json:
        print_document({"run_id": run, "signal": name, "payload": value})
    else:
        note(f"sent the signal '{name}' to run {run}")
