from __future__ import annotations

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from karman_core.domain.decide import (
    Decision,
    EndBranch,
    Ending,
    Fork,
    GoOn,
    Run,
    RunAgain,
    UniteAtOnce,
    Wait,
    decide,
)
from karman_core.domain.graph import Graph, compile_graph
from karman_core.domain.records import Record
from karman_core.domain.transitions import ENDED_STATES, StateStatus
from tests.domain.flows import flows
from tests.domain.graphs import graph, node

GRAPH = compile_graph(
    graph(
        node("r", "a", "b"),
        node("a", "u", loops=[{"to": "a", "max_rounds": 2}, {"to": "r", "max_rounds": 1}]),
        node("b", "c"),
        node("c", "v", "d"),
        node("d", "v"),
        node("v", unites="c"),
        node("u"),
    )
)


@pytest.mark.parametrize(
    ("record", "decision"),
    [
        (Record("r", StateStatus.SUCCEEDED, 1), Fork(2, ("a", "b"), None)),
        (Record("r", StateStatus.SUCCEEDED, 1, width=3), Fork(6, ("a", "b"), None)),
        (Record("r", StateStatus.SUCCEEDED, 1, width=0), Fork(2, ("a", "b"), None)),
        (Record("r", StateStatus.SUCCEEDED, 1, chosen="b"), GoOn("b")),
        (Record("r", StateStatus.SUCCEEDED, 1, width=2, chosen="b"), Fork(2, ("b",), None)),
        (Record("b", StateStatus.SUCCEEDED, 1), GoOn("c")),
        (Record("b", StateStatus.SUCCEEDED, 1, width=0), GoOn("c")),
        (Record("u", StateStatus.SUCCEEDED, 1), EndBranch(Ending.SUCCEEDED)),
        (Record("u", StateStatus.SUCCEEDED, 1, width=5), EndBranch(Ending.SUCCEEDED)),
        (Record("a", StateStatus.SUCCEEDED, 1, chosen="a"), GoOn("a", looping=True)),
        (Record("a", StateStatus.SUCCEEDED, 1, chosen="r"), GoOn("r", looping=True)),
        (Record("c", StateStatus.SUCCEEDED, 1), Fork(1, ("d",), "v")),
        (Record("c", StateStatus.SUCCEEDED, 1, width=4), Fork(4, ("d",), "v")),
        (Record("c", StateStatus.SUCCEEDED, 1, chosen="v"), UniteAtOnce("v")),
        (Record("d", StateStatus.SUCCEEDED, 1), EndBranch(Ending.SUCCEEDED)),
        (Record("d", StateStatus.PRUNED, 1), EndBranch(Ending.PRUNED)),
        (Record("d", StateStatus.FAILED, 1), EndBranch(Ending.FAILED)),
        (Record("d", StateStatus.CANCELLED, 1), EndBranch(Ending.FAILED)),
        (Record("d", StateStatus.TIMED_OUT, 1), EndBranch(Ending.FAILED)),
        (Record("d", StateStatus.RETRYING, 1, due_ms=5), RunAgain(5)),
        (Record("d", StateStatus.QUEUED, 1, due_ms=6), RunAgain(6)),
        (Record("d", StateStatus.QUEUED, 1), RunAgain(0)),
        (Record("d", StateStatus.WAITING, 1, awaiting="go", timeout_ms=9), Wait("go", 9)),
        (Record("d", StateStatus.READY, 1, awaiting="go"), Wait("go", None)),
        (Record("d", StateStatus.READY, 1), Wait("", None)),
        (Record("d", StateStatus.RUNNING, 1), Run()),
    ],
)
def test_what_follows(record: Record, decision: Decision) -> None:
    assert decide(GRAPH, record) == decision


@st.composite
def records(draw: st.DrawFn, compiled: Graph) -> Record:
    """A record that some state of a graph can have."""
    name = draw(st.sampled_from(sorted(compiled.instances)))
    instance = compiled.instances[name]
    chosen = draw(st.sampled_from([None, *instance.next_nodes, *(loop.to for loop in instance.loops)]))
    looping = chosen is not None and chosen not in instance.next_nodes
    return Record(
        name,
        draw(st.just(StateStatus.SUCCEEDED) | st.sampled_from(StateStatus)),
        turn=1,
        width=draw(st.integers(0, 1 if looping else 3)),
        chosen=chosen,
    )


@given(flows(), st.data())
def test_something_follows_every_record(compiled: Graph, data: st.DataObject) -> None:
    record = data.draw(records(compiled))
    decision = decide(compiled, record)
    event(type(decision).__name__)
    again = isinstance(decision, RunAgain | Wait | Run)
    assert again == (record.status not in ENDED_STATES)
    if record.status is not StateStatus.SUCCEEDED:
        assert again or decision == EndBranch(
            Ending.PRUNED if record.status is StateStatus.PRUNED else Ending.FAILED
        )


@given(flows(), st.data())
def test_a_success_is_followed_by_each_output_with_each_next_node(
    compiled: Graph, data: st.DataObject
) -> None:
    record = data.draw(records(compiled).filter(lambda record: record.status is StateStatus.SUCCEEDED))
    instance = compiled.instances[record.identifier]
    uniting = {other.unites.identifier: name for name, other in compiled.instances.items() if other.unites}
    followers = [record.chosen] if record.chosen else instance.next_nodes
    starts = [name for name in followers if name not in uniting.values()]
    united = record.identifier in uniting and record.chosen not in {loop.to for loop in instance.loops}
    outputs = record.width if united else max(1, record.width)
    branches = [(output, start) for output in range(outputs) for start in starts]
    match decide(compiled, record):
        case GoOn(identifier, looping):
            assert [start for _, start in branches] == [identifier]
            assert looping == (identifier in {loop.to for loop in instance.loops})
            assert looping or record.identifier not in uniting
        case Fork(width, into, unite):
            found = [(index // len(into), into[index % len(into)]) for index in range(width)]
            assert found == branches
            assert unite == uniting.get(record.identifier)
            assert unite or width > 1
        case UniteAtOnce(identifier):
            assert not branches
            assert identifier == uniting[record.identifier]
        case decision:
            assert decision == EndBranch(Ending.SUCCEEDED)
            assert not branches
            assert record.identifier not in uniting
