from __future__ import annotations

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from karman_core.domain.definition import GraphDefinition
from karman_core.domain.wiring import examine, quote
from tests.domain.graphs import Edges, definition_of, edges, graph, node, open_groups, paths_to, united_graphs


def codes(definition: GraphDefinition) -> list[tuple[str, str]]:
    return [(problem.path, problem.code) for problem in examine(definition)[1]]


def loop(to: str) -> dict[str, object]:
    return {"to": to, "max_rounds": 3}


def test_a_sound_graph_has_no_problems() -> None:
    definition = graph(
        node("plan", "search"),
        node("search", "read", "skip"),
        node("read", "join"),
        node("skip", "join"),
        node("join", "end", unites="search", loops=[loop("plan"), loop("search")]),
        node("end", loops=[loop("end")]),
    )
    wiring, problems = examine(definition)
    assert problems == ()
    assert wiring.groups.united_by == {"search": "join"}
    assert wiring.comes_before("plan", "end")
    assert not wiring.comes_before("read", "skip")
    assert not wiring.comes_before("end", "plan")


@pytest.mark.parametrize(
    ("definition", "path", "code"),
    [
        (graph(), "nodes", "no_nodes"),
        (graph(node("a"), node("b")), "nodes", "several_roots"),
        (graph(node("store")), "nodes[0].identifier", "reserved_identifier"),
        (graph(node("a", "b"), node("b"), node("b")), "nodes[2].identifier", "duplicate_identifier"),
        (graph(node("a", "b")), "nodes[0].next_nodes[0]", "unknown_next_node"),
        (graph(node("a", "b", "b"), node("b")), "nodes[0].next_nodes[1]", "duplicate_next_node"),
        (graph(node("a", "a")), "nodes[0].next_nodes[0]", "self_edge"),
        (graph(node("a", "b"), node("b", unites="x")), "nodes[1].unites.identifier", "unknown_united_node"),
        (graph(node("a", "b"), node("b", unites="b")), "nodes[1].unites.identifier", "unites_itself"),
        (
            graph(node("a", "b", "c"), node("b", unites="a"), node("c", unites="a")),
            "nodes[2].unites.identifier",
            "united_twice",
        ),
        (
            graph(node("a", "b", "c"), node("b"), node("c", unites="b")),
            "nodes[2].unites.identifier",
            "unite_not_ancestor",
        ),
        (
            graph(node("r", "a", "b"), node("a", "u"), node("b", "u"), node("u", unites="a")),
            "nodes[3]",
            "crossing_unites",
        ),
        (
            graph(node("a", "b", "u"), node("b", "u", "c"), node("u", "c", unites="a"), node("c")),
            "nodes[3]",
            "mixed_groups",
        ),
        (graph(node("a", loops=[loop("x")])), "nodes[0].loops[0].to", "unknown_loop_target"),
        (
            graph(node("a", "b"), node("b", loops=[loop("a"), loop("a")])),
            "nodes[1].loops[1].to",
            "duplicate_loop",
        ),
        (
            graph(node("a", "b", loops=[loop("b")]), node("b")),
            "nodes[0].loops[0].to",
            "loop_target_not_ancestor",
        ),
        (
            graph(node("a", "b", "c"), node("b", loops=[loop("c")]), node("c")),
            "nodes[1].loops[0].to",
            "loop_target_not_ancestor",
        ),
        (
            graph(node("a", "b"), node("b", "c", loops=[loop("a")]), node("c", unites="a")),
            "nodes[1].loops[0].to",
            "loop_crosses_unite",
        ),
        (
            graph(node("a", "b"), node("b", "c"), node("c", unites="a", loops=[loop("b")])),
            "nodes[2].loops[0].to",
            "loop_crosses_unite",
        ),
        (
            graph(node("a", "b"), node("b", "c"), node("c", "d", unites="a"), node("d", loops=[loop("c")])),
            "nodes[3].loops[0].to",
            "loop_crosses_unite",
        ),
        (
            graph(node("r", "a"), node("a", "b", loops=[loop("r")]), node("b", "c"), node("c", unites="a")),
            "nodes[1].loops[0].to",
            "loop_crosses_unite",
        ),
    ],
)
def test_each_mistake_has_its_code_and_path(definition: GraphDefinition, path: str, code: str) -> None:
    assert codes(definition) == [(path, code)]


def test_a_cycle_is_shown_and_what_is_behind_it_is_not_judged() -> None:
    definition = graph(
        node("r", "a"),
        node("a", "b"),
        node("b", "c", loops=[loop("c")]),
        node("c", "a", "d"),
        node("d", unites="r", loops=[loop("r")]),
    )
    _, problems = examine(definition)
    assert [(problem.path, problem.code) for problem in problems] == [("nodes[1].next_nodes", "cycle")]
    assert "a -> b -> c -> a" in problems[0].message


def test_a_long_cycle_is_shown_in_part() -> None:
    definition = graph(node("r", "n0"), *(node(f"n{i}", f"n{(i + 1) % 50}") for i in range(50)))
    (problem,) = examine(definition)[1]
    assert "n0 -> n1 -> n2 -> n3 -> n4 -> n5 -> n6 -> n7 -> ... -> n0 is a cycle" in problem.message


def test_without_a_root_nothing_is_reached() -> None:
    assert codes(graph(node("a", "b"), node("b", "a"))) == [
        ("nodes", "no_root"),
        ("nodes[0]", "unreachable_node"),
        ("nodes[1]", "unreachable_node"),
        ("nodes[0].next_nodes", "cycle"),
    ]


def test_a_cycle_apart_is_not_reached() -> None:
    assert codes(graph(node("r"), node("a", "b"), node("b", "a"))) == [
        ("nodes[1]", "unreachable_node"),
        ("nodes[2]", "unreachable_node"),
        ("nodes[1].next_nodes", "cycle"),
    ]


def test_a_unite_that_follows_nothing_is_no_root() -> None:
    assert codes(graph(node("a"), node("u", "b", unites="a"), node("b"))) == [
        ("nodes[1]", "unreachable_node"),
        ("nodes[2]", "unreachable_node"),
        ("nodes[1].unites.identifier", "unite_not_ancestor"),
    ]


def test_all_mistakes_are_reported_at_once() -> None:
    found = {
        code
        for _, code in codes(
            graph(node("store", "store", "x"), node("b", "c", "c"), node("c", "b", unites="q"))
        )
    }
    assert found == {
        "reserved_identifier",
        "self_edge",
        "unknown_next_node",
        "duplicate_next_node",
        "unreachable_node",
        "cycle",
        "unknown_united_node",
    }


def test_identifiers_are_quoted_up_to_a_number() -> None:
    assert quote(["a", "b"]) == "'a', 'b'"
    assert quote(f"n{i}" for i in range(10)).endswith("'n7' and 2 more")


@given(edges(acyclic=False))
def test_edges_make_a_valid_graph_if_one_root_reaches_all_without_cycles(found: Edges) -> None:
    roots = [name for name in found if not any(name in after for after in found.values())]
    reached, waiting, cyclic = set(roots), list(roots), False
    while waiting:
        fresh = set(found[waiting.pop()]) - reached
        reached |= fresh
        waiting.extend(fresh)
    for name in found:
        ahead, further = set(found[name]), list(found[name])
        while further:
            fresh = set(found[further.pop()]) - ahead
            ahead |= fresh
            further.extend(fresh)
        cyclic = cyclic or name in ahead
    expected = {
        code
        for code, holds in {
            "no_root": not roots,
            "several_roots": len(roots) > 1,
            "unreachable_node": reached != set(found),
            "cycle": cyclic,
        }.items()
        if holds
    }
    event(f"problems: {sorted(expected)}")
    assert {code for _, code in codes(definition_of(found))} == expected


@given(united_graphs(), st.data())
def test_a_loop_stays_inside_the_same_groups(
    drawn: tuple[Edges, dict[str, str]], data: st.DataObject
) -> None:
    found, unites = drawn
    if examine(definition_of(found, unites))[1]:
        return
    source, target = data.draw(st.sampled_from(list(found))), data.draw(st.sampled_from(list(found)))
    definition = definition_of(found, unites)
    looped = [
        instance.model_copy(update={"loops": (loop_model,)}) if instance.identifier == source else instance
        for instance in definition.nodes
        for loop_model in node("x", loops=[loop(target)]).loops
    ]
    (path, *_) = (path for path in paths_to(found, source))
    before = source == target or any(target in steps for steps in paths_to(found, source))
    left = open_groups((*path, "after"), unites)
    (entered, *_) = (open_groups(steps, unites) for steps in paths_to(found, target))
    if not before:
        expected = ["loop_target_not_ancestor"]
    elif target in unites or left != entered:
        expected = ["loop_crosses_unite"]
    else:
        expected = []
    event(f"expected: {expected}, unites: {bool(unites)}")
    assert [code for _, code in codes(definition.model_copy(update={"nodes": tuple(looped)}))] == expected
