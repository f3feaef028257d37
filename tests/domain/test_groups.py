from __future__ import annotations

import pytest
from hypothesis import event, given

from karman_core.domain import groups, topology
from karman_core.domain.definition import NodeInstance
from karman_core.domain.errors import InvalidGraph
from karman_core.domain.groups import Groups
from tests.domain.graphs import Edges, definition_of, graph, node, open_groups, paths_to, united_graphs

# a opens a group: b and c run in it, and in c's group d; e unites c, f unites a.
NESTED = graph(
    node("a", "b", "c"),
    node("b", "f"),
    node("c", "d"),
    node("d", "e"),
    node("e", "f", unites="c"),
    node("f", "g", unites="a"),
    node("g"),
)


def test_what_follows_a_united_node_is_inside_its_group_until_the_unite() -> None:
    found = groups.analyse(NESTED)
    assert found.united_by == {"a": "f", "c": "e"}
    assert {name for name, around in found.enclosing.items() if "a" in around} == {"b", "c", "d", "e"}
    assert {name for name, around in found.enclosing.items() if "c" in around} == {"d"}
    assert found.innermost == {"a": None, "b": "a", "c": "a", "d": "c", "e": "a", "f": None, "g": None}
    assert groups.left_scope(found, "c") == "c"
    assert groups.left_scope(found, "d") == "c"
    assert groups.left_scope(found, "f") is None


@pytest.mark.parametrize(
    ("reader", "read", "united"),
    [
        ("f", "b", "a"),  # the uniting node reads the branches
        ("g", "e", "a"),  # and so does what follows it
        (None, "c", "a"),  # and the outputs of the graph
        ("e", "d", "c"),
        ("d", "c", None),  # inside the same group
        ("f", "a", None),  # the node that opened the group is outside of it
        (None, "g", None),
    ],
)
def test_a_reference_into_one_group_is_a_list(reader: str | None, read: str, united: str | None) -> None:
    assert groups.list_group(groups.analyse(NESTED), reader, read) == united


@pytest.mark.parametrize("reader", ["f", "g", None])
def test_a_reference_into_two_groups_is_refused(reader: str | None) -> None:
    found = groups.analyse(NESTED)
    assert groups.groups_between(found, reader, "d") == {"a", "c"}
    with pytest.raises(InvalidGraph, match="'d' is 2 united groups deep"):
        groups.list_group(found, reader, "d")


@given(united_graphs())
def test_groups_are_what_every_path_says(drawn: tuple[Edges, dict[str, str]]) -> None:
    found, unites = drawn
    stacks = {name: {open_groups(path, unites) for path in paths_to(found, name)} for name in found}
    valid = all(len(stack) == 1 and None not in stack for stack in stacks.values())
    event(f"valid: {valid}, unites: {bool(unites)}")
    shape = topology.build(definition_of(found, unites))
    scanned, problems = groups.scan(shape, unites)
    assert (problems == ()) == valid
    if valid:
        assert groups.analyse(definition_of(found, unites)) == scanned
        assert scanned.united_by == {united: uniting for uniting, united in unites.items()}
        for name, (stack,) in stacks.items():
            assert stack is not None
            assert scanned.enclosing[name] == set(stack)
            assert scanned.innermost[name] == (stack[-1] if stack else None)
    else:
        with pytest.raises(InvalidGraph):
            groups.analyse(definition_of(found, unites))


@given(united_graphs())
def test_a_group_is_what_is_reached_without_its_unite(drawn: tuple[Edges, dict[str, str]]) -> None:
    found, unites = drawn
    scanned, problems = groups.scan(topology.build(definition_of(found, unites)), unites)
    if problems:
        return
    for uniting, united in unites.items():
        inside: set[str] = set()
        waiting = [name for name in found[united] if name != uniting]
        while waiting:
            name = waiting.pop()
            inside.add(name)
            waiting.extend(after for after in found[name] if after not in inside and after != uniting)
        assert {name for name, around in scanned.enclosing.items() if united in around} == inside


def message_of(*nodes: NodeInstance) -> str:
    with pytest.raises(InvalidGraph) as caught:
        groups.analyse(graph(*nodes))
    return caught.value.problems[0].message


def test_the_message_says_what_crosses() -> None:
    assert message_of(node("a", "b"), node("b", "c"), node("c", "d", unites="a"), node("d", unites="b")) == (
        "'c' unites 'a', but follows 'b', which is still inside the group of 'b', to be united first."
    )
    assert message_of(node("r", "a", "b"), node("a", "u"), node("b", "u"), node("u", unites="a")) == (
        "'u' unites 'a', but follows 'b', which is not inside the group of 'a'."
    )
    assert message_of(node("a", "b", "u"), node("b", "u", "c"), node("u", "c", unites="a"), node("c")) == (
        "'c' follows both 'b' (inside the group of 'a') and 'u' (outside of all united groups); "
        "a node runs either inside a united group or after it."
    )


def problems_of(*nodes: tuple[str, str, str | None]) -> list[tuple[str, str]]:
    """Paths and codes, for nodes given as identifier, next nodes and united node."""
    unites = {name: united for name, _, united in nodes if united is not None}
    shape = topology.build(graph(*(node(name, *after.split()) for name, after, _ in nodes)))
    return [(problem.path, problem.code) for problem in groups.scan(shape, unites)[1]]


def test_the_outer_group_must_not_be_united_before_the_inner_one() -> None:
    crossing = [("a", "b", None), ("b", "c", None), ("c", "d", "a"), ("d", "", "b")]
    assert problems_of(*crossing) == [("c", "crossing_unites"), ("d", "crossing_unites")]


def test_no_branch_may_bypass_the_unite_of_an_inner_group() -> None:
    bypass = [("a", "b", None), ("b", "c d", None), ("c", "e", None), ("d", "f", None)]
    assert problems_of(*bypass, ("e", "f", "b"), ("f", "", "a")) == [("f", "crossing_unites")]


def test_a_unite_is_reached_from_inside_its_group_only() -> None:
    from_outside = [("r", "a b", None), ("a", "u", None), ("b", "u", None), ("u", "", "a")]
    assert problems_of(*from_outside) == [("u", "crossing_unites")]


def test_a_unite_follows_something() -> None:
    assert problems_of(("u", "a", "a"), ("a", "", None)) == [("u", "crossing_unites")]


def test_a_node_is_inside_a_group_or_after_it() -> None:
    both = [("a", "b u", None), ("b", "u c", None), ("u", "c", "a"), ("c", "", None)]
    assert problems_of(*both) == [("c", "mixed_groups")]


def test_groups_nest_a_hundred_deep_and_not_deeper() -> None:
    def nest(depth: int) -> Groups:
        opening = [node(f"a{i}", f"a{i + 1}" if i + 1 < depth else f"b{i}") for i in range(depth)]
        closing = [node(f"b{i}", *([f"b{i - 1}"] if i else []), unites=f"a{i}") for i in range(depth)]
        return groups.analyse(graph(*opening, *closing))

    assert len(nest(groups.MAX_NESTING).enclosing[f"a{groups.MAX_NESTING - 1}"]) == groups.MAX_NESTING - 1
    with pytest.raises(InvalidGraph) as caught:
        nest(groups.MAX_NESTING + 1)
    assert caught.value.problems[0].code == "groups_too_deep"


def test_nodes_on_a_cycle_are_outside_of_all_groups() -> None:
    shape = topology.build(graph(node("r", "x"), node("x", "a"), node("a", "b"), node("b", "a")))
    found, problems = groups.scan(shape, {"b": "x"})
    assert found.innermost == {"r": None, "x": None, "a": None, "b": None}
    assert problems == ()
