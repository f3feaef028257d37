"""`karman run`: run a graph to its end, in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from karman_cli import options


def run(  # noqa: PLR0913  the options of the command
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE_OR_MODULE[:GRAPH]",
            help="A Python file, a module, or a YAML or JSON graph; GRAPH where there are several.",
        ),
    ] = None,
    *,
    inputs: options.Inputs = None,
    input_file: options.InputFile = None,
    store: options.Store = None,
    secret: options.Secrets = None,
    secret_env: options.SecretEnv = None,
    nodes: options.Nodes = None,
    db: Annotated[
        Path | None,
        typer.Option(
            "--db",
            metavar="FILE",
            dir_okay=False,
            help="Keep the run in this database. Default: $KARMAN_DB, else a temporary one.",
        ),
    ] = None,
    resume: Annotated[
        str | None, typer.Option("--resume", metavar="RUN", help="Go on with a run that was interrupted.")
    ] = None,
    concurrency: options.Concurrency = 16,
    timeout: Annotated[
        float | None, typer.Option("--timeout", metavar="SECONDS", min=0.001, help="The run's deadline.")
    ] = None,
    namespace: options.Namespace = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the result and errors only.")] = False,
    as_json: options.Json = False,
    traceback: options.Traceback = False,
) -> int:
    """Run a graph to its end, in this process, and print its result.

    Exit codes: 0 SUCCEEDED, 1 FAILED, 2 could not start, 3 CANCELLED, 4 TIMED_OUT, 130 interrupted.
    """
    from karman_cli.run_command import Request, execute
    from karman_cli.running import Start
    from karman_cli.values import json_or_text, pairs, read_object, secret_values

    if target is None and resume is None:
        raise typer.BadParameter("name a file or a module with a graph, or a run with --resume")
    start = Start(
        typed=pairs(inputs, "--input"),
        inputs=read_object(input_file) if input_file else {},
        store={key: json_or_text(value) for key, value in pairs(store, "--store").items()},
        secrets=secret_values(secret, secret_env),
        timeout_seconds=timeout,
    )
    request = Request(
        target=target,
        nodes_from=tuple(nodes or ()),
        db=db,
        resume=resume,
        concurrency=concurrency,
        namespace=namespace,
        quiet=quiet,
        as_json=as_json,
        traceback=traceback,
    )
    return execute(request, start)
