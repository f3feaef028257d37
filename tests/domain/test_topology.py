from __future__ import annotations

from time import perf_counter

from hypothesis import given
from hypothesis import strategies as st

from karman_core.domain import topology
from tests.domain.graphs import Edges, definition_of, edges, graph, node, paths_to
from tests.domain.values import LIMIT_SECONDS


def closure(found: Edges) -> dict[str, set[str]]:
    """What is reached from each node by one edge or more, by repeating until nothing changes."""
    reached = {name: set(after) for name, after in found.items()}
    changed = True
    while changed:
        changed = False
        for name, after in reached.items():
            further = set().union(*(reached[following] for following in after)) - after
            reached[name] = after | further
            changed = changed or bool(further)
    return reached


@given(edges())
def test_edges_are_numbered_both_ways(found: Edges) -> None:
    shape = topology.build(definition_of(found))
    assert shape.identifiers == tuple(found)
    for name, after in found.items():
        assert {shape.identifiers[i] for i in shape.successors[shape.numbers[name]]} == set(after)
        before = {other for other, following in found.items() if name in following}
        assert {shape.identifiers[i] for i in shape.predecessors[shape.numbers[name]]} == before
    roots = {shape.identifiers[i] for i in shape.roots}
    assert roots == set(found) - {name for after in found.values() for name in after}


@given(edges(acyclic=False))
def test_the_order_has_all_nodes_that_no_cycle_leads_to(found: Edges) -> None:
    shape = topology.build(definition_of(found))
    reached = closure(found)
    cyclic = {name for name in found if name in reached[name]}
    behind = cyclic.union(*(reached[name] for name in cyclic))
    order = [shape.identifiers[number] for number in shape.order]
    assert set(order) == set(found) - behind
    assert len(order) == len(set(order))
    for place, name in enumerate(order):
        assert not reached[name] & set(order[:place])


@given(edges())
def test_ancestors_are_the_nodes_on_paths_that_lead_here(found: Edges) -> None:
    shape = topology.build(definition_of(found))
    before = topology.ancestors(shape)
    for name in found:
        on_paths = {step for path in paths_to(found, name) for step in path[:-1]}
        ancestors = topology.members(shape, before[shape.numbers[name]])
        assert ancestors == tuple(other for other in found if other in on_paths)


@given(edges(acyclic=False))
def test_ancestors_are_known_where_the_order_is(found: Edges) -> None:
    shape = topology.build(definition_of(found))
    reached = closure(found)
    for number, bits in enumerate(topology.ancestors(shape)):
        name = shape.identifiers[number]
        expected = {other for other in found if name in reached[other]} if number in shape.order else set()
        assert set(topology.members(shape, bits)) == expected


@given(edges(acyclic=False), st.data())
def test_reachable_follows_all_edges(found: Edges, data: st.DataObject) -> None:
    shape = topology.build(definition_of(found))
    starts = data.draw(st.lists(st.sampled_from(shape.identifiers), unique=True))
    expected = set(starts).union(*(closure(found)[name] for name in starts))
    numbers = topology.reachable(shape, tuple(shape.numbers[name] for name in starts))
    assert {shape.identifiers[number] for number in numbers} == expected


@given(edges(acyclic=False))
def test_cycles_are_real_disjoint_and_found_when_there_are_any(found: Edges) -> None:
    shape = topology.build(definition_of(found))
    cycles = topology.cycles(shape)
    seen: set[int] = set()
    for cycle in cycles:
        for number, following in zip(cycle, (*cycle[1:], cycle[0]), strict=True):
            assert following in shape.successors[number]
        assert cycle[0] == min(cycle)
        assert len(set(cycle)) == len(cycle)
        assert seen.isdisjoint(cycle)
        seen.update(cycle)
    assert bool(cycles) == any(name in after for name, after in closure(found).items())


def test_what_validation_reports_is_left_out() -> None:
    shape = topology.build(graph(node("a", "a", "b", "b", "gone"), node("b"), node("a", "c"), node("c")))
    assert shape.identifiers == ("a", "b", "c")
    assert shape.successors == ((1,), (), ())


def test_large_graphs_take_linear_time() -> None:
    count = 10_000
    chain = graph(*(node(f"n{i}", *([f"n{i + 1}"] if i + 1 < count else [])) for i in reversed(range(count))))
    started = perf_counter()
    shape = topology.build(chain)
    before = topology.ancestors(shape)
    assert before[0].bit_count() == count - 1
    assert len(topology.reachable(shape, shape.roots)) == count
    ring = topology.build(graph(*(node(f"n{i}", f"n{(i + 1) % count}") for i in range(count))))
    assert topology.cycles(ring) == (tuple(range(count)),)
    assert perf_counter() - started < LIMIT_SECONDS
