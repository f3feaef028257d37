"""Messages: what rides on a task queue.

A message is lease and outbox at once, so it carries all that its position needs.

Four kinds: `Advance` (go on with a branch at a position), `Range` (send the branches of one shard of a wide fork),
`Command` (something asked from outside, or by a timer), and anything else, which is foreign. Bodies are JSON with a
version; a body that does not decode raises ForeignMessage and is buried, never guessed at.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

from karman_core.domain.branches import Branch, branch_text, parse_branch
from karman_core.domain.definition import JSON
from karman_core.domain.totals import Totals

VERSION = 1
ALL_OUTPUTS = -1


class ForeignMessage(ValueError):
    """The body is no message of Karman's, or one of a version that this worker does not know."""


@dataclass(frozen=True, slots=True)
class RunRef:
    """Which run, and what every message of it needs to know of it."""

    namespace: str
    run_id: str
    graph: str
    version: int
    epoch: int
    deadline_ms: int


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
    """

    position: Position
    again: bool = False
    header: Mapping[str, JSON] | None = None


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
    DEADLINE = "deadline"


@dataclass(frozen=True, slots=True)
class Command:
    """Something asked of a run. `then` is the position that a time-out of a wait resumes."""

    kind: CommandKind
    namespace: str
    run_id: str
    arguments: Mapping[str, JSON] = field(default_factory=dict)
    then: Position | None = None


Message: TypeAlias = Advance | Range | Command


# --- encoding ---------------------------------------------------------------------------------------------------------


def encode(message: Message) -> str:
    """The body of a message."""
    return json.dumps({"karman": VERSION, **_body(message)}, separators=(",", ":"))


def _body(message: Message) -> dict[str, Any]:
    match message:
        case Advance(position, again, header):
            body = {"k": "advance", **_position(position), "again": again}
            return body if header is None else {**body, "header": header}
        case Range():
            return {
                "k": "range",
                **_position(message.parent),
                "from": message.first,
                "to": message.last,
                "starts": message.starts,
                "o0": message.first_output,
                "outputs": message.outputs,
                "again": message.again,
            }
        case Command():
            return {
                "k": message.kind.value,
                "ns": message.namespace,
                "id": message.run_id,
                "args": message.arguments,
                "then": _position(message.then) if message.then else None,
            }


def encode_position(position: Position) -> str:
    """A position by itself, for what is kept in the table (waits, parked work)."""
    return json.dumps(_position(position), separators=(",", ":"))


def _position(position: Position) -> dict[str, Any]:
    run = position.run
    body: dict[str, Any] = {
        "ns": run.namespace,
        "id": run.run_id,
        "g": [run.graph, run.version],
        "e": run.epoch,
        "dl": run.deadline_ms,
        "b": branch_text(position.branch),
        "n": position.number,
        "i": position.identifier,
        "t": position.turn,
        "f": [
            [frame.identifier, frame.width, frame.totals, _scope(frame.scope)] for frame in position.frames
        ],
        "s": _scope(position.scope),
        "c": position.totals,
        "p": [position.attempts, position.first_ms, position.busy_ms, position.write_units],
    }
    if position.trigger_inputs is not None:
        body["in"] = position.trigger_inputs
    return body


def _scope(scope: Scope) -> list[Any]:
    return [
        {name: [ref.depth, ref.number, ref.output, ref.values] for name, ref in scope.outputs.items()},
        {name: [ref.depth, ref.number, ref.width, ref.only] for name, ref in scope.groups.items()},
        scope.rounds,
    ]


# --- decoding ---------------------------------------------------------------------------------------------------------


def decode(body: str) -> Message:
    """The message of a body.

    Raises:
        ForeignMessage: for anything that `encode` of this version does not write.
    """
    try:
        data = json.loads(body)
        if not isinstance(data, dict) or data.get("karman") != VERSION:
            reason = "it is not a Karman message of a version known here"
            raise ForeignMessage(reason)
        return _decode(data)
    except ForeignMessage:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = f"it does not decode: {type(error).__name__}"
        raise ForeignMessage(reason) from error


def decode_position(text: str) -> Position:
    """The reverse of `encode_position`."""
    return _read_position(json.loads(text))


def _decode(data: dict[str, Any]) -> Message:
    kind = data["k"]
    if kind == "advance":
        return Advance(_read_position(data), bool(data["again"]), data.get("header"))
    if kind == "range":
        outputs = data["outputs"]
        return Range(
            parent=_read_position(data, extra_frames=1),
            first=int(data["from"]),
            last=int(data["to"]),
            starts=tuple(data["starts"]),
            first_output=int(data["o0"]),
            outputs=None if outputs is None else tuple(outputs),
            again=bool(data["again"]),
        )
    then = data["then"]
    return Command(
        CommandKind(kind),
        str(data["ns"]),
        str(data["id"]),
        dict(data["args"]),
        _read_position(then) if then else None,
    )


def _read_position(data: Mapping[str, Any], *, extra_frames: int = 0) -> Position:
    graph, version = data["g"]
    attempts, first_ms, busy_ms, write_units = map(int, data["p"])
    branch = parse_branch(data["b"])
    frames = tuple(
        Frame(str(name), int(width), _read_totals(totals), _read_scope(scope))
        for name, width, totals, scope in data["f"]
    )
    if len(frames) != len(branch) + extra_frames:
        reason = "its groups do not match its branch"
        raise ForeignMessage(reason)
    return Position(
        run=RunRef(
            str(data["ns"]), str(data["id"]), str(graph), int(version), int(data["e"]), int(data["dl"])
        ),
        branch=branch,
        number=int(data["n"]),
        identifier=str(data["i"]),
        turn=int(data["t"]),
        frames=frames,
        scope=_read_scope(data["s"]),
        totals=_read_totals(data["c"]),
        attempts=attempts,
        first_ms=first_ms,
        busy_ms=busy_ms,
        write_units=write_units,
        trigger_inputs=data.get("in"),
    )


def _read_totals(data: list[int]) -> Totals:
    return Totals(*map(int, data))


def _read_scope(data: list[Any]) -> Scope:
    outputs, groups, rounds = data
    return Scope(
        {name: OutputRef(*ref) for name, ref in outputs.items()},
        {name: GroupRef(*ref) for name, ref in groups.items()},
        {edge: int(count) for edge, count in rounds.items()},
    )
