"""`karman run`."""

from __future__ import annotations

import typer

from karman_cli import options


def run(  # noqa: PLR0913  the options of the command
    target: options.OptionalTarget = None,
    *,
    inputs: options.Inputs = None,
    input_file: options.InputFile = None,
    store: options.Store = None,
    secret: options.Secrets = None,
    secret_env: options.SecretEnv = None,
    nodes: options.Nodes = None,
    db: options.RunDb = None,
    resume: options.Resume = None,
    concurrency: options.Concurrency = 16,
    timeout: options.Timeout = None,
    namespace: options.Namespace = None,
    quiet: options.Quiet = False,
    as_json: options.Json = False,
    traceback: options.Traceback = False,
) -> int:
    """Run a graph to its end, in this process, and print its result.

    Exit codes: 0 SUCCEEDED, 1 FAILED, 2 could not start, 3 CANCELLED, 4 TIMED_OUT, 130 interrupted.
    """
    from karman_cli.run_command import Manners, Request, execute
    from karman_cli.running import Start
    from karman_cli.values import json_values, pairs, read_object, secret_values

    if target is None and resume is None:
        raise typer.BadParameter("name a file or a module with a graph, or a run with --resume")
    start = Start(
        typed=pairs(inputs, "--input"),
        inputs=read_object(input_file),
        store=json_values(store, "--store"),
        secrets=secret_values(secret, secret_env),
        timeout_seconds=timeout,
    )
    manners = Manners(quiet=quiet, as_json=as_json, traceback=traceback)
    return execute(Request(target, tuple(nodes or ()), db, resume, concurrency, namespace, manners), start)
