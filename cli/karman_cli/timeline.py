"""What has happened in a run, in the order of time, from the run and its states as they are read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from karman_cli.run_texts import lasted, when
from karman_core.engine.views import AttemptView, RunView, StateView

ENDED = frozenset({"SUCCEEDED", "FAILED", "PRUNED", "CANCELLED", "TIMED_OUT"})


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened.

    Attributes:
        at_ms: epoch milliseconds.
        kind: run_queued, run_began, state_began, attempt_failed, attempt_began, state_waits, state_requeued,
            state_ended, run_ended.
        text: what happened, for people.
        identifier, branch, state_id: of the state; None for what is the run's.
    """

    at_ms: int
    kind: str
    text: str
    identifier: str | None = None
    branch: str | None = None
    state_id: str | None = None
    status: str | None = None
    attempt: int | None = None
    error: str | None = None
    traceback: str | None = None

    @property
    def where(self) -> str:
        """The state, with its branch below the first one; `run` for what is the run's."""
        return "run" if self.identifier is None else f"{self.identifier} {self.branch}".rstrip()


def run_events(run: RunView) -> Iterator[Event]:
    """Its begin and its end."""
    late = f", to start at {when(run.starts_ms)}" if run.starts_ms > run.created_ms else ""
    graph = f"{run.graph} v{run.graph_version}"
    if run.queued_for is not None:
        yield Event(run.created_ms, "run_queued", f"queued: {graph}{late}; waits for {run.queued_for}")
    else:
        yield Event(run.created_ms, "run_began", f"began: {graph}{late}")
    if run.ended_ms is not None:
        took = lasted(run.starts_ms, run.ended_ms)
        error = f": {run.error}" if run.error else ""
        text = f"{run.status} in {took}{error}"
        yield Event(run.ended_ms, "run_ended", text, status=run.status, error=run.error)


def state_events(state: StateView) -> Iterator[Event]:
    """What is known of a state: its attempts, what it waits for, its end."""
    failed = [attempt for attempt in state.attempts if attempt.error_kind is not None]
    turns = sorted({*(attempt.started_ms for attempt in failed), state.started_ms or 0} - {0})
    for number, at_ms in enumerate(turns, start=1):
        if number == 1:
            yield _event(state, at_ms, "state_began", "began")
        else:
            yield _event(state, at_ms, "attempt_began", f"began again, attempt {number}", attempt=number)
    for number, attempt in enumerate(failed, start=1):
        yield _failure(state, attempt, number)
    yield from _standing(state)


def in_order(events: list[Event]) -> list[Event]:
    """By time; what happened in the same millisecond stays in order, but that the run begins first and ends last."""
    places = {"run_queued": 0, "run_began": 0, "run_ended": 2}
    return sorted(events, key=lambda event: (event.at_ms, places.get(event.kind, 1)))


def _failure(state: StateView, attempt: AttemptView, number: int) -> Event:
    return _event(
        state,
        attempt.ended_ms,
        "attempt_failed",
        f"attempt {number} failed: {attempt.error_kind}: {attempt.error_message}",
        attempt=number,
        error=f"{attempt.error_kind}: {attempt.error_message}",
        traceback=attempt.traceback or None,
    )


def _standing(state: StateView) -> Iterator[Event]:
    """How the state stands since it was run last."""
    if state.ended_ms is None:
        return
    if state.awaiting is not None:
        yield _event(state, state.ended_ms, "state_waits", f"waits for the signal '{state.awaiting}'")
    elif state.status in ENDED:
        took = lasted(state.started_ms, state.ended_ms)
        branches = f", {state.width:,} branches" if state.width is not None else ""
        yield _event(state, state.ended_ms, "state_ended", f"{state.status} in {took}{branches}")
    elif state.due_ms is not None:
        yield _event(state, state.ended_ms, "state_requeued", f"to run again at {when(state.due_ms)}")


def _event(
    state: StateView,
    at_ms: int,
    kind: str,
    text: str,
    *,
    attempt: int | None = None,
    error: str | None = None,
    traceback: str | None = None,
) -> Event:
    return Event(
        at_ms,
        kind,
        text,
        state.identifier,
        state.branch,
        state.state_id,
        state.status,
        attempt,
        error,
        traceback,
    )
