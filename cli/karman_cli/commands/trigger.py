"""`karman trigger`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from karman_cli import options

if TYPE_CHECKING:
    from karman_cli.exit_codes import ExitCode
    from karman_core.engine.views import RunView, Started, StateView


def trigger(  # noqa: PLR0913  the options of the command
    graph: Annotated[str, typer.Argument(metavar="GRAPH", help="The graph's name.")],
    *,
    inputs: options.Inputs = None,
    input_file: options.InputFile = None,
    store: options.Store = None,
    idempotency_key: options.IdempotencyKey = None,
    delay: options.Delay = 0.0,
    timeout: options.Timeout = None,
    wait: options.Wait = False,
    db: options.Db = None,
    namespace: options.Namespace = None,
    as_json: options.Json = False,
    traceback: options.Traceback = False,
) -> int:
    """Start a run of a graph; a worker (`karman dev`) works on it."""
    from karman_cli.session import with_engine
    from karman_cli.triggering import Request, trigger_run, until_ended
    from karman_cli.values import json_values, pairs, read_object

    request = Request(
        graph=graph,
        typed=pairs(inputs, "--input"),
        inputs=read_object(input_file),
        store=json_values(store, "--store"),
        idempotency_key=idempotency_key,
        delay_seconds=delay,
        timeout_seconds=timeout,
    )
    started = with_engine(db, namespace, lambda engine, name: trigger_run(engine, name, request))
    if not wait:
        _print_started(started, as_json=as_json)
        return 0
    run, failed = with_engine(db, namespace, lambda engine, name: until_ended(engine, name, started.run_id))
    return _conclude(run, failed, as_json=as_json, traceback=traceback)


def _print_started(started: Started, *, as_json: bool) -> None:
    from karman_cli.output import print_document, print_text

    if as_json:
        print_document(started)
    else:
        print_text(started.run_id)


def _conclude(run: RunView, failed: tuple[StateView, ...], *, as_json: bool, traceback: bool) -> ExitCode:
    from karman_cli.conclusions import conclude

    return conclude(run, failed, as_json=as_json, traceback=traceback)
