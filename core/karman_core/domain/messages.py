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
from typing import Any, TypeAlias, TypeVar, assert_never

from karman_core.domain.branches import Branch, branch_text, parse_branch
from karman_core.domain.definition import JSON
from karman_core.domain.totals import Totals

VERSION = 1
ALL_OUTPUTS = -1

_T = TypeVar("_T")


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
        case _:
            assert_never(message)


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
        if not isinstance(data, dict) or _just(int, data.get("karman")) != VERSION:
            reason = "it is not a Karman message of a version known here"
            raise ForeignMessage(reason)
        return _decode(data)
    except ForeignMessage:
        raise
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        reason = f"it does not decode: {type(error).__name__}"
        raise ForeignMessage(reason) from error


def decode_position(text: str) -> Position:
    """The reverse of `encode_position`."""
    return _read_position(json.loads(text))


def _just(kind: type[_T], value: object) -> _T:
    """The value, if it is of just this type: what is read leniently here would fail where nobody expects it."""
    if type(value) is not kind:
        reason = f"{type(value).__name__} in place of {kind.__name__}"
        raise TypeError(reason)
    return value


def _decode(data: dict[str, Any]) -> Message:
    kind = data["k"]
    if kind == "advance":
        header = data.get("header")
        return Advance(
            _read_position(data), _just(bool, data["again"]), None if header is None else _just(dict, header)
        )
    if kind == "range":
        outputs = data["outputs"]
        return Range(
            parent=_read_position(data, extra_frames=1),
            first=_just(int, data["from"]),
            last=_just(int, data["to"]),
            starts=tuple(_just(str, name) for name in _just(list, data["starts"])),
            first_output=_just(int, data["o0"]),
            outputs=None
            if outputs is None
            else tuple(_just(dict, output) for output in _just(list, outputs)),
            again=_just(bool, data["again"]),
        )
    then = data["then"]
    return Command(
        CommandKind(kind),
        _just(str, data["ns"]),
        _just(str, data["id"]),
        _just(dict, data["args"]),
        None if then is None else _read_position(_just(dict, then)),
    )


def _read_position(data: dict[str, Any], *, extra_frames: int = 0) -> Position:
    attempts, first_ms, busy_ms, write_units = _read_numbers(data["p"])
    branch = parse_branch(_just(str, data["b"]))
    frames = tuple(_read_frame(frame) for frame in _just(list, data["f"]))
    if len(frames) != len(branch) + extra_frames:
        reason = "its groups do not match its branch"
        raise ForeignMessage(reason)
    inputs = data.get("in")
    return Position(
        run=_read_run(data),
        branch=branch,
        number=_just(int, data["n"]),
        identifier=_just(str, data["i"]),
        turn=_just(int, data["t"]),
        frames=frames,
        scope=_read_scope(data["s"]),
        totals=Totals._make(_read_numbers(data["c"])),
        attempts=attempts,
        first_ms=first_ms,
        busy_ms=busy_ms,
        write_units=write_units,
        trigger_inputs=None if inputs is None else _just(dict, inputs),
    )


def _read_run(data: dict[str, Any]) -> RunRef:
    graph, version = _just(list, data["g"])
    return RunRef(
        _just(str, data["ns"]),
        _just(str, data["id"]),
        _just(str, graph),
        _just(int, version),
        _just(int, data["e"]),
        _just(int, data["dl"]),
    )


def _read_frame(data: object) -> Frame:
    name, width, totals, scope = _just(list, data)
    return Frame(_just(str, name), _just(int, width), Totals._make(_read_numbers(totals)), _read_scope(scope))


def _read_numbers(data: object) -> list[int]:
    return [_just(int, number) for number in _just(list, data)]


def _read_scope(data: object) -> Scope:
    outputs, groups, rounds = _just(list, data)
    return Scope(
        {name: _read_output(ref) for name, ref in _just(dict, outputs).items()},
        {name: _read_group(ref) for name, ref in _just(dict, groups).items()},
        {edge: _just(int, count) for edge, count in _just(dict, rounds).items()},
    )


def _read_output(data: object) -> OutputRef:
    *numbers, values = _just(list, data)
    depth, number, output = _read_numbers(numbers)
    return OutputRef(depth, number, output, None if values is None else _just(dict, values))


def _read_group(data: object) -> GroupRef:
    *numbers, only = _just(list, data)
    depth, number, width = _read_numbers(numbers)
    return GroupRef(depth, number, width, None if only is None else _just(int, only))
