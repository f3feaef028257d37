from __future__ import annotations

from typing import Any

import pytest

from karman_core.domain import inputs
from karman_core.domain.definition import GraphDefinition
from karman_core.domain.errors import Problem
from karman_core.domain.inputs import input_problems, literal_problems
from karman_core.domain.references import References
from karman_core.domain.registered import RegisteredNodes
from karman_core.domain.wiring import examine
from tests.domain.graphs import graph, node
from tests.domain.nodes import TEXT, WHOLE, record, registered, registered_node

NUMBERS = {"type": "array", "items": WHOLE}
PAIR = {"type": "array", "prefixItems": [TEXT, WHOLE], "minItems": 2, "maxItems": 2}
MAYBE = {"anyOf": [WHOLE, {"type": "null"}], "default": None}
NODES = registered(
    registered_node(
        "Source", record("at"), record("note", text=TEXT, count=WHOLE, numbers=NUMBERS, note=MAYBE, any={})
    ),
    registered_node(
        "Sink",
        record(
            "text",
            "count",
            "numbers",
            "model",
            "pair",
            "flag",
            text=TEXT,
            count=WHOLE,
            numbers=NUMBERS,
            model=record("b", a=WHOLE, b=TEXT),
            pair=PAIR,
            flag={"enum": ["on", "off"]},
        ),
    ),
    registered_node("Strict", record(need=TEXT) | {"additionalProperties": False}),
    registered_node("Open", {"type": "object"}),
    registered_node("None", record()),
)


def problems(definition: GraphDefinition, nodes: RegisteredNodes | None = NODES) -> list[Problem]:
    return list(input_problems(References.of(examine(definition)[0], nodes)))


def sink(name: str = "Sink", /, **inputs: Any) -> GraphDefinition:
    """A graph whose second node is given these inputs."""
    return graph(node("s", "t", node_name="Source"), node("t", node_name=name, inputs=inputs))


def found(definition: GraphDefinition) -> list[tuple[str, str]]:
    return [(problem.path.removeprefix("nodes[1].inputs."), problem.code) for problem in problems(definition)]


@pytest.mark.parametrize(
    "inputs",
    [
        {"text": "x", "count": 1, "numbers": [], "flag": "on"},
        {"text": "${{ s.outputs.text }}", "count": "${{ s.outputs.count }}"},
        {"text": "at ${{ s.outputs.count }}"},
        {"text": "${{ s.outputs.count }}"},  # a text field takes anything, as JSON text
        {"text": "${{ s.outputs.numbers }}"},
        {"count": "${{ s.outputs.note }}"},  # may be null, may be right
        {"count": "${{ s.outputs.any }}"},
        {"count": "${{ s.outputs.numbers[0] }}"},
        {"numbers": [1, "${{ s.outputs.count }}"]},
        {"model": {"a": "${{ s.outputs.count }}", "b": "${{ s.outputs.text }}"}},
        {"model": {"a": "${{ s.outputs.count }}"}},
        {"pair": ["${{ s.outputs.text }}", 2]},
        {"flag": "${{ s.outputs.text }}"},
    ],
)
def test_inputs_that_fit_have_no_problems(inputs: dict[str, Any]) -> None:
    assert found(sink(**inputs)) == []


@pytest.mark.parametrize(
    ("inputs", "path", "code"),
    [
        ({"text": 1}, "text", "wrong_type"),
        ({"text": ["a"]}, "text", "wrong_type"),
        ({"count": "1"}, "count", "wrong_type"),
        ({"numbers": [1, "a"]}, "numbers[1]", "wrong_type"),
        ({"model": {"b": "x"}}, "model.a", "missing_field"),
        ({"flag": "maybe"}, "flag", "invalid_value"),
        ({"count": "${{ s.outputs.text }}"}, "count", "incompatible_input"),
        ({"count": "${{ s.outputs.numbers }}"}, "count", "incompatible_input"),
        ({"count": "at ${{ s.outputs.count }}"}, "count", "incompatible_input"),
        ({"numbers": ["${{ s.outputs.text }}"]}, "numbers[0]", "incompatible_input"),
        ({"numbers": [["${{ s.outputs.count }}"]]}, "numbers[0]", "incompatible_input"),
        ({"numbers": {"a": "${{ s.outputs.count }}"}}, "numbers", "incompatible_input"),
        ({"text": ["${{ s.outputs.text }}"]}, "text", "incompatible_input"),
        ({"model": {"a": "${{ s.outputs.text }}"}}, "model.a", "incompatible_input"),
        ({"model": {"b": "${{ s.outputs.text }}"}}, "model", "incompatible_input"),
        ({"model": {"a": "x", "b": "${{ s.outputs.text }}"}}, "model.a", "incompatible_input"),
        ({"pair": ["${{ s.outputs.count }}", 2]}, "pair[0]", "incompatible_input"),
        ({"pair": ["${{ s.outputs.text }}", 2, 3]}, "pair", "incompatible_input"),
        ({"flag": "x ${{ s.outputs.text }}", "txt": 1}, "txt", "unknown_input"),
        ({"txt": "${{ s.outputs.text }}"}, "txt", "unknown_input"),
        ({"text": "${{ s.outputs }}"}, "text", "invalid_placeholder"),
        ({"numbers": [1, "${{ t.outputs.x }}"]}, "numbers[1]", "not_an_ancestor"),
        ({"text": "${{ s.outputs.gone }}"}, "text", "unknown_output"),
        ({"text": "${{ store.k }}"}, "text", "unknown_store_key"),
    ],
)
def test_each_mistake_has_its_path_and_code(inputs: dict[str, Any], path: str, code: str) -> None:
    assert found(sink(**inputs)) == [(path, code)]


def test_every_mistake_in_a_text_is_named() -> None:
    definition = sink(
        text="${{ x.outputs.a }} ${{ store.k }}", count="${{", numbers=["${{ s }}", "${{ a.b }}"]
    )
    assert found(definition) == [
        ("text", "unknown_reference"),
        ("text", "unknown_store_key"),
        ("count", "invalid_placeholder"),
        ("numbers[0]", "invalid_placeholder"),
        ("numbers[1]", "invalid_placeholder"),
    ]


def test_the_reason_of_a_clash_is_told() -> None:
    (problem,) = problems(sink(model={"a": "${{ s.outputs.text }}"}))
    assert problem.message == "This does not fit the node: a string is given where an integer is wanted."


def test_required_inputs_are_missed_and_unknown_ones_named() -> None:
    missing, unknown = "nodes[1].inputs.need", "nodes[1].inputs.x"
    assert [(p.path, p.code) for p in problems(sink("Strict", x=1))] == [
        (unknown, "unknown_input"),
        (missing, "missing_input"),
    ]
    assert "'Strict' takes 'need'; 'x' is none" in problems(sink("Strict", x=1, need=""))[0].message
    assert "'None' takes no inputs" in problems(sink("None", x=1))[0].message
    assert problems(sink("Open", x=1)) == []


def test_the_trigger_gives_the_root_what_it_misses() -> None:
    assert problems(graph(node("a", node_name="Strict"))) == []
    assert [p.code for p in problems(graph(node("a", node_name="Strict", inputs={"need": 1})))] == [
        "wrong_type"
    ]
    assert [p.code for p in problems(graph(node("a", node_name="Strict", inputs={"x": 1})))] == [
        "unknown_input"
    ]


def test_text_from_a_group_is_a_list() -> None:
    def united(**inputs: Any) -> GraphDefinition:
        return graph(
            node("s", "b", node_name="Source"),
            node("b", "t", node_name="Source"),
            node("t", node_name="Sink", unites="s", inputs=inputs),
        )

    assert problems(united(numbers="${{ b.outputs.count }}", text="${{ b.outputs.count }}")) == []
    assert problems(united(numbers="${{ b.outputs.numbers[0] }}", text="got ${{ b.outputs.text }}")) == []
    assert [p.code for p in problems(united(count="${{ b.outputs.count }}"))] == ["incompatible_input"]
    assert problems(united(count="${{ s.outputs.count }}")) == []


def test_a_source_is_compared_once_for_each_kind_of_reader() -> None:
    """Two instances of one node read the same output, one as a value and one as a list."""
    definition = graph(
        node("s", "b", node_name="Source"),
        node("b", "t", node_name="Sink", inputs={"count": "${{ s.outputs.count }}"}),
        node("t", "v", node_name="Source", unites="s"),
        node("v", "u", node_name="Source"),
        node("u", node_name="Sink", unites="t", inputs={"count": "${{ v.outputs.count }}"}),
    )
    assert [(p.path, p.code) for p in problems(definition)] == [
        ("nodes[4].inputs.count", "incompatible_input")
    ]


def test_a_clash_is_told_of_every_instance() -> None:
    given = {"count": "${{ s.outputs.text }}"}
    definition = graph(
        node("s", "t", "u", node_name="Source"),
        node("t", node_name="Sink", inputs=given),
        node("u", node_name="Sink", inputs=given),
    )
    assert [p.path for p in problems(definition)] == ["nodes[1].inputs.count", "nodes[2].inputs.count"]


def test_comparisons_are_bounded() -> None:
    count = inputs.MAX_COMPARISONS
    fitting: list[Any] = [1] * (count - 2)
    late = [*fitting, "${{ s.outputs.text }}"]
    assert [p.path for p in problems(sink(numbers=late))] == [f"nodes[1].inputs.numbers[{count - 2}]"]
    assert problems(sink(numbers=[1, *late])) == []


def test_the_store_may_hold_anything() -> None:
    inputs = {"count": "${{ store.k }}", "model": {"a": "${{ store.k.x }}"}}
    definition = graph(
        node("s", node_name="Sink", inputs=inputs), store_config={"default_values": {"k": "text"}}
    )
    assert problems(definition) == []


def test_nodes_that_are_not_known_take_anything() -> None:
    definition = sink("Gone", x="${{ s.outputs.text }}", y=1)
    assert problems(definition) == []
    assert problems(sink(count="x"), None) == []


def test_outputs_of_the_graph_are_judged_too() -> None:
    outputs = {
        "all": ["${{ s.outputs.text }}", "${{ x.outputs.y }}"],
        "bad": "${{",
        "fine": 3,
        "store": "${{ store.k }}",
    }
    definition = graph(node("s", node_name="Source"), outputs=outputs)
    assert [(p.path, p.code) for p in problems(definition)] == [
        ("outputs.all[1]", "unknown_reference"),
        ("outputs.bad", "invalid_placeholder"),
        ("outputs.store", "unknown_store_key"),
    ]


def test_of_some_fields_only_these_are_judged() -> None:
    schema = record(a=WHOLE, b=record(c=TEXT)) | {"minProperties": 2, "additionalProperties": False}
    assert list(literal_problems(schema, {})) == []
    assert [(p.path, p.code) for p in literal_problems(schema, {"x": 1, "b": {}})] == [
        ("b.c", "missing_field")
    ]
    assert [p.code for p in literal_problems({"type": "x"}, {"a": 1})] == ["invalid_schema"]
