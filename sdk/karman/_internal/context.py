"""What a node knows of its execution, and what it can do beside giving outputs."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import MutableMapping
from contextvars import ContextVar
from typing import Any

from karman._internal.journal import Journal
from karman._internal.json_values import to_json
from karman._internal.outcomes import Cancelled, signal_name
from karman._internal.store import Store
from karman_core.domain.outcome import Resumption, SentSignal
from karman_core.ports.executor import Execution

current_context: ContextVar[Context | None] = ContextVar("current_context", default=None)
"""Of the node that is being executed: log lines written in it are told apart by it."""


class ContextLogger(logging.LoggerAdapter[logging.Logger]):
    """Adds the context's fields to each record, beside those of the call."""

    def process(
        self, msg: object, kwargs: MutableMapping[str, Any]
    ) -> tuple[object, MutableMapping[str, Any]]:
        # Before Python 3.13 an adapter replaces the call's own `extra`.
        kwargs["extra"] = {**(self.extra or {}), **(kwargs.get("extra") or {})}
        return msg, kwargs


class Context:
    """The execution of a state, as its node sees it: `self.ctx` in a node, a parameter of a function node.

    Attributes:
        namespace: whose run it is.
        run_id: of the run.
        state_id: the same in every turn of the state; use it as idempotency key for what the node does outside.
        graph: name of the graph.
        identifier: of the node instance in the graph.
        attempt: from 1; a turn that was requeued or waited does not count.
        turn: from 0; counts every re-run.
        resumed: what a state that waited (`WaitFor`) was resumed by, with `signal`, `payload` and `timed_out`; else
            None.
        trace_parent: the W3C `traceparent` that the run was triggered with, or None. Give it to OpenTelemetry as the
            parent of your spans, send it on as the header of that name, or to a child process as `TRACEPARENT`.
        store: the run's store.
        logger: with the fields run_id, state_id, identifier and attempt.
    """

    def __init__(self, execution: Execution, journal: Journal, *, ends: float) -> None:
        """For the executor.

        Args:
            execution: what is executed.
            journal: where effects go.
            ends: the time of `time.monotonic` when the execution must have ended.
        """
        self.namespace = execution.namespace
        self.run_id = execution.run_id
        self.state_id = execution.state_id
        self.graph = execution.graph
        self.identifier = execution.identifier
        self.attempt = execution.attempt
        self.turn = execution.turn
        self.resumed: Resumption | None = execution.resumed
        self.trace_parent: str | None = execution.trace_parent
        self.store = Store(journal, execution.read_store, asyncio.get_running_loop())
        self.logger = ContextLogger(
            logging.getLogger(f"karman.nodes.{execution.node_name}"),
            {
                "run_id": self.run_id,
                "state_id": self.state_id,
                "identifier": self.identifier,
                "attempt": self.attempt,
            },
        )
        self._journal = journal
        self._ends = ends
        self._is_cancelled = execution.is_cancelled

    def __repr__(self) -> str:
        return (
            f"Context(run_id={self.run_id!r}, identifier={self.identifier!r}, "
            f"state_id={self.state_id!r}, attempt={self.attempt})"
        )

    def remaining(self) -> float:
        """Seconds until this execution times out; 0.0 when it has."""
        return max(0.0, self._ends - time.monotonic())

    @property
    def cancelled(self) -> bool:
        """Whether to stop: the run was cancelled or ended, or this attempt is past its timeout. Cheap."""
        return self._journal.stopped or self._is_cancelled()

    def raise_if_cancelled(self) -> None:
        """Stop here if the execution is to stop.

        Raises:
            Cancelled: let it pass.
        """
        if self.cancelled:
            raise Cancelled

    async def checkpoint(self) -> None:
        """Give others on the event loop a turn, then stop here if the execution is to stop.

        Raises:
            Cancelled: let it pass.
        """
        await asyncio.sleep(0)
        self.raise_if_cancelled()

    def signal(self, name: str, payload: Any = None, *, run_id: str | None = None) -> None:  # noqa: ANN401 - JSON
        """Send a signal to a run, by default to this one. Buffered: it is sent with this state's commit, once.

        Args:
            name: what a state waits for.
            payload: whatever has a form in JSON.
            run_id: of another run in the same namespace.

        Raises:
            InvalidInput: if the name is malformed or JSON cannot hold the payload.
        """
        plain = to_json(payload, f"The payload of signal '{name}'")
        self._journal.signals.append(SentSignal(signal_name(name), plain, run_id))
