"""The executor port: runs a node. The SDK implements it for Python nodes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from karman_core.domain.definition import JSON
from karman_core.domain.outcome import Outcome, Resumption


@dataclass(frozen=True, slots=True)
class Execution:
    """One turn of a state, ready to run.

    Attributes:
        state_id: the same in every turn of the state; an idempotency key for what the node does outside.
        identifier: the node instance in the graph; `node_name` is what runs.
        inputs: resolved, as JSON; the executor validates them against the node's model.
        secrets: values of the secrets that the node declared.
        attempt: from 1; a turn that was requeued or waited does not count.
        turn: from 0; counts every re-run.
        resumed: set when the state had waited for a signal.
        timeout_seconds: of this attempt, graph's override and registered value considered; None for the executor's
            default.
        deadline_ms: no execution may go on later (the run's deadline, or the worker's remaining time).
        read_store: the current value of a key of the run's store (defaults considered), None when there is none.
        is_cancelled: whether the run was cancelled (or its deadline passed); cheap.
        trace_parent: the W3C `traceparent` that the run was triggered with, if any.
    """

    namespace: str
    run_id: str
    state_id: str
    graph: str
    graph_version: int
    identifier: str
    node_name: str
    inputs: Mapping[str, JSON]
    secrets: Mapping[str, str]
    attempt: int
    turn: int
    resumed: Resumption | None
    timeout_seconds: float | None
    deadline_ms: int
    read_store: Callable[[str], Awaitable[JSON]]
    is_cancelled: Callable[[], bool]
    trace_parent: str | None = None


class Executor(Protocol):
    """Runs nodes. An execution never raises for what a node does: that is an Errored outcome.

    asyncio.CancelledError passes through: the worker is draining and the message will be given back.
    """

    def runs(self, node_name: str) -> bool:
        """Whether this executor has the node."""
        ...

    def declared_secrets(self, node_name: str) -> tuple[str, ...]:
        """Names of the secrets that the node reads."""
        ...

    async def execute(self, execution: Execution) -> Outcome:
        """Run the node once and say how it ended."""
        ...
