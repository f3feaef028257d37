"""State records as items: short attribute names, because names count as bytes written.

    i identifier   st status     t turn         a attempts     ep epoch        cr crashes
    o outputs      w width       ob blobs       oc chunk       ch chosen       d data of a pruned state
    in inputs      er errors     du due         aw awaiting    to time-out     re resumed     sg signals sent
    sp skipped: id, by whom, and what was awaited
    f first start  s start       e end          b busy ms      wu write units  ttl
    rp epoch that opened the state again, and what it had counted then: rs status, rt turns, rb busy ms, ru write units

Defaults are left out.
"""

from __future__ import annotations

import json
from typing import Any

from karman_core.domain.definition import JSON
from karman_core.domain.records import Attempt, Record, Skip
from karman_core.domain.totals import Totals
from karman_core.domain.transitions import RUNNABLE_STATES, StateStatus
from karman_core.engine.payloads import dumps, pack, packed_size, unpack, unpack_object
from karman_core.ports.table import (
    Absent,
    Action,
    AllOf,
    AnyOf,
    Append,
    Condition,
    Equals,
    Item,
    OneOf,
    Remove,
    Set,
)

_RUNNABLE = tuple(sorted(status.value for status in RUNNABLE_STATES))
_OF_ONE_TURN = ("o", "w", "ob", "oc", "ch", "d", "du", "aw", "to", "re", "sg", "in", "rd")
_KEY_BYTES = 130
_WRITE_UNIT_BYTES = 1024


def turn_open(turn: int) -> Condition:
    """The commit's condition: nobody has committed this turn. What all else rests on."""
    waiting = AllOf((Equals("t", turn), OneOf("st", _RUNNABLE)))
    return AnyOf((Absent(), waiting)) if turn == 0 else waiting


def attributes(record: Record, ttl: int) -> dict[str, Any]:
    """The attributes of a record, except the errors, which are appended."""
    values: dict[str, Any] = {"i": record.identifier, "st": record.status.value, "t": record.turn, "ttl": ttl}
    numbers = {
        "a": record.attempts,
        "ep": record.epoch,
        "f": record.first_ms,
        "s": record.started_ms,
        "e": record.ended_ms,
        "b": record.busy_ms,
        "oc": record.chunk,
        "du": record.due_ms or 0,
        "to": record.timeout_ms or 0,
    }
    values.update({name: number for name, number in numbers.items() if number})
    if record.width != 1:
        values["w"] = record.width
    if record.write_units > 1:
        values["wu"] = record.write_units
    texts = {"ob": record.blobs, "ch": record.chosen, "aw": record.awaiting}
    values.update({name: text for name, text in texts.items() if text is not None})
    payloads = {"o": record.outputs, "d": record.data, "in": record.inputs, "re": record.resumed}
    values.update({name: pack(value) for name, value in payloads.items() if value is not None})
    if record.signals:
        values["sg"] = dumps(record.signals)
    if record.skipped is not None:
        values["sp"] = dumps([record.skipped.id, record.skipped.by, record.skipped.awaited])
    return values


def commit_actions(record: Record, ttl: int, more: tuple[Action, ...] = ()) -> list[Action]:
    """The update that makes an item hold a record, whatever an earlier turn left in it; with `more` beside it."""
    values = attributes(record, ttl)
    actions: list[Action] = [*(Set(name, value) for name, value in values.items()), *more]
    set_here = {action.attribute for action in actions}
    stale = ["cr", "le"]  # Crashes and leases are of one turn.
    if record.turn > 1:
        stale += _OF_ONE_TURN
    actions += [Remove(name) for name in stale if name not in set_here]
    if record.errors:
        actions.append(Append("er", tuple(_pack_error(error) for error in record.errors)))
    return actions


def write_units(record: Record) -> int:
    """DynamoDB write units of committing a record: its size in KB, rounded up."""
    values = attributes(record, 0)
    size = _KEY_BYTES + sum(len(name) + _size(value) for name, value in values.items())
    size += sum(packed_size(_pack_error(error)) + 4 for error in record.errors) * max(1, record.attempts)
    return -(-size // _WRITE_UNIT_BYTES)


def read_record(item: Item) -> Record:
    """The record that an item holds."""
    outputs = item.get("o")
    return Record(
        identifier=item["i"],
        status=StateStatus(item["st"]),
        turn=item["t"],
        attempts=item.get("a", 0),
        width=item.get("w", 1),
        outputs=None if outputs is None else tuple(unpack(outputs)),
        blobs=item.get("ob"),
        chunk=item.get("oc", 0),
        chosen=item.get("ch"),
        data=unpack_object(item.get("d")),
        errors=tuple(_unpack_error(text) for text in item.get("er", ())),
        due_ms=item.get("du"),
        awaiting=item.get("aw"),
        timeout_ms=item.get("to"),
        resumed=unpack_object(item.get("re")),
        signals=_signals(item),
        inputs=unpack_object(item.get("in")),
        first_ms=item.get("f", 0),
        started_ms=item.get("s", 0),
        ended_ms=item.get("e", 0),
        busy_ms=item.get("b", 0),
        write_units=item.get("wu", 1 if item["t"] else 0),
        crashes=item.get("cr", 0),
        epoch=item.get("ep", 0),
        reopened=item.get("rp", 0),
        before=_before(item),
        skipped=Skip(*json.loads(item["sp"])) if "sp" in item else None,
    )


def reopening(record: Record, epoch: int, ttl: int) -> list[Action]:
    """The update that opens a failed state again in a new epoch, with all its attempts and its whole retry budget."""
    values: dict[str, Any] = {
        "st": StateStatus.RETRYING.value,
        "a": 0,
        "rp": epoch,
        "rs": record.status.value,
        "rt": record.turn,
        "rb": record.busy_ms,
        "ru": record.write_units,
        "ttl": ttl,
    }
    return [*(Set(name, value) for name, value in values.items()), Remove("du"), Remove("f")]


def _before(item: Item) -> Totals:
    if "rp" not in item:
        return Totals()
    status, turn = StateStatus(item["rs"]), item["rt"]
    return Record(item["i"], status, turn, busy_ms=item["rb"], write_units=item["ru"]).totals


def _signals(item: Item) -> tuple[tuple[str, str, str], ...]:
    return tuple((one, name, run) for one, name, run in json.loads(item["sg"])) if "sg" in item else ()


def _size(value: JSON) -> int:
    if isinstance(value, int):
        return 8
    return packed_size(value)


def _pack_error(error: Attempt) -> str | bytes:
    return pack([error.attempt, error.started_ms, error.ended_ms, error.kind, error.message, error.traceback])


def _unpack_error(packed: str | bytes) -> Attempt:
    attempt, started, ended, kind, message, traceback = unpack(packed)
    return Attempt(attempt, started, ended, kind, message, traceback)


def error_text(record: Record) -> str | None:
    """The last failure of a state, in one line."""
    if not record.errors:
        return None
    last = record.errors[-1]
    return f"{last.kind}: {last.message}"
