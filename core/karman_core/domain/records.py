"""The record of a state: what its commits have written, and all that deciding looks at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import assert_never

from karman_core.domain.definition import JSON
from karman_core.domain.outcome import Awaiting, Errored, Outcome, Pruned, Requeued, Stopped, Succeeded
from karman_core.domain.totals import Totals
from karman_core.domain.transitions import RUNNABLE_STATES, StateStatus

FULL_ATTEMPTS = 20
"""Failed attempts whose tracebacks are kept; later ones keep a short message alone, so that the record stays small."""

MESSAGE_BYTES = 2_000
SHORT_BYTES = 200
TRACEBACK_CHARACTERS = 4_000


@dataclass(frozen=True, slots=True)
class Attempt:
    """A failed attempt, as it is kept."""

    attempt: int
    started_ms: int
    ended_ms: int
    kind: str
    message: str
    traceback: str = ""


@dataclass(frozen=True, slots=True)
class Skip:
    """That somebody gave a state its outputs instead of its node.

    Attributes:
        id: of the request; the same one again finds that it was carried out.
        by: who asked for it.
        awaited: the signal that the state was waiting for, if it was.
    """

    id: str
    by: str
    awaited: str | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of a state.

    Attributes:
        turn: turns that were committed; a runnable record with turn t waits for the commit of turn t.
        attempts: attempts that failed, in this epoch.
        width: number of outputs given; 0 when the node gave none.
        outputs: the outputs, or None when they lie in blobs (or the state gave none yet).
        blobs: prefix of the names of the blobs that hold the outputs, in chunks of `chunk` outputs.
        data: what a pruned state keeps.
        due_ms: when a RETRYING or requeued state runs again.
        awaiting, timeout_ms: the signal a WAITING state waits for, and until when (epoch ms).
        resumed: for READY, the signal's payload as {"payload": ...} or {"timed_out": true}.
        signals: signals that the node sent with its commits, to be matched: (id, name, run id).
        busy_ms, write_units: summed over the turns.
        skipped: set if the outputs are not the node's.
        reopened, before: the epoch that opened the state again last (0: none has), and what it had counted by then.
    """

    identifier: str
    status: StateStatus
    turn: int
    attempts: int = 0
    width: int = 1
    outputs: tuple[Mapping[str, JSON], ...] | None = None
    blobs: str | None = None
    chunk: int = 0
    chosen: str | None = None
    data: Mapping[str, JSON] | None = None
    errors: tuple[Attempt, ...] = ()
    due_ms: int | None = None
    awaiting: str | None = None
    timeout_ms: int | None = None
    resumed: Mapping[str, JSON] | None = None
    signals: tuple[tuple[str, str, str], ...] = ()
    inputs: Mapping[str, JSON] | None = None
    first_ms: int = 0
    started_ms: int = 0
    ended_ms: int = 0
    busy_ms: int = 0
    write_units: int = 0
    crashes: int = 0
    epoch: int = 0
    reopened: int = 0
    before: Totals = Totals()  # noqa: RUF009  a NamedTuple is immutable
    skipped: Skip | None = None

    @property
    def runnable(self) -> bool:
        """No outcome yet for its turn."""
        return self.status in RUNNABLE_STATES

    @property
    def totals(self) -> Totals:
        """What this state adds to the counts of its run."""
        return Totals(
            succeeded=int(self.status is StateStatus.SUCCEEDED),
            failed=int(self.status in {StateStatus.FAILED, StateStatus.TIMED_OUT}),
            pruned=int(self.status is StateStatus.PRUNED),
            cancelled=int(self.status is StateStatus.CANCELLED),
            turns=self.turn,
            busy_ms=self.busy_ms,
            write_units=self.write_units,
        )

    def counted_before(self, epoch: int) -> Totals:
        """What of the state's totals went up the join tree in earlier epochs."""
        if self.reopened and self.reopened == epoch:
            return self.before
        return self.totals if self.epoch < epoch else Totals()


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn that is about to be committed: where the state stood before it, and when it ran.

    `attempts`, `first_ms`, `busy_ms` and `write_units` are what earlier turns left (0 for the first).
    """

    identifier: str
    number: int
    attempts: int
    first_ms: int
    started_ms: int
    ended_ms: int
    busy_ms: int = 0
    write_units: int = 0
    epoch: int = 0


def record_outcome(turn: Turn, outcome: Outcome, retry_after_ms: int | None) -> Record:
    """The record that a turn's outcome makes.

    Args:
        retry_after_ms: the drawn delay before the next attempt, for an Errored outcome that is tried again; stored, so
            that whoever adopts the record waits the same time. None ends the state.
    """
    base = Record(
        identifier=turn.identifier,
        status=StateStatus.QUEUED,
        turn=turn.number + 1,
        attempts=turn.attempts,
        first_ms=turn.first_ms or turn.started_ms,
        started_ms=turn.started_ms,
        ended_ms=turn.ended_ms,
        busy_ms=turn.busy_ms + turn.ended_ms - turn.started_ms,
        write_units=turn.write_units,
        epoch=turn.epoch,
    )
    match outcome:
        case Succeeded(outputs, chosen):
            return replace(
                base, status=StateStatus.SUCCEEDED, outputs=outputs, width=len(outputs), chosen=chosen
            )
        case Errored():
            return _record_error(base, outcome, retry_after_ms)
        case Pruned(data):
            return replace(base, status=StateStatus.PRUNED, data=data)
        case Requeued(delay_ms):
            return replace(base, status=StateStatus.QUEUED, due_ms=turn.ended_ms + delay_ms)
        case Awaiting(signal, timeout_ms):
            until = None if timeout_ms is None else turn.ended_ms + timeout_ms
            return replace(base, status=StateStatus.WAITING, awaiting=signal, timeout_ms=until)
        case Stopped():
            return replace(base, status=StateStatus.CANCELLED)
        case _:
            assert_never(outcome)


def _record_error(base: Record, outcome: Errored, retry_after_ms: int | None) -> Record:
    attempt = base.attempts + 1
    full = attempt <= FULL_ATTEMPTS
    failed = Attempt(
        attempt=attempt,
        started_ms=base.started_ms,
        ended_ms=base.ended_ms,
        kind=outcome.kind,
        message=_bounded(outcome.message, MESSAGE_BYTES if full else SHORT_BYTES),
        traceback=outcome.traceback[-TRACEBACK_CHARACTERS:] if full else "",
    )
    if retry_after_ms is None:
        return replace(base, status=StateStatus.FAILED, attempts=attempt, errors=(failed,))
    due = base.ended_ms + retry_after_ms
    return replace(base, status=StateStatus.RETRYING, attempts=attempt, errors=(failed,), due_ms=due)


def _bounded(text: str, most: int) -> str:
    """The beginning of a text, by bytes: a thousand attempts have to fit a record in any script."""
    return text.encode(errors="replace")[:most].decode(errors="ignore")
