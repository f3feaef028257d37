from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st

from karman_core.domain.branches import Branch
from karman_core.domain.decide import EndBranch, Fork, GoOn, UniteAtOnce, decide
from karman_core.domain.definition import UniteStrategy
from karman_core.domain.graph import Graph
from karman_core.domain.messages import ALL_OUTPUTS, GroupRef, OutputRef, Position, RunRef, Scope
from karman_core.domain.positions import (
    branch,
    carried,
    fork,
    go_on,
    loop_back,
    loop_edge,
    run_again,
    unite,
    unite_as_member,
    unite_at_once,
)
from karman_core.domain.records import Record
from karman_core.domain.totals import Totals
from karman_core.domain.transitions import StateStatus
from tests.domain.flows import FIELDS, flows
from tests.domain.positions import positions, totals

RUN = RunRef("team", "run", "graph", 1, 0, 1_000)
MAX_STATES = 30


@dataclass(frozen=True)
class History:
    """All that has come before a position, kept the slow way: nothing is left out because nobody reads it.

    Attributes:
        branch, number: of the position that this leads to.
        outputs, groups: where the latest state, the latest group of each identifier lies.
        rounds: of each loop edge, in this branch.
        totals: of the states of this branch.
    """

    branch: Branch = ()
    number: int = 0
    outputs: dict[str, OutputRef] = field(default_factory=dict)
    groups: dict[str, GroupRef] = field(default_factory=dict)
    rounds: dict[str, int] = field(default_factory=dict)
    totals: Totals = field(default=Totals())

    def then(self, name: str, record: Record, output: int = 0) -> History:
        """After one more state of the branch."""
        ref = OutputRef(len(self.branch), self.number, output)
        after = self.totals.plus(record.totals)
        return replace(self, outputs={**self.outputs, name: ref}, number=self.number + 1, totals=after)

    def into(self, index: int) -> History:
        """In a branch of the group that the state before has opened."""
        return replace(self, branch=(*self.branch, (self.number - 1, index)), number=0, totals=Totals())

    def united(self, name: str, width: int, only: int | None = None) -> History:
        group = GroupRef(len(self.branch), self.number - 1, width, only)
        return replace(self, groups={**self.groups, name: group})


class Walk:
    """A way through a graph, state by state, in one branch of each group; every position is compared."""

    def __init__(self, graph: Graph, data: st.DataObject) -> None:
        self.graph = graph
        self.data = data
        self.states = 0
        self.outputs: dict[tuple[Branch, int], tuple[dict[str, Any], ...]] = {}

    def branch(self, position: Position, history: History) -> Position:
        """Walk to the end of a branch; gives a position in it."""
        while True:
            history = self.forget(position, history)
            self.check(position, history)
            after = self.after(position, history, self.record(position))
            if isinstance(after, Position):
                return after
            position, history = after

    def after(
        self, position: Position, history: History, record: Record
    ) -> tuple[Position, History] | Position:
        """What follows a record; only a position where the branch ends."""
        name, values = position.identifier, self.values(position, record, 0)
        match decide(self.graph, record):
            case GoOn(identifier, looping=False):
                return go_on(self.graph, position, record, identifier, values), history.then(name, record)
            case GoOn(identifier):
                edge = loop_edge(name, identifier)
                after = history.then(name, record)
                rounds = {**after.rounds, edge: after.rounds.get(edge, 0) + 1}
                return loop_back(self.graph, position, record, values), replace(after, rounds=rounds)
            case UniteAtOnce(identifier):
                after = history.then(name, record, ALL_OUTPUTS).united(name, 0)
                return unite_at_once(self.graph, position, record, identifier), after
            case Fork() as decision:
                return self.group(position, history, record, decision)
            case decision:
                assert isinstance(decision, EndBranch)
                return position

    def group(
        self, position: Position, history: History, record: Record, decision: Fork
    ) -> tuple[Position, History] | Position:
        """Walk one branch of a group, then what follows the group."""
        name, width = position.identifier, decision.width
        parent = fork(self.graph, position, record, decision)
        index = self.data.draw(st.integers(0, width - 1), label="branch")
        output = index // len(decision.starts)
        first = branch(self.graph, parent, index, decision.starts, self.values(position, record, output))
        assert first.identifier == decision.starts[index % len(decision.starts)]
        end = self.branch(first, history.then(name, record, output).into(index))
        assert (end.branch[:-1], end.frames[:-1]) == (position.branch, position.frames)
        assert end.branch[-1][0] == position.number
        if decision.unite is None:
            return replace(end, branch=position.branch, frames=position.frames)
        after = history.then(name, record, ALL_OUTPUTS)
        any_success = self.graph.strategy(decision.unite) is UniteStrategy.ANY_SUCCESS
        if any_success and self.data.draw(st.booleans(), label="fired"):
            member = unite_as_member(self.graph, end, decision.unite, index)
            end = self.branch(member, after.united(name, width, index).into(width))
            return replace(end, branch=position.branch, frames=position.frames)
        inside = self.data.draw(totals)
        sums = end.frames[-1].totals.plus(inside)
        united = unite(self.graph, end, decision.unite, sums)
        return united, replace(after.united(name, width), totals=after.totals.plus(inside))

    def forget(self, position: Position, history: History) -> History:
        """Going back along a loop edge, what does not come before its target is forgotten."""
        numbers = self.graph.numbers
        before = self.graph.before[numbers[position.identifier]]
        return replace(
            history,
            outputs={name: ref for name, ref in history.outputs.items() if before >> numbers[name] & 1},
            groups={name: ref for name, ref in history.groups.items() if before >> numbers[name] & 1},
        )

    def record(self, position: Position) -> Record:
        """A success with any outputs and any choice, until the walk has been long enough."""
        self.states += 1
        instance = self.graph.instances[position.identifier]
        choices: list[str | None] = [None]
        if self.states < MAX_STATES:
            choices += [*instance.next_nodes, *(loop.to for loop in instance.loops)]
        chosen = self.data.draw(st.sampled_from(choices), label=f"{position.identifier} chooses")
        looping = chosen is not None and chosen not in instance.next_nodes
        width = self.data.draw(
            st.integers(0, 1 if looping or self.states >= MAX_STATES else 3), label="outputs"
        )
        outputs = tuple({"x": self.states, "y": [output], "unread": None} for output in range(width))
        self.outputs[position.branch, position.number] = outputs
        return Record(
            position.identifier,
            StateStatus.SUCCEEDED,
            turn=position.turn + 1,
            width=width,
            outputs=outputs,
            chosen=chosen,
            busy_ms=self.states,
        )

    def values(self, position: Position, record: Record, output: int) -> dict[str, Any] | None:
        if not self.data.draw(st.booleans(), label="carried"):
            return None
        given = record.outputs[output] if record.outputs else {}
        return carried(self.graph, position.identifier, given)

    def check(self, position: Position, history: History) -> None:
        """A position holds just what somebody reads here or later, as it came last; so it is enough for its node."""
        name, scope, needs = position.identifier, position.scope, self.graph.needs[position.identifier]
        assert (position.branch, position.number) == (history.branch, history.number)
        assert len(position.frames) == len(position.branch)
        for frame in position.frames:  # they ride in every message below, so without values
            assert all(ref == ref.bare() for ref in frame.scope.outputs.values())
            assert frame.scope == Scope() or self.graph.unite_of(frame.identifier)
        assert position.totals == history.totals
        assert scope.rounds == history.rounds
        assert {read: ref.bare() for read, ref in scope.outputs.items()} == {
            read: ref for read, ref in history.outputs.items() if read in needs.outputs
        }
        assert scope.groups == {read: ref for read, ref in history.groups.items() if read in needs.groups}
        for reference in self.graph.output_reads(name):
            read = reference.identifier
            united = self.graph.list_reads.get((name, read))
            if united is not None:
                assert (united in scope.groups) == (united in history.groups)
                event("a list is read")
            else:
                assert (read in scope.outputs) == (read in history.outputs)
        for read, ref in scope.outputs.items():
            self.check_values(position, read, ref)

    def check_values(self, position: Position, read: str, ref: OutputRef) -> None:
        """Values that ride along are those of the state that the reference names."""
        given = self.outputs[position.branch[: ref.depth], ref.number]
        if ref.values is not None:
            event("values ride along")
            output = given[ref.output] if given else {}
            assert ref.values == {
                key: output[key] for key in FIELDS if key in output and key in self.graph.fields[read]
            }


@given(flows(max_nodes=9), st.data())
@settings(max_examples=250)
def test_a_position_holds_all_that_its_node_and_later_ones_read(graph: Graph, data: st.DataObject) -> None:
    walk = Walk(graph, data)
    root = Position(RUN, (), 0, graph.root, trigger_inputs={"x": 1})
    walk.branch(root, History())
    event(f"{walk.states} states")


@given(positions(), st.integers(1, 5))
def test_the_next_turn_takes_over_what_the_record_says(position: Position, turn: int) -> None:
    record = Record("a", StateStatus.RETRYING, turn, attempts=2, first_ms=3, busy_ms=4, write_units=5)
    again = run_again(position, record)
    assert (again.turn, again.attempts, again.first_ms, again.busy_ms, again.write_units) == (
        turn,
        2,
        3,
        4,
        5,
    )
    assert (
        replace(
            again,
            turn=position.turn,
            attempts=position.attempts,
            first_ms=position.first_ms,
            busy_ms=position.busy_ms,
            write_units=position.write_units,
        )
        == position
    )
