from __future__ import annotations

import datetime as dt
import subprocess
import sys
from time import perf_counter
from typing import Any

import pytest

from karman_core.domain.definition import GraphDefinition
from karman_core.domain.json_values import MAX_PROBLEMS
from karman_core.domain.validation import MAX_BYTES, MAX_NEXT_NODES, MAX_NODES, validate
from tests.domain.graphs import graph, node
from tests.domain.nodes import TEXT, WHOLE, record, registered, registered_node
from tests.domain.values import LIMIT_SECONDS

NODES = registered(
    registered_node("N", record("n", t=TEXT, n=WHOLE), record(o=TEXT)),
    registered_node("Node", record(), record()),
)


def codes(definition: GraphDefinition) -> list[tuple[str, str]]:
    return [(problem.path, problem.code) for problem in validate(definition, NODES)]


def test_a_sound_graph_has_no_problems() -> None:
    definition = graph(
        node("a", "b", node_name="N"),
        node("b", "c", node_name="N", inputs={"t": "${{ a.outputs.o }} ${{ store.k }}", "n": 1}),
        node("c", node_name="N", inputs={"t": "${{ b.outputs.o }}"}, unites="a"),
        store_config={"required_keys": ["k"]},
        triggers=[{"value": {"expression": "0 0 * * *", "store": {"k": 1}, "inputs": {"t": ""}}}],
        outputs={"text": "${{ b.outputs.o }}"},
    )
    assert codes(definition) == []
    assert validate(definition) == ()


def test_everything_wrong_is_reported_at_once_wiring_first() -> None:
    definition = graph(
        node("a", "b", "x"),
        node("b", node_name="N", inputs={"t": "${{ z.outputs.o }}", "n": "1"}),
        secrets=["S", "S"],
        outputs={"o": "${{"},
    )
    assert codes(definition) == [
        ("nodes[0].next_nodes[1]", "unknown_next_node"),
        ("secrets[1]", "duplicate_secret"),
        ("nodes[1].inputs.t", "unknown_reference"),
        ("nodes[1].inputs.n", "wrong_type"),
        ("outputs.o", "invalid_placeholder"),
    ]


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("fields", "path", "code"),
    [
        (
            {"nodes": [node("a", *(f"n{i}" for i in range(MAX_NEXT_NODES + 1)))]},
            "nodes[0].next_nodes",
            "too_many_next_nodes",
        ),
        ({"nodes": [node(f"n{i}") for i in range(MAX_NODES + 1)]}, "nodes", "too_many_nodes"),
        ({"description": "é" * 500_000}, "", "definition_too_large"),
        ({"nodes": [node("a", inputs={"x": deep(100_000)})]}, "nodes[0].inputs.x" + "[0]" * 63, "too_deep"),
        ({"outputs": {"x": dt.date(2024, 1, 1)}}, "outputs.x", "not_json"),
        ({"store_config": {"default_values": {"k": {1}}}}, "store_config.default_values.k", "not_json"),
        (
            {"triggers": [{"value": {"expression": "x", "store": {"k": b""}}}]},
            "triggers[0].value.store.k",
            "not_json",
        ),
        (
            {"triggers": [{"value": {"expression": "x", "inputs": {"k": b""}}}]},
            "triggers[0].value.inputs.k",
            "not_json",
        ),
    ],
)
def test_what_is_over_a_limit_is_not_looked_into(fields: dict[str, Any], path: str, code: str) -> None:
    nodes = fields.pop("nodes", [node("store")])
    assert codes(graph(*nodes, **fields)) == [(path, code)]


def test_graphs_at_the_limits_are_allowed() -> None:
    wide = graph(
        node("a", *(f"n{i}" for i in range(MAX_NEXT_NODES))), *(node(f"n{i}") for i in range(MAX_NEXT_NODES))
    )
    assert codes(wide) == []
    many = graph(*(node(f"n{i}") for i in range(MAX_NODES)))
    assert codes(many) == [("nodes", "several_roots")]


def test_the_size_of_a_definition_is_bounded_in_bytes() -> None:
    empty = len(graph(node("a"), description="-").model_dump_json(exclude_defaults=True)) - 1
    assert (
        codes(
            graph(node("a"), description="é-" * ((MAX_BYTES - empty) // 3) + "-" * ((MAX_BYTES - empty) % 3))
        )
        == []
    )
    (problem,) = codes(graph(node("a"), description="-" * (MAX_BYTES - empty + 1)))
    assert problem == ("", "definition_too_large")


def test_the_number_of_problems_is_bounded() -> None:
    definition = graph(node("a"), *(node("store", "store", "store") for _ in range(2_000)))
    assert len(validate(definition)) == MAX_PROBLEMS


def seconds(definition: GraphDefinition, expected: int) -> float:
    started = perf_counter()
    assert len(validate(definition, NODES)) == expected
    return perf_counter() - started


def test_a_long_chain_is_judged_in_time() -> None:
    def chained(i: int) -> dict[str, Any]:
        return {"t": f"${{{{ n{i - 1}.outputs.o }}}}"} if i else {"t": ""}

    count = 5_000
    after = [[f"n{i + 1}"] if i + 1 < count else [] for i in range(count)]
    assert (
        seconds(graph(*(node(f"n{i}", *after[i], node_name="N", inputs=chained(i)) for i in range(count))), 0)
        < LIMIT_SECONDS
    )


def test_a_wide_graph_is_judged_in_time() -> None:
    middle = [f"m{i}" for i in range(9)]
    leaves = [f"l{i}" for i in range(9_000)]
    definition = graph(
        node("r", *middle, node_name="N"),
        *(node(name, *leaves[i * 1_000 : (i + 1) * 1_000]) for i, name in enumerate(middle)),
        *(node(name, "u") for name in leaves),
        node("u", unites="r"),
    )
    assert seconds(definition, 0) < LIMIT_SECONDS


def test_hostile_graphs_are_judged_in_time() -> None:
    ring = graph(
        *(node(f"n{i}", f"n{(i + 1) % 8_000}", loops=[{"to": "n0", "max_rounds": 1}]) for i in range(8_000))
    )
    assert seconds(ring, MAX_PROBLEMS) < LIMIT_SECONDS
    crossing = graph(
        node("r", *(f"a{i}" for i in range(500))),
        *(node(f"a{i}", *(f"u{j}" for j in range(i, min(i + 100, 500)))) for i in range(500)),
        *(node(f"u{i}", unites=f"a{i}") for i in range(500)),
    )
    assert seconds(crossing, 499) < LIMIT_SECONDS


def test_many_placeholders_are_judged_in_time() -> None:
    def reading(*values: str) -> GraphDefinition:
        inputs = {"t": "", "k" * 100_000: list(values)}
        return graph(node("a", "b"), node("b", node_name="Open", inputs=inputs))

    assert seconds(reading(*["${{ a.outputs }}"] * 40_000), MAX_PROBLEMS) < LIMIT_SECONDS
    assert seconds(reading(*["${{ x.outputs.o }}"] * 40_000), MAX_PROBLEMS) < LIMIT_SECONDS
    assert seconds(reading(*["${{ store.k }}", "1"] * 30_000), MAX_PROBLEMS) < LIMIT_SECONDS


def test_what_few_functions_need_is_not_imported_by_all() -> None:
    heavy = {"croniter", "jsonschema", "yaml"}
    imports = "import sys, karman_core.domain.validation, karman_core.domain.parsing"
    check = f"{imports}; print({heavy!r} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
