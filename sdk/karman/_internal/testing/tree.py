"""A run as text, for the message of a failed assertion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from karman_core.domain.branches import parse_branch
from karman_core.engine.views import AttemptView, RunView, StateView

MAX_STATES = 60
_INDENT = "  "


def draw(run: RunView, states: Sequence[StateView], elapsed_seconds: float) -> str:
    """The run and its states, each under the fork that opened its branch, with the errors of those that failed."""
    lines = [f"run {run.run_id} of graph '{run.graph}': {run.status} after {elapsed_seconds:g} s"]
    if run.error:
        lines.append(f"{_INDENT}error: {run.error}")
    if run.awaiting and not run.ended:
        names = ", ".join(repr(name) for name in run.awaiting)
        lines.append(f"{_INDENT}it awaits {names}, which nobody sends: give signals={{...}}")
    shown = _chosen(states)
    for state in shown:
        lines.extend(_INDENT + line for line in _lines(state))
    if len(shown) < len(states):
        lines.append(f"{_INDENT}... and {len(states) - len(shown)} states more")
    return "\n".join(lines)


def _chosen(states: Sequence[StateView]) -> Sequence[StateView]:
    """Of a wide run, what did not succeed is shown first."""
    if len(states) <= MAX_STATES:
        return states
    interesting = [state for state in states if state.status != "SUCCEEDED"]
    return (interesting or list(states))[:MAX_STATES]


def _lines(state: StateView) -> Iterator[str]:
    branch = parse_branch(state.branch)
    indent = _INDENT * len(branch)
    index = f"[{branch[-1][1]}] " if branch and state.number == 0 else "    " if branch else ""
    yield f"{indent}{index}{state.identifier}  {state.status}{_notes(state)}"
    failed = [attempt for attempt in state.attempts if attempt.error_kind is not None]
    for attempt in failed:
        yield f"{indent}      attempt {attempt.attempt}: {attempt.error_kind}: {_first_line(attempt)}"
    if failed and failed[-1].traceback and state.status != "SUCCEEDED":
        yield from (f"{indent}        {line}" for line in failed[-1].traceback.rstrip().splitlines())


def _notes(state: StateView) -> str:
    notes = []
    if state.awaiting is not None:
        notes.append(f"awaits '{state.awaiting}'")
    if state.turns > 1:
        notes.append(f"{state.turns} turns")
    if state.width is not None and state.width != 1:
        notes.append(f"{state.width} branches")
    return f"  ({', '.join(notes)})" if notes else ""


def _first_line(attempt: AttemptView) -> str:
    return (attempt.error_message or "").splitlines()[0] if attempt.error_message else ""
