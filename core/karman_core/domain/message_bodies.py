"""Message bodies: JSON with a layout (`karman`, see layouts), written and read strictly.

A body of a known layout that `encode` does not write raises ForeignMessage; it is buried, never guessed at. Every
layout has an envelope, by which a worker can pass a message on that it does not know: a JSON object with `karman`, the
kind `k`, and `ns` and `id` of the run; with `again` and `passed` once it was passed on.
"""

from __future__ import annotations

import json
from typing import Any, TypeVar, assert_never

from karman_core.domain.branches import branch_text, parse_branch
from karman_core.domain.layouts import FIRST, LAYOUT, newer_layout
from karman_core.domain.messages import (
    ARGUMENTS,
    Advance,
    Command,
    CommandKind,
    ForeignMessage,
    Frame,
    GroupRef,
    Message,
    OutputRef,
    Position,
    Range,
    RunRef,
    Scope,
)
from karman_core.domain.reuse import Reused, Source
from karman_core.domain.totals import Totals

_T = TypeVar("_T")
_ENVELOPE = ("k", "ns", "id")


# --- encoding ---------------------------------------------------------------------------------------------------------


def encode(message: Message) -> str:
    """The body of a message."""
    return json.dumps({"karman": FIRST, **_body(message)}, separators=(",", ":"))


def passed_on(body: str) -> tuple[str, int]:
    """The body for another worker, which is to look before it runs, and how often it was passed on, this time too.

    Of any layout, known or not: what else the body says stays as it is.
    """
    data = json.loads(body)
    passes = data.get("passed")
    count = passes + 1 if type(passes) is int and passes > 0 else 1
    return json.dumps({**data, "again": True, "passed": count}, separators=(",", ":")), count


def _body(message: Message) -> dict[str, Any]:
    match message:
        case Advance(position, again, header, paced):
            body = {"k": "advance", **_position(position), "again": again}
            more = {"header": header, "paced": paced}
            return {**body, **{name: value for name, value in more.items() if value is not None}}
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
            body = {
                "k": message.kind.value,
                "ns": message.namespace,
                "id": message.run_id,
                "args": message.arguments,
                "then": _position(message.then) if message.then else None,
            }
            return {**body, "again": True} if message.again else body
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
    if run.trace is not None:
        body["tp"] = run.trace
    if run.reused is not None:
        body["ru"] = encode_reused(run.reused)
    return body


def encode_reused(reused: Reused) -> list[Any]:
    """What a run reuses, as it is kept in messages and headers."""
    return [
        [[source.run_id, source.epoch, source.before] for source in reused.sources],
        list(reused.totals),
    ]


def _scope(scope: Scope) -> list[Any]:
    return [
        {name: [ref.depth, ref.number, ref.output, ref.values] for name, ref in scope.outputs.items()},
        {name: [ref.depth, ref.number, ref.width, ref.only] for name, ref in scope.groups.items()},
        scope.rounds,
    ]


# --- decoding ---------------------------------------------------------------------------------------------------------


def decode(body: str, known: int = LAYOUT) -> Message:
    """The message of a body.

    Args:
        known: the latest layout that is read.

    Raises:
        ForeignMessage: for anything of a known layout that `encode` does not write.
        NewerLayout: for a message of a later layout.
    """
    try:
        data = json.loads(body)
        layout = _just(int, data["karman"]) if isinstance(data, dict) else 0
        if layout > known and all(type(data.get(name)) is str for name in _ENVELOPE):
            raise newer_layout(f"The message of run '{data['id']}'", layout, known)
        if not FIRST <= layout <= known:
            reason = "it is not a Karman message"
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
        header, paced = data.get("header"), data.get("paced")
        return Advance(
            _read_position(data),
            _just(bool, data["again"]),
            None if header is None else _just(dict, header),
            None if paced is None else _just(float, paced),
        )
    if kind == "range":
        outputs = data["outputs"]
        return Range(
            parent=_read_position(data, extra_frames=1),
            first=_just(int, data["from"]),
            last=_just(int, data["to"]),
            starts=_read_starts(data["starts"]),
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
        _read_arguments(CommandKind(kind), _just(dict, data["args"])),
        None if then is None else _read_position(_just(dict, then)),
        _just(bool, data.get("again", False)),
    )


def _read_starts(data: object) -> tuple[str, ...]:
    starts = tuple(_just(str, name) for name in _just(list, data))
    if not starts:
        reason = "its branches begin nowhere"
        raise ForeignMessage(reason)
    return starts


def _read_arguments(kind: CommandKind, arguments: dict[str, Any]) -> dict[str, Any]:
    for name, expected in ARGUMENTS.get(kind, {}).items():
        _just(expected, arguments[name])
    return arguments


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
    trace = data.get("tp")
    return RunRef(
        _just(str, data["ns"]),
        _just(str, data["id"]),
        _just(str, graph),
        _just(int, version),
        _just(int, data["e"]),
        _just(int, data["dl"]),
        None if trace is None else _just(str, trace),
        decode_reused(data.get("ru")),
    )


def decode_reused(data: object) -> Reused | None:
    """The reverse of `encode_reused`; None of None. Raises TypeError, ValueError."""
    if data is None:
        return None
    listed, totals = _just(list, data)
    sources = tuple(_read_source(each) for each in _just(list, listed))
    if not sources:
        reason = "it reuses something of no run"
        raise ForeignMessage(reason)
    return Reused(sources, Totals._make(_read_numbers(totals)))


def _read_source(data: object) -> Source:
    run_id, epoch, before = _just(list, data)
    return Source(_just(str, run_id), _just(int, epoch), _just(int, before))


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
