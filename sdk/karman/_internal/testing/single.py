"""One node by itself, without a graph."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from karman._internal.durations import Duration, to_seconds
from karman._internal.execution import NodeExecutor
from karman._internal.functions import NodeLike, node_class
from karman._internal.json_values import to_json
from karman._internal.node import declaration_of
from karman._internal.results import NodeOutcome
from karman._internal.testing.synchronous import synchronous
from karman_core.domain.definition import JSON
from karman_core.domain.outcome import Resumption
from karman_core.ports.executor import Execution

_DAY_MS = 86_400_000


async def aexecute(
    node: NodeLike,
    inputs: Mapping[str, Any] | None = None,
    *,
    secrets: Mapping[str, str] | None = None,
    store: Mapping[str, Any] | None = None,
    resumed: Resumption | None = None,
    attempt: int = 1,
    timeout: Duration | None = None,  # noqa: ASYNC109 - of the attempt, an input of what is tested
    cancelled: bool = False,
    **fields: Any,
) -> NodeOutcome:
    """Execute one node as a worker would, and give its outcome: `Succeeded`, `Errored`, `Pruned` and so on.

    Args:
        node: a node class or function.
        inputs: as `fields`, for fields that are called as one of the other arguments here.
        secrets: values of the secrets.
        store: what the run's store holds. Writes are in the outcome's `effects`.
        resumed: what `ctx.resumed` is: `Resumption("approval", {"by": "Ada"})`, or `Resumption("approval",
            timed_out=True)`.
        attempt: what `ctx.attempt` is.
        timeout: of the attempt, instead of the node's own; a timedelta or seconds, of real time.
        cancelled: whether the run is cancelled.
        fields: the inputs.

    Raises:
        InvalidInput: if JSON cannot hold the inputs or store values.
    """
    executor = NodeExecutor([node])
    name = declaration_of(node_class(node)).name
    execution = Execution(
        namespace="test",
        run_id="run",
        state_id="state",
        graph="graph",
        graph_version=1,
        identifier=name,
        node_name=name,
        inputs=to_json({**(inputs or {}), **fields}, "inputs"),
        secrets=dict(secrets or {}),
        attempt=attempt,
        turn=attempt - 1 if resumed is None else attempt,
        resumed=resumed,
        timeout_seconds=None if timeout is None else to_seconds(timeout, "timeout"),
        deadline_ms=executor.now_ms() + _DAY_MS,
        read_store=_reader(store or {}),
        is_cancelled=lambda: cancelled,
    )
    try:
        return await executor.execute(execution)
    finally:
        executor.close()


execute = synchronous(aexecute)
"""As `aexecute`, for tests that are no `async def`."""


def _reader(store: Mapping[str, Any]) -> Callable[[str], Awaitable[JSON]]:
    values: dict[str, JSON] = to_json(dict(store), "store")

    async def read(key: str) -> JSON:
        await asyncio.sleep(0)
        return values.get(key)

    return read
