"""Messages: what rides on a task queue.

A message is lease and outbox at once, so it carries all that its position needs.

Four kinds: `Advance` (go on with a branch at a position), `Range` (send the branches of one shard of a wide fork),
`Command` (something asked from outside, or by a timer), and anything else, which is foreign. Bodies are JSON with a
version; a body that does not decode raises ForeignMessage and is buried, never guessed at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from karman_core.domain.branches import Branch
from karman_core.domain.definition import JSON
from karman_core.domain.reuse import Reused, Source
from karman_core.domain.totals import Totals

ALL_OUTPUTS = -1


class ForeignMessage(ValueError):
    """The body is no message of Karman's."""


@dataclass(frozen=True, slots=True)
class RunRef:
    """Which run, and what every message of it needs to know of it.

    Attributes:
        trace: the trigger's W3C traceparent.
        reused: what the run reuses of another one.
    """

    namespace: str
    run_id: str
    graph: str
    version: int
    epoch: int
    deadline_ms: int
    trace: str | None = None
    reused: Reused | None = None

    def source(self, branch: Branch, number: int) -> Source | None:
        """The other run that has the record of a place; None if this run has it itself."""
        return None if self.reused is None else self.reused.source(branch, number)


@dataclass(frozen=True, slots=True)
class OutputRef:
    """Where the outputs of an earlier state lie that a later one reads.

    Attributes:
        depth: length of its branch, which is a prefix of the reader's.
        number: of the state in its branch.
        output: which of its outputs; ALL_OUTPUTS after the state's group was united.
        values: the fields that are read, when small enough to ride along.
    """

    depth: int
    number: int
    output: int = 0
    values: Mapping[str, JSON] | None = None

    def bare(self) -> OutputRef:
        """Without its values."""
        return OutputRef(self.depth, self.number, self.output)


@dataclass(frozen=True, slots=True)
class GroupRef:
    """A united group whose branches' outputs are read as lists; `only` is the branch that fired an ANY_SUCCESS."""

    depth: int
    number: int
    width: int
    only: int | None = None


@dataclass(frozen=True, slots=True)
class Scope:
    """What a position can read: by identifier the latest state of that name, by united node its last group.

    `rounds` counts how often each loop edge (`from>to`) was taken in this branch.
    """

    outputs: Mapping[str, OutputRef] = field(default_factory=dict)
    groups: Mapping[str, GroupRef] = field(default_factory=dict)
    rounds: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Frame:
    """A group that a branch is in. Frame i belongs to pair i of the branch's path.

    Attributes:
        identifier: of the state that forked.
        width: number of branches.
        totals: what the parent branch had done when it forked, this state included.
        scope: what the parent branch could read there, without values: what its unite begins with.
    """

    identifier: str
    width: int
    totals: Totals
    scope: Scope


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a run: the branch, the state in it, and what came before.

    Attributes:
        turn: turns of this state that were committed.
        attempts, first_ms, busy_ms, write_units: of this state's earlier turns.
        totals: what this branch has done before this state.
        trigger_inputs: for the first state alone: the trigger's inputs.
    """

    run: RunRef
    branch: Branch
    number: int
    identifier: str
    turn: int = 0
    frames: tuple[Frame, ...] = ()
    scope: Scope = field(default_factory=Scope)
    totals: Totals = field(default=Totals())
    attempts: int = 0
    first_ms: int = 0
    busy_ms: int = 0
    write_units: int = 0
    trigger_inputs: Mapping[str, JSON] | None = None


@dataclass(frozen=True, slots=True)
class Advance:
    """Go on with a branch at a position.

    `again` says that the work may have been done before: look before running. `header` rides on the first message.
    `paced` is the quota of states a second under which the state has its token already, see `pacing`.
    """

    position: Position
    again: bool = False
    header: Mapping[str, JSON] | None = None
    paced: float | None = None


@dataclass(frozen=True, slots=True)
class Range:
    """Send branches `first` to `last` (not included) of the group that the state at `parent` opened.

    `parent` is the branches' common position: its branch is the parent's, its frames and scope are the branches'.
    `outputs` are those of the forking state from number `first_output` on, or None: read them.
    """

    parent: Position
    first: int
    last: int
    starts: tuple[str, ...]
    first_output: int = 0
    outputs: tuple[Mapping[str, JSON], ...] | None = None
    again: bool = False


class CommandKind(StrEnum):
    """What is asked."""

    SIGNAL = "signal"
    TIMEOUT = "timeout"
    CANCEL = "cancel"
    PAUSE = "pause"
    RESUME = "resume"
    RETRY = "retry"
    RETRY_STATE = "retry_state"
    DEADLINE = "deadline"
    SKIP = "skip"
    PURGE = "purge"


ARGUMENTS: Mapping[CommandKind, Mapping[str, type]] = {
    CommandKind.SIGNAL: {"name": str, "id": str},
    CommandKind.TIMEOUT: {"name": str},
    CommandKind.PAUSE: {"control": int},
    CommandKind.RESUME: {"control": int},
    CommandKind.RETRY: {"epoch": int},
    CommandKind.RETRY_STATE: {"epoch": int, "state": str},
    CommandKind.SKIP: {"id": str, "by": str, "epoch": int, "state": str, "given": dict},
    CommandKind.PURGE: {"epoch": int},
}
"""What commands of a kind carry; a signal its payload as well, if it is not kept already."""


@dataclass(frozen=True, slots=True)
class Command:
    """Something asked of a run.

    Attributes:
        then: the position that a time-out of a wait resumes.
        again: it may have been applied in part before.
    """

    kind: CommandKind
    namespace: str
    run_id: str
    arguments: Mapping[str, JSON] = field(default_factory=dict)
    then: Position | None = None
    again: bool = False


Message: TypeAlias = Advance | Range | Command
