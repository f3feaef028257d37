"""`karman trigger`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from karman_cli import options
from karman_cli.operating import Session, operating

if TYPE_CHECKING:
    from karman_cli.connections.connection import Connection, RunRequest


@operating
def trigger(  # noqa: PLR0913  the options of the command
    session: Session,
    graph: options.GraphName,
    *,
    inputs: options.Inputs = None,
    input_file: options.InputFile = None,
    store: options.Store = None,
    tag: options.Tags = None,
    idempotency_key: options.IdempotencyKey = None,
    delay: options.Delay = 0.0,
    timeout: options.Timeout = None,
    wait: options.Wait = False,
) -> int:
    """Start a run of a graph, which workers (`karman dev`) work on, and print its id.

    Exit codes with --wait: 0 SUCCEEDED, 1 FAILED, 3 CANCELLED, 4 TIMED_OUT; 130 when the waiting is interrupted.
    """
    from karman_cli.connections.connection import RunRequest
    from karman_cli.values import json_values, pairs, read_object

    request = RunRequest(
        graph=graph,
        inputs=read_object(input_file),
        store=json_values(store, "--store"),
        tags=pairs(tag, "--tag"),
        idempotency_key=idempotency_key,
        delay_seconds=delay,
        timeout_seconds=timeout,
    )
    typed = pairs(inputs, "--input")
    return session.run(lambda connection: _trigger(connection, session, request, typed, wait=wait))


async def _trigger(
    connection: Connection, session: Session, request: RunRequest, typed: Mapping[str, str], *, wait: bool
) -> int:
    from karman_cli.starting import tell_started
    from karman_cli.triggering import trigger_run

    return await tell_started(connection, session, await trigger_run(connection, request, typed), wait=wait)
