"""Where the records of a run's states are, also those that it reuses of another one."""

from __future__ import annotations

from karman_core.domain.branches import Branch, parse_state_id
from karman_core.domain.errors import NotFound
from karman_core.domain.messages import RunRef
from karman_core.engine import keys
from karman_core.ports.table import Key


def key_of(run: RunRef, place: tuple[Branch, int]) -> Key:
    """The key of a state's record, in the run that has it."""
    source = run.source(*place)
    return keys.state(run.namespace, source.run_id if source else run.run_id, *place)


def place_of(run_id: str, text: str) -> tuple[Branch, int]:
    """Branch and number of a state of a run, from its id. Raises NotFound for no id, or one of another run's state."""
    try:
        owner, branch, number = parse_state_id(text)
    except ValueError as error:
        raise NotFound(f"There is no state '{text}'.") from error
    if owner != run_id:
        raise NotFound(f"Run '{run_id}' has no state '{text}'.")
    return branch, number


def gone(run: RunRef, place: tuple[Branch, int]) -> NotFound:
    """The error for a record that must have been there, as the run reuses it."""
    source = run.source(*place)
    owner = source.run_id if source else run.run_id
    return NotFound(
        f"Run '{run.run_id}' reuses states of run '{owner}' whose records are gone: their retention is over. "
        "Trigger a new run."
    )
