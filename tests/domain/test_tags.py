from __future__ import annotations

from typing import Any

import pytest

from karman_core.domain.errors import InvalidGraph
from karman_core.domain.graph import compile_graph
from karman_core.domain.parsing import parse_definition
from karman_core.domain.placeholders import OutputReference, PlaceholderError, StoreReference, Whole
from karman_core.domain.registered import RegisteredNodes
from karman_core.domain.tags import (
    MAX_CHARACTERS,
    MAX_DECLARED,
    MAX_TAGS,
    InputReference,
    given_tag_problems,
    parse_source,
    tag_text,
)
from karman_core.domain.validation import validate
from tests.domain.graphs import graph, node
from tests.domain.nodes import TEXT, WHOLE, record, registered, registered_node

NODES = registered(
    registered_node(
        "Order", record("n", "who", customer=TEXT, n=WHOLE, who=record(name=TEXT)), record(o=TEXT)
    ),
    registered_node("Node", record(), record(o=TEXT)),
    registered_node("Bare", {"type": "object", "additionalProperties": False}, record()),
)


def problems(tags: dict[str, str], known: RegisteredNodes | None = NODES, root: str = "Order") -> list[Any]:
    definition = graph(
        node("a", "b", node_name=root, inputs={"customer": "x"} if root == "Order" else {}),
        node("b", "c"),
        node("c", unites="a"),
        tags=tags,
        store_config={"required_keys": ["region"]},
    )
    return [(problem.path, problem.code) for problem in validate(definition, known)]


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("${{ initial.inputs.customer }}", InputReference(("customer",))),
        (" ${{initial . inputs . who.name }} ", InputReference(("who", "name"))),
        ("${{ initial.inputs.list[0].x }}", InputReference(("list", 0, "x"))),
        ("${{ initial.outputs.o }}", OutputReference("initial", ("o",))),
        (" ${{ b.outputs.o[1] }} ", OutputReference("b", ("o", 1))),
        ("${{ store.region.name }}", StoreReference("region", ("name",))),
    ],
)
def test_a_tag_is_one_reference(text: str, source: object) -> None:
    assert parse_source(text) == source


@pytest.mark.parametrize(
    "text",
    [
        "",
        "text",
        "${{ initial.inputs.a }} and more",
        "${{ b.outputs.o }}${{ b.outputs.o }}",
        "${{ initial.inputs }}",
        "${{ initial.inputs[0] }}",
        "${{ other.inputs.a }}",
        "${{",
        "${{ }}",
    ],
)
def test_anything_else_is_none(text: str) -> None:
    with pytest.raises(PlaceholderError):
        parse_source(text)
    assert problems({"t": text}) == [("tags.t", "invalid_placeholder")]


def test_references_read_as_they_are_written() -> None:
    assert str(parse_source("${{initial.inputs.a[0].b}}")) == "${{ initial.inputs.a[0].b }}"


def test_sound_tags_have_no_problems() -> None:
    sound = {
        "customer": "${{ initial.inputs.customer }}",
        "who": "${{ initial.inputs.who.name }}",
        "verdict": "${{ c.outputs.o }}",
        "all": "${{ b.outputs.o }}",
        "region": "${{ store.region }}",
    }
    assert problems(sound) == []
    assert problems(sound, None) == []


def test_everything_wrong_with_tags_is_reported_at_once() -> None:
    wrong = {
        "a": "${{ initial.inputs.nothing }}",
        "b": "${{ initial.inputs.who.age.x }}",
        "c": "${{ gone.outputs.o }}",
        "d": "${{ store.gone }}",
        "e": "${{ c.outputs.gone }}",
        "f": "plain",
    }
    codes = [
        "unknown_input",
        "unknown_reference",
        "unknown_store_key",
        "unknown_output",
        "invalid_placeholder",
    ]
    assert [code for _, code in problems({**wrong, "b": "${{ initial.inputs.none }}"})] == [codes[0], *codes]
    assert [path for path, _ in problems({**wrong, "b": "${{ initial.inputs.none }}"})] == [
        f"tags.{name}" for name in "abcdef"
    ]
    assert problems({"a": "${{ initial.inputs.customer.x }}"}) == [("tags.a", "unknown_input")]
    assert [code for _, code in problems(wrong, None)] == [codes[1], codes[2], codes[4]]


def test_messages_say_what_there_is() -> None:
    definition = graph(
        node("a", node_name="Order", inputs={"customer": ""}), tags={"t": "${{ initial.inputs.x }}"}
    )
    (problem,) = validate(definition, NODES)
    assert "'customer', 'n', 'who'" in problem.message.replace(" and ", ", ")
    bare = graph(node("a", node_name="Bare"), tags={"t": "${{ initial.inputs.x }}"})
    assert "has no inputs" in validate(bare, NODES)[0].message


def test_inputs_of_an_unknown_first_node_are_taken_to_exist() -> None:
    tags = {"t": "${{ initial.inputs.x }}"}
    assert problems(tags, root="Gone") == [("nodes[0].node_name", "unknown_node")]
    two_roots = graph(node("a", node_name="Bare"), node("b", node_name="Bare"), tags=tags)
    assert {problem.code for problem in validate(two_roots, NODES)} == {"several_roots"}


def test_so_many_tags_can_be_declared() -> None:
    tags = {f"t{number}": "${{ c.outputs.o }}" for number in range(MAX_DECLARED + 1)}
    assert problems(tags) == [("tags", "too_many_tags")]
    tags.popitem()
    assert problems(tags) == []


@pytest.mark.parametrize("name", ["", "a:b", "a\nb", "x" * 257])
def test_names_that_no_tag_can_have(name: str) -> None:
    data = {"name": "g", "nodes": [], "tags": {name: "${{ store.a }}", "fine": 1}}
    with pytest.raises(InvalidGraph) as refused:
        parse_definition(data)
    assert sorted(problem.code for problem in refused.value.problems) == ["invalid_value", "wrong_type"]
    assert all(problem.path.startswith("tags") for problem in refused.value.problems)
    assert [problem.code for problem in given_tag_problems({name: "x"})] == ["invalid_tag"]


def test_tags_of_a_trigger() -> None:
    assert given_tag_problems({"cost center ü": "", "b": "x" * MAX_CHARACTERS}) == []
    found = given_tag_problems({":": "x" * (MAX_CHARACTERS + 1)})
    assert [(problem.path, problem.code) for problem in found] == [("tags.:", "invalid_tag")] * 2
    many = {str(number): "" for number in range(MAX_TAGS + 1)}
    assert [(problem.path, problem.code) for problem in given_tag_problems(many)] == [
        ("tags", "too_many_tags")
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None),
        ("", ""),
        ("x", "x"),
        (1, "1"),
        (1.5, "1.5"),
        (True, "true"),
        ({"a": [1]}, '{"a":[1]}'),
        ("x" * 300, "x" * MAX_CHARACTERS),
    ],
)
def test_values_become_text(value: object, text: str | None) -> None:
    assert tag_text(value) == text


def test_tags_known_at_the_start() -> None:
    root = node(
        "a",
        inputs={"literal": {"x": 1}, "later": "${{ store.k }}", "given": "no", "nothing": None},
    )
    declared = {
        "literal": "${{ initial.inputs.literal.x }}",
        "too_deep": "${{ initial.inputs.literal.x.y }}",
        "later": "${{ initial.inputs.later }}",
        "given": "${{ initial.inputs.given }}",
        "missing": "${{ initial.inputs.missing }}",
        "inside": "${{ initial.inputs.missing.x }}",
        "nothing": "${{ initial.inputs.nothing }}",
        "item": "${{ initial.inputs.list[1] }}",
        "beyond": "${{ initial.inputs.list[2] }}",
        "output": "${{ a.outputs.o }}",
        "stored": "${{ store.k }}",
    }
    tags = compile_graph(graph(root, tags=declared)).tags

    found = tags.at_start(root, {"given": "yes", "list": [1, "${{ store.k }}"]})

    assert found == {"literal": "1", "given": "yes", "item": "${{ store.k }}"}
    assert set(tags.outputs) == {"output", "stored"}
    assert all(isinstance(template.value, Whole) for template in tags.outputs.values())


def test_a_graph_without_tags_declares_none() -> None:
    tags = compile_graph(graph(node("a"))).tags
    assert (tags.at_start(node("a"), {"x": 1}), dict(tags.outputs)) == ({}, {})


def test_a_graph_whose_tags_make_no_sense_is_not_compiled() -> None:
    with pytest.raises(InvalidGraph):
        compile_graph(graph(node("a"), tags={"t": "text"}))
