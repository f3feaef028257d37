"""Table and queue of one run, in memory; every write is checked against what must never happen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from karman_core.domain.branches import Branch
from karman_core.domain.decide import Ending
from karman_core.domain.graph import Graph
from karman_core.domain.joins import Join
from karman_core.domain.message_bodies import encode
from karman_core.domain.messages import (
    ALL_OUTPUTS,
    Advance,
    Command,
    CommandKind,
    GroupRef,
    Message,
    OutputRef,
    Position,
    RunRef,
)
from karman_core.domain.positions import carried
from karman_core.domain.records import Record
from karman_core.domain.totals import Totals
from karman_core.domain.transitions import ENDED_STATES, STATE_TRANSITIONS, StateStatus
from tests.domain.reference import Place, Reading, Uniting, group_end

RUN = RunRef("team", "run", "graph", 1, 0, 10**12)
JoinKey = tuple[Place, int, int]
"""The forking state, level and item."""


class Violation(AssertionError):
    """What must never happen has happened."""


@dataclass
class Delivery:
    """A message on the queue, and how often it was received."""

    body: str
    received: int = 0


def place_of(position: Position) -> Place:
    return position.branch, position.number


@dataclass(frozen=True)
class Options:
    """How runs are worked on.

    Attributes:
        arity: members of a join item, branches of a range message.
        direct: forks up to this width send their branches themselves.
        remote: identifiers of nodes that another runtime runs.
        carries: outputs ride along in messages.
        marks: nodes take so long that they get a RUNNING record.
    """

    arity: int = 2
    direct: int = 3
    remote: frozenset[str] = frozenset()
    carries: bool = False
    marks: bool = False


class World:
    """A run and its queue.

    Attributes:
        final: how the run ended, and its totals.
        fired: for each group the branch that fired its unite.
        spent: what all turns together took.
    """

    def __init__(self, graph: Graph, options: Options) -> None:
        self.graph = graph
        self.options = options
        self.records: dict[Place, Record] = {}
        self.joins: dict[JoinKey, Join] = {}
        self.waits: dict[Place, Position] = {}
        self.queue: dict[int, Delivery] = {}
        self.final: tuple[Ending, Totals] | None = None
        self.fired: dict[Place, int] = {}
        self.spent = Totals()
        self.clock = count(1)
        self._numbers = count()
        self._seen: dict[Place, Any] = {}
        self.send(Advance(Position(RUN, (), 0, graph.root, trigger_inputs={})))

    def send(self, message: Message) -> None:
        self.queue[next(self._numbers)] = Delivery(encode(message))

    def signal(self, position: Position) -> None:
        """Signal the wait that goes on at a position."""
        self.send(
            Command(CommandKind.SIGNAL, RUN.namespace, RUN.run_id, {"name": "signal", "id": "1"}, position)
        )

    def reading(self) -> Reading:
        return Reading(self.graph.definition, self.records)

    def write(self, place: Place, record: Record) -> None:
        """Write a record: one turn after the other, no result after a result, nothing after the end."""
        old = self.records.get(place)
        before = old.status if old else StateStatus.QUEUED
        if self.final is not None:
            raise Violation(f"{place} was written after the run had ended")
        if record.status not in STATE_TRANSITIONS[before] | {before} - ENDED_STATES:
            raise Violation(f"{place} went from {before} to {record.status}")
        turn = (old.turn if old else 0) + (record.status not in {StateStatus.RUNNING, StateStatus.READY})
        if record.turn != turn:
            raise Violation(f"{place} is at turn {record.turn} and not {turn}")
        self.records[place] = record
        if record.status not in {StateStatus.RUNNING, StateStatus.READY}:
            self.spent = self.spent.plus(
                Totals(turns=1, busy_ms=record.ended_ms - record.started_ms, write_units=1)
            )

    def fire(self, group: Place, index: int, *, beside: bool) -> None:
        """The unite of a group is about to run, since branch `index` came to an end."""
        if self.fired.setdefault(group, index) != index:
            raise Violation(f"the unite of {group} was fired by {self.fired[group]} and {index}")
        reading = self.reading()
        strategy = reading.strategy(self.records[group].identifier)
        found = reading.endings(*group)
        endings = [ending for ending in found if ending is not None]
        if beside and found[index] is Ending.SUCCEEDED and group_end(strategy, endings) is Uniting.BESIDE:
            return
        if beside or len(endings) < len(found) or group_end(strategy, endings) is not Uniting.AFTER:
            raise Violation(f"the unite of {group} runs though {strategy} does not hold of {found}")

    def finish(self, ending: Ending, totals: Totals) -> None:
        """All branches have ended: once, and with everything counted."""
        if self.final is None:
            self.final = ending, totals
        reading, exact = self.reading(), Totals()
        for record in self.records.values():
            exact = exact.plus(record.totals)
        if self.final != (ending, totals) or totals != exact or totals[4:] != self.spent[4:]:
            raise Violation(
                f"totals are {totals} and {self.final}, the records' {exact}, the turns' {self.spent}"
            )
        if reading.branch(()) is not ending:
            raise Violation(f"the run is said to have {ending.name}, its records say {reading.branch(())}")
        if strays := set(self.records) - reading.visited:
            raise Violation(f"nothing leads to {strays}")

    # --- what nodes see -----------------------------------------------------------------------------------------------

    def see(self, position: Position) -> None:
        """The node at a position runs: whenever it does, it sees the same, and just what was committed."""
        scope = position.scope
        seen = (
            {name: self._output(position.branch, name, ref) for name, ref in scope.outputs.items()},
            {name: self._group(position.branch, ref) for name, ref in scope.groups.items()},
        )
        first = self._seen.setdefault(place_of(position), seen)
        if first != seen:
            raise Violation(f"{place_of(position)} saw {first} and then {seen}")
        unites = self.graph.instances[position.identifier].unites
        for (reader, _), united in self.graph.list_reads.items():
            if (
                reader == position.identifier
                and unites
                and unites.identifier == united
                and united not in scope.groups
            ):
                raise Violation(f"{place_of(position)} does not see the group that it unites")

    def _output(self, path: Branch, name: str, ref: OutputRef) -> Any:
        record = self.records.get((path[: ref.depth], ref.number))
        if record is None or record.identifier != name or record.status is not StateStatus.SUCCEEDED:
            raise Violation(f"{ref} is no outputs of {name}: {record}")
        outputs = record.outputs or ()
        if ref.output == ALL_OUTPUTS:
            return outputs
        output: Mapping[str, Any] = outputs[ref.output] if outputs else {}
        if ref.values is not None and ref.values != carried(self.graph, name, output):
            raise Violation(f"{ref} carries other values than {output}")
        return output

    def _group(self, path: Branch, ref: GroupRef) -> Any:
        """The outputs in the branches of a group that has ended (of the branch that fired the unite)."""
        parent, reading = path[: ref.depth], self.reading()
        found = reading.endings(parent, ref.number)
        if len(found) != ref.width or (None in found and ref.only is None):
            raise Violation(f"{ref} is not the group of {found}")
        if ref.only is not None and found[ref.only] is not Ending.SUCCEEDED:
            raise Violation(f"{ref} names a branch that is none of the successes of {found}")
        wanted = range(ref.width) if ref.only is None else [ref.only]
        heads = {(*parent, (ref.number, index)) for index in wanted}
        return {
            place: (record.identifier, record.outputs)
            for place, record in self.records.items()
            if place[0][: ref.depth + 1] in heads
        }

    # --- what a worker does to the table ------------------------------------------------------------------------------

    def mark(self, position: Position) -> None:
        """A node that takes long gets a RUNNING record, if its turn is open."""
        place = place_of(position)
        old = self.records.get(place)
        if is_open(old, position.turn):
            fresh = Record(position.identifier, StateStatus.RUNNING, position.turn)
            self.write(place, replace(old, status=StateStatus.RUNNING) if old else fresh)

    def wake(self, position: Position) -> bool:
        """The signal of a wait has come. Returns whether the state is to run again."""
        if self.waiting(position):
            place = place_of(position)
            self.write(place, replace(self.records[place], status=StateStatus.READY))
        return self.ready(position)

    def ready(self, position: Position) -> bool:
        return self._is(position, StateStatus.READY)

    def waiting(self, position: Position) -> bool:
        return self._is(position, StateStatus.WAITING)

    def _is(self, position: Position, status: StateStatus) -> bool:
        record = self.records[place_of(position)]
        return record.turn == position.turn and record.status is status


def is_open(old: Record | None, turn: int) -> bool:
    """The commit's condition: nobody has committed this turn."""
    if old is None:
        return turn == 0
    return old.turn == turn and old.runnable
