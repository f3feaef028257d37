"""A run as Exosphere draws it: a node for each state and each attempt that was retried, and what led to what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from karman_core.domain.branches import parse_branch, state_id
from karman_core.domain.transitions import StateStatus
from karman_core.engine.views import AttemptView, RunView, StateView
from karman_functions.exosphere.names import attempt_id
from karman_functions.exosphere.statuses import Status, run_status, state_status
from karman_functions.exosphere.times import naive_iso

REPORTED = "Error"
"""The kind of what workers report: they send a text alone."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A node of the drawing. `source` is the id of the state that led to it."""

    id: str
    node_name: str
    identifier: str
    status: Status
    error: str | None
    source: str | None

    def shown(self) -> dict[str, Any]:
        """As it is answered."""
        return {
            "id": self.id,
            "node_name": self.node_name,
            "identifier": self.identifier,
            "status": self.status.value,
            "error": self.error,
        }


@dataclass(frozen=True, slots=True)
class Counts:
    """States of a run by how they stand."""

    success: int = 0
    pending: int = 0
    errored: int = 0
    retried: int = 0


def drawn(view: StateView) -> Iterator[Drawn]:
    """The attempts of a state that were retried, then the state itself."""
    source = _source(view)
    failed = [attempt for attempt in view.attempts if attempt.error_kind is not None]
    ended = view.status in {StateStatus.FAILED, StateStatus.TIMED_OUT}
    last = failed.pop() if ended and failed else None
    for number, attempt in enumerate(failed, 1):
        yield Drawn(
            attempt_id(view.state_id, number),
            view.node_name,
            view.identifier,
            Status.RETRY_CREATED,
            error_of(attempt),
            source,
        )
    error = None if last is None else error_of(last)
    yield Drawn(view.state_id, view.node_name, view.identifier, state_status(view.status), error, source)


def error_of(attempt: AttemptView) -> str:
    """What a worker reported, or what Karman says of it."""
    message = attempt.error_message or ""
    return message if attempt.error_kind == REPORTED else f"{attempt.error_kind}: {message}"


def _source(view: StateView) -> str | None:
    """A state's predecessor in its branch, else the state that opened the branch."""
    branch = parse_branch(view.branch)
    if view.number:
        return state_id(view.run_id, branch, view.number - 1)
    return state_id(view.run_id, branch[:-1], branch[-1][0]) if branch else None


def structure(graph_name: str, nodes: Sequence[Drawn]) -> dict[str, Any]:
    """The drawing of a run."""
    edges = [{"source": node.source, "target": node.id} for node in nodes if node.source is not None]
    summary = Counter(node.status for node in nodes)
    return {
        "root_states": [node.shown() for node in nodes if node.source is None],
        "graph_name": graph_name,
        "nodes": [node.shown() for node in nodes],
        "edges": edges,
        "node_count": len(nodes),
        "edge_count": len(edges),
        "execution_summary": {status.value: summary[status] for status in Status},
    }


def totals_tell(run: RunView) -> bool:
    """Whether a run's totals say all that is counted: it has ended, and every turn of a state ended the state."""
    return run.ended and run.status in {"SUCCEEDED", "FAILED"} and run.totals.turns == _states(run)


def total_counts(run: RunView) -> Counts:
    """The counts as the run's totals have them; turns that ended no state are taken for retries."""
    totals = run.totals
    return Counts(
        success=totals.succeeded + totals.pruned,
        pending=0 if run.ended else 1,
        errored=totals.failed + totals.cancelled,
        retried=max(0, totals.turns - _states(run)),
    )


def _states(run: RunView) -> int:
    totals = run.totals
    return totals.succeeded + totals.failed + totals.pruned + totals.cancelled


def count(nodes: Sequence[Drawn]) -> Counts:
    """The counts of nodes that were drawn."""
    tally = Counter(node.status for node in nodes)
    return Counts(
        success=tally[Status.SUCCESS] + tally[Status.PRUNED],
        pending=tally[Status.CREATED] + tally[Status.QUEUED],
        errored=tally[Status.ERRORED],
        retried=tally[Status.RETRY_CREATED],
    )


def run_row(run: RunView, counts: Counts) -> dict[str, Any]:
    """A run as the list of runs holds it."""
    return {
        "run_id": run.run_id,
        "graph_name": run.graph,
        "success_count": counts.success,
        "pending_count": counts.pending,
        "errored_count": counts.errored,
        "retried_count": counts.retried,
        "total_count": counts.success + counts.pending + counts.errored + counts.retried,
        "status": run_status(run.status, counts.errored),
        "created_at": naive_iso(run.created_ms),
    }
