from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karman_core.domain.outcome import Awaiting, Errored, Outcome, Pruned, Requeued, Stopped, Succeeded
from karman_core.domain.records import (
    FULL_ATTEMPTS,
    MESSAGE_BYTES,
    SHORT_BYTES,
    TRACEBACK_CHARACTERS,
    Attempt,
    Record,
    Turn,
    record_outcome,
)
from karman_core.domain.totals import Totals
from karman_core.domain.transitions import ENDED_STATES, RUNNABLE_STATES, STATE_TRANSITIONS, StateStatus
from tests.domain.positions import names, objects

small = st.integers(0, 10**6)
outcomes: st.SearchStrategy[Outcome] = st.one_of(
    st.builds(Succeeded, st.lists(objects, max_size=3).map(tuple), st.none() | names),
    st.builds(Errored, names, st.text(max_size=4000), st.text(max_size=4000), st.booleans()),
    st.builds(Pruned, objects),
    st.builds(Requeued, small),
    st.builds(Awaiting, names, st.none() | small),
    st.just(Stopped()),
)


@st.composite
def turns(draw: st.DrawFn) -> Turn:
    started = draw(st.integers(1, 10**9))
    return Turn(
        identifier=draw(names),
        number=draw(st.integers(0, 50)),
        attempts=draw(st.integers(0, 50)),
        first_ms=draw(st.just(0) | st.integers(1, started)),
        started_ms=started,
        ended_ms=started + draw(small),
        busy_ms=draw(small),
        write_units=draw(small),
        epoch=draw(st.integers(0, 3)),
    )


@given(turns(), outcomes, st.none() | small)
def test_every_record_follows_an_allowed_transition(turn: Turn, outcome: Outcome, delay: int | None) -> None:
    status = record_outcome(turn, outcome, delay).status
    for before in RUNNABLE_STATES:
        assert status in STATE_TRANSITIONS[before]


@given(turns(), outcomes, st.none() | small)
def test_a_record_is_one_turn_on_and_sums_up(turn: Turn, outcome: Outcome, delay: int | None) -> None:
    record = record_outcome(turn, outcome, delay)
    failed = isinstance(outcome, Errored)
    assert record.turn == turn.number + 1
    assert record.attempts == turn.attempts + failed
    assert len(record.errors) == failed
    assert record.first_ms == (turn.first_ms or turn.started_ms) <= record.started_ms
    assert record.busy_ms == turn.busy_ms + record.ended_ms - record.started_ms
    assert (record.identifier, record.write_units, record.epoch) == (
        turn.identifier,
        turn.write_units,
        turn.epoch,
    )
    ended = [record.totals.succeeded, record.totals.failed, record.totals.pruned, record.totals.cancelled]
    assert sum(ended) == (record.status in ENDED_STATES)
    assert record.totals[4:] == (record.turn, record.busy_ms, record.write_units)


TURN = Turn("here", 2, 1, 10, 100, 107, busy_ms=5, write_units=3, epoch=1)
BASE = Record(
    "here", StateStatus.QUEUED, 3, 1, first_ms=10, started_ms=100, ended_ms=107, busy_ms=12, epoch=1
)
ATTEMPT = Attempt(2, 100, 107, "ValueError", "no", "Traceback")


@pytest.mark.parametrize(
    ("outcome", "delay", "changes"),
    [
        (Succeeded(()), None, {"status": "SUCCEEDED", "width": 0, "outputs": ()}),
        (
            Succeeded(({"a": 1}, {}), "next"),
            None,
            {"status": "SUCCEEDED", "width": 2, "outputs": ({"a": 1}, {}), "chosen": "next"},
        ),
        (Pruned({"why": "old"}), None, {"status": "PRUNED", "data": {"why": "old"}}),
        (Requeued(50), None, {"status": "QUEUED", "due_ms": 157}),
        (Awaiting("go"), None, {"status": "WAITING", "awaiting": "go"}),
        (Awaiting("go", 20), None, {"status": "WAITING", "awaiting": "go", "timeout_ms": 127}),
        (Stopped(), None, {"status": "CANCELLED"}),
        (
            Errored("ValueError", "no", "Traceback"),
            50,
            {"status": "RETRYING", "attempts": 2, "due_ms": 157, "errors": (ATTEMPT,)},
        ),
        (
            Errored("ValueError", "no", "Traceback"),
            None,
            {"status": "FAILED", "attempts": 2, "errors": (ATTEMPT,)},
        ),
    ],
)
def test_what_each_outcome_writes(outcome: Outcome, delay: int | None, changes: dict[str, object]) -> None:
    fields = {**changes, "status": StateStatus(str(changes["status"])), "write_units": 3}
    assert record_outcome(TURN, outcome, delay) == replace(BASE, **fields)  # type: ignore[arg-type]


@given(st.integers(0, 3 * FULL_ATTEMPTS), st.integers(0, 6000), st.none() | small)
def test_errors_are_bounded_and_later_ones_short(attempts: int, size: int, delay: int | None) -> None:
    outcome = Errored("ValueError", "m" * size, "\n".join(map(str, range(size))))
    (error,) = record_outcome(replace(TURN, attempts=attempts), outcome, delay).errors
    full = attempts < FULL_ATTEMPTS
    assert error.attempt == attempts + 1
    assert len(error.message) == min(size, MESSAGE_BYTES if full else SHORT_BYTES)
    assert outcome.traceback.endswith(error.traceback)
    assert len(error.traceback) == (min(len(outcome.traceback), TRACEBACK_CHARACTERS) if full else 0)


@pytest.mark.parametrize("status", StateStatus)
def test_what_a_state_counts(status: StateStatus) -> None:
    counted = {
        StateStatus.SUCCEEDED: Totals(succeeded=1),
        StateStatus.FAILED: Totals(failed=1),
        StateStatus.TIMED_OUT: Totals(failed=1),
        StateStatus.PRUNED: Totals(pruned=1),
        StateStatus.CANCELLED: Totals(cancelled=1),
    }
    record = Record("a", status, turn=2, busy_ms=7, write_units=3)
    assert record.totals == counted.get(status, Totals()).plus(Totals(turns=2, busy_ms=7, write_units=3))
    assert record.runnable == (status in RUNNABLE_STATES)


@pytest.mark.parametrize(
    ("epoch", "reopened", "asked", "counted"),
    [
        (0, 0, 0, "nothing"),  # the run goes on in its first epoch
        (1, 0, 1, "nothing"),  # the state was first reached in this epoch
        (0, 0, 1, "all"),  # it ended in an earlier epoch, and was not opened again
        (1, 1, 2, "all"),
        (0, 1, 1, "before"),  # this epoch opened it again, and it has not ended since
        (1, 1, 1, "before"),  # ... and it has
        (2, 1, 1, "before"),
    ],
)
def test_what_went_up_the_join_tree_in_earlier_epochs(
    epoch: int, reopened: int, asked: int, counted: str
) -> None:
    before = Totals(failed=1, turns=1)
    record = Record("a", StateStatus.SUCCEEDED, turn=2, epoch=epoch, reopened=reopened, before=before)
    expected = {"nothing": Totals(), "all": record.totals, "before": before}
    assert record.counted_before(asked) == expected[counted]
