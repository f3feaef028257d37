from __future__ import annotations

import pytest

from karman_core.domain.transitions import (
    ENDED_STATES,
    FINAL_RUNS,
    OPEN_RUNS,
    RUN_TRANSITIONS,
    RUNNABLE_STATES,
    STATE_TRANSITIONS,
    RunStatus,
    StateStatus,
    shown_status,
)

REOPENED = {StateStatus.FAILED, StateStatus.CANCELLED}


def test_every_status_has_its_row() -> None:
    assert set(STATE_TRANSITIONS) == set(StateStatus)
    assert set(RUN_TRANSITIONS) == set(RunStatus)


def test_a_state_is_runnable_or_waits_or_has_ended() -> None:
    assert RUNNABLE_STATES | {StateStatus.WAITING} | ENDED_STATES == set(StateStatus)
    assert not RUNNABLE_STATES & ENDED_STATES


def test_a_state_that_ended_is_only_reopened() -> None:
    for status in ENDED_STATES:
        assert STATE_TRANSITIONS[status] == ({StateStatus.RETRYING} if status in REOPENED else set())


@pytest.mark.parametrize("status", sorted(RUNNABLE_STATES))
def test_a_runnable_state_can_end_in_every_way_that_a_node_can(status: StateStatus) -> None:
    after = {StateStatus.SUCCEEDED, StateStatus.FAILED, StateStatus.PRUNED, StateStatus.CANCELLED}
    assert after < STATE_TRANSITIONS[status]


def test_a_waiting_state_needs_its_signal_first_or_is_skipped() -> None:
    assert STATE_TRANSITIONS[StateStatus.WAITING] == {StateStatus.READY, StateStatus.SUCCEEDED}
    assert [status for status, after in STATE_TRANSITIONS.items() if StateStatus.READY in after] == [
        StateStatus.WAITING
    ]


def test_every_unfinished_run_can_end() -> None:
    assert set(RUN_TRANSITIONS) > FINAL_RUNS
    for status in set(RunStatus) - FINAL_RUNS:
        assert {RunStatus.CANCELLED, RunStatus.TIMED_OUT} < RUN_TRANSITIONS[status]
    for status in OPEN_RUNS:
        assert RUN_TRANSITIONS[status] >= FINAL_RUNS
    for status in FINAL_RUNS:
        assert RUN_TRANSITIONS[status] == ({RunStatus.RUNNING} if status is RunStatus.FAILED else set())


def expected(status: StateStatus, run: RunStatus) -> StateStatus:
    """What users see, as a table would say it."""
    if status in ENDED_STATES:
        return status
    cut_off = {
        RunStatus.CANCELLED: StateStatus.CANCELLED,
        RunStatus.TIMED_OUT: StateStatus.TIMED_OUT,
    }
    return cut_off.get(run, StateStatus.QUEUED if status is StateStatus.READY else status)


@pytest.mark.parametrize("run", RunStatus)
@pytest.mark.parametrize("status", StateStatus)
def test_what_users_see(status: StateStatus, run: RunStatus) -> None:
    shown = shown_status(status, run)
    assert shown == expected(status, run)
    assert shown is not StateStatus.READY
