"""The statuses of states and runs, and every transition between them, in one place.

The engine's conditional writes take their conditions from the sets that go with them, what the domain decides is
checked against them by tests, and the diagrams in the documentation are drawn from them. No record holds TIMED_OUT: a
state that the end of its run cut off is told so.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class StateStatus(StrEnum):
    """Status of a state. READY is a waiting state whose signal came: it is told to users as QUEUED."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    WAITING = "WAITING"
    READY = "READY"
    RETRYING = "RETRYING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    PRUNED = "PRUNED"
    CANCELLED = "CANCELLED"
    TIMED_OUT = "TIMED_OUT"


class RunStatus(StrEnum):
    """Status of a run. QUEUED and WAITING are told to users; the header holds RUNNING for both."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    WAITING = "WAITING"
    PAUSED = "PAUSED"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    TIMED_OUT = "TIMED_OUT"


_S = StateStatus
STATE_TRANSITIONS: Mapping[StateStatus, frozenset[StateStatus]] = {
    _S.QUEUED: frozenset(
        {_S.QUEUED, _S.RUNNING, _S.SUCCEEDED, _S.FAILED, _S.PRUNED, _S.RETRYING, _S.WAITING, _S.CANCELLED}
    ),
    _S.RUNNING: frozenset(
        {_S.RUNNING, _S.QUEUED, _S.SUCCEEDED, _S.FAILED, _S.PRUNED, _S.RETRYING, _S.WAITING, _S.CANCELLED}
    ),
    _S.WAITING: frozenset({_S.READY, _S.SUCCEEDED}),
    _S.READY: frozenset(
        {_S.QUEUED, _S.RUNNING, _S.SUCCEEDED, _S.FAILED, _S.PRUNED, _S.RETRYING, _S.WAITING, _S.CANCELLED}
    ),
    _S.RETRYING: frozenset(
        {_S.QUEUED, _S.RUNNING, _S.SUCCEEDED, _S.FAILED, _S.PRUNED, _S.RETRYING, _S.WAITING, _S.CANCELLED}
    ),
    _S.FAILED: frozenset({_S.RETRYING}),
    _S.SUCCEEDED: frozenset(),
    _S.PRUNED: frozenset(),
    _S.CANCELLED: frozenset({_S.RETRYING}),
    _S.TIMED_OUT: frozenset(),
}
"""From a state's recorded status to the next. FAILED and CANCELLED go on only when their run is retried, or they are
skipped; WAITING ends SUCCEEDED when it is skipped."""

RUNNABLE_STATES: frozenset[StateStatus] = frozenset({_S.QUEUED, _S.RUNNING, _S.READY, _S.RETRYING})
"""A record with one of these has no outcome for its turn: who holds the turn's message runs the node and commits."""

ENDED_STATES: frozenset[StateStatus] = frozenset(
    {_S.SUCCEEDED, _S.FAILED, _S.PRUNED, _S.CANCELLED, _S.TIMED_OUT}
)

_R = RunStatus
RUN_TRANSITIONS: Mapping[RunStatus, frozenset[RunStatus]] = {
    _R.QUEUED: frozenset({_R.RUNNING, _R.CANCELLED, _R.TIMED_OUT, _R.PAUSED}),
    _R.RUNNING: frozenset({_R.WAITING, _R.PAUSED, _R.SUCCEEDED, _R.FAILED, _R.CANCELLED, _R.TIMED_OUT}),
    _R.WAITING: frozenset({_R.RUNNING, _R.PAUSED, _R.CANCELLED, _R.TIMED_OUT}),
    _R.PAUSED: frozenset({_R.RUNNING, _R.SUCCEEDED, _R.FAILED, _R.CANCELLED, _R.TIMED_OUT}),
    _R.FAILED: frozenset({_R.RUNNING}),
    _R.SUCCEEDED: frozenset(),
    _R.CANCELLED: frozenset(),
    _R.TIMED_OUT: frozenset(),
}
"""From a run's status to the next. FAILED goes on when it is retried, in a new epoch."""

OPEN_RUNS: frozenset[RunStatus] = frozenset({_R.RUNNING, _R.PAUSED})
"""What the header of an unfinished run holds."""

FINAL_RUNS: frozenset[RunStatus] = frozenset({_R.SUCCEEDED, _R.FAILED, _R.CANCELLED, _R.TIMED_OUT})


def shown_status(status: StateStatus, run: RunStatus) -> StateStatus:
    """What users see: READY as QUEUED, and what was cut off by the end of its run as cancelled or timed out."""
    if status not in ENDED_STATES and run is RunStatus.CANCELLED:
        return StateStatus.CANCELLED
    if status not in ENDED_STATES and run is RunStatus.TIMED_OUT:
        return StateStatus.TIMED_OUT
    return StateStatus.QUEUED if status is StateStatus.READY else status
