"""Karman's statuses in Exosphere's words."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from karman_core.domain.transitions import RunStatus, StateStatus


class Status(StrEnum):
    """Of a state. A retry is a state of its own here: the attempt that failed before it is RETRY_CREATED."""

    CREATED = "CREATED"
    QUEUED = "QUEUED"
    EXECUTED = "EXECUTED"
    NEXT_CREATED_ERROR = "NEXT_CREATED_ERROR"
    RETRY_CREATED = "RETRY_CREATED"
    SUCCESS = "SUCCESS"
    PRUNED = "PRUNED"
    ERRORED = "ERRORED"


STATES: Mapping[StateStatus, Status] = {
    StateStatus.QUEUED: Status.CREATED,
    StateStatus.RUNNING: Status.QUEUED,
    StateStatus.WAITING: Status.QUEUED,
    StateStatus.READY: Status.CREATED,
    StateStatus.RETRYING: Status.CREATED,
    StateStatus.SUCCEEDED: Status.SUCCESS,
    StateStatus.FAILED: Status.ERRORED,
    StateStatus.PRUNED: Status.PRUNED,
    StateStatus.CANCELLED: Status.ERRORED,
    StateStatus.TIMED_OUT: Status.ERRORED,
}
"""EXECUTED and NEXT_CREATED_ERROR never show: a result and what follows from it are one commit. What waits for a signal
is with nobody, but is not to be had by workers either."""

_ENDED = frozenset({RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.TIMED_OUT})


def state_status(status: str) -> Status:
    """Of a state's status as the engine tells it."""
    return STATES[StateStatus(status)]


def run_status(status: str, errored: int) -> str:
    """PENDING, SUCCESS or FAILED; one errored state makes a run FAILED here, even when a unite made up for it."""
    if RunStatus(status) not in _ENDED:
        return "PENDING"
    return "SUCCESS" if RunStatus(status) is RunStatus.SUCCEEDED and not errored else "FAILED"
