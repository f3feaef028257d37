from __future__ import annotations

from time import perf_counter

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from karman_core.domain.definition import GraphDefinition, RetryPolicy, UniteStrategy
from karman_core.domain.graph import Graph, Needs, compile_graph
from karman_core.domain.groups import groups_between
from karman_core.domain.validation import validate
from tests.domain.flows import definitions, flows
from tests.domain.graphs import graph, node

# r forks; a loops through b; each branch of a's group reads r; u gets b's list; z reads the store.
DEFINITION = graph(
    node("r", "a"),
    node("a", "b", "u", inputs={"one": "${{ r.outputs.x }}"}),
    node("b", "c", inputs={"text": "${{ a.outputs.y }} and ${{ a.outputs.x }}"}),
    node("c", "u", loops=[{"to": "b", "max_rounds": 3}]),
    node(
        "u",
        "z",
        unites="a",
        inputs={"all": "${{ b.outputs.x }}", "deep": [{"k": "${{ b.outputs.x.name }}"}]},
        retry_policy={"max_retries": 7},
    ),
    node(
        "z", inputs={"s": "${{ store.k }} ${{ store.k.inner }} ${{ store.other }}", "r": "${{ r.outputs.z }}"}
    ),
    retry_policy={"max_retries": 1},
    store_config={"required_keys": ["k"], "default_values": {"other": None}},
)
GRAPH = compile_graph(DEFINITION)


def test_a_graph_knows_its_nodes_and_edges() -> None:
    assert validate(DEFINITION) == ()
    assert GRAPH.root == "r"
    assert GRAPH.starts("a", None) == ("b",)
    assert GRAPH.starts("a", "b") == ("b",)
    assert GRAPH.starts("a", "u") == ()
    assert GRAPH.unite_of("a") == "u"
    assert GRAPH.unite_of("r") is None
    assert GRAPH.loop_rounds("c", "b") == 3
    assert GRAPH.loop_rounds("c", "u") is None
    assert GRAPH.may_choose("c", "b")
    assert GRAPH.may_choose("a", "u")
    assert not GRAPH.may_choose("a", "z")
    assert GRAPH.retry_policy("u") == RetryPolicy(max_retries=7)
    assert GRAPH.retry_policy("z") == RetryPolicy(max_retries=1)


def test_what_is_read_and_by_whom() -> None:
    assert GRAPH.needs == {
        "r": Needs(frozenset(), frozenset()),
        "a": Needs(frozenset("r"), frozenset()),
        "b": Needs(frozenset("a"), frozenset()),
        "c": Needs(frozenset("a"), frozenset()),
        "u": Needs(frozenset("r"), frozenset("a")),
        "z": Needs(frozenset("r"), frozenset()),
    }
    assert GRAPH.fields == {"r": {"x", "z"}, "a": {"x", "y"}, "b": {"x"}, "c": set(), "u": set(), "z": set()}
    assert GRAPH.list_reads == {("u", "b"): "a"}
    assert GRAPH.store_keys["z"] == ("k", "other")
    assert [str(read) for read in GRAPH.output_reads("u")] == [
        "${{ b.outputs.x }}",
        "${{ b.outputs.x.name }}",
    ]


@pytest.mark.parametrize("strategy", UniteStrategy)
def test_the_strategy_of_a_unite(strategy: UniteStrategy) -> None:
    fields = {"unites": {"identifier": "a", "strategy": strategy}}
    united = compile_graph(
        GraphDefinition.model_validate(
            {
                **graph(node("a", "u")).model_dump(),
                "nodes": [
                    {"identifier": "a", "node_name": "Node", "next_nodes": ["u"]},
                    {"identifier": "u", "node_name": "Node", **fields},
                ],
            }
        )
    )
    assert united.strategy("u") is strategy
    assert united.strategy("a") is UniteStrategy.ALL_SUCCESS


@given(definitions(max_nodes=12))
@settings(max_examples=200)
def test_the_random_definitions_of_these_tests_are_valid(definition: GraphDefinition) -> None:
    event(f"unites: {sum(instance.unites is not None for instance in definition.nodes)}")
    event(f"loops: {sum(len(instance.loops) for instance in definition.nodes)}")
    assert validate(definition) == ()


def reached(compiled: Graph, start: str) -> set[str]:
    """The nodes on some way on from a node, itself included."""
    found, waiting = {start}, [start]
    while waiting:
        instance = compiled.instances[waiting.pop()]
        fresh = set(instance.next_nodes) - found
        found |= fresh
        waiting += fresh
    return found


def concerned(compiled: Graph, start: str) -> set[str]:
    """A node and those after it whose scope grows out of its own: a unite's grows out of its united node's."""
    found, waiting = {start}, [start]
    while waiting:
        name = waiting.pop()
        instance = compiled.instances[name]
        following = {other for other in instance.next_nodes if compiled.instances[other].unites is None}
        following |= {loop.to for loop in instance.loops}
        unite = compiled.unite_of(name)
        fresh = (following | ({unite} if unite else set())) - found
        found |= fresh
        waiting += fresh
    return found


@given(flows())
def test_needed_is_what_came_before_and_is_read_here_or_later(compiled: Graph) -> None:
    for name in compiled.instances:
        before = {other for other in compiled.instances if name in reached(compiled, other) - {other}}
        outputs: set[str] = set()
        lists: set[str] = set()
        for reader in concerned(compiled, name):
            for read in compiled.output_reads(reader):
                between = groups_between(compiled.groups, reader, read.identifier)
                outputs |= set() if between else {read.identifier}
                lists |= between
        assert compiled.needs[name] == Needs(frozenset(outputs & before), frozenset(lists & before))


@given(flows(), st.data())
def test_a_branch_leads_to_what_follows(compiled: Graph, data: st.DataObject) -> None:
    names = st.sampled_from(sorted(compiled.instances))
    wanted = data.draw(st.frozensets(names, max_size=2))
    name = data.draw(names)
    looping = any(instance.loops for instance in compiled.instances.values())
    assert compiled.leads_to(name, wanted) == (looping or bool(reached(compiled, name) & wanted))


def test_large_graphs_compile_in_linear_time() -> None:
    count = 3_000
    chain = [
        node(
            f"n{i}",
            *([f"n{i + 1}"] if i + 1 < count else []),
            inputs={"x": f"${{{{ n{max(0, i - 1)}.outputs.x }}}}"} if i else {},
        )
        for i in range(count)
    ]
    started = perf_counter()
    compiled = compile_graph(graph(*chain))
    assert compiled.needs[f"n{count - 1}"].outputs == {f"n{count - 2}"}
    assert perf_counter() - started < 3
