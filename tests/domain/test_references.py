from __future__ import annotations

from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from karman_core.domain.compatibility import compatible
from karman_core.domain.definition import GraphDefinition
from karman_core.domain.groups import list_group
from karman_core.domain.placeholders import OutputReference, Reference, StoreReference
from karman_core.domain.references import References, Source
from karman_core.domain.registered import RegisteredNodes, node_keys
from karman_core.domain.wiring import examine
from tests.domain.graphs import Edges, definition_of, graph, node, paths_to, united_graphs
from tests.domain.nodes import TEXT, WHOLE, record, registered, registered_node

# a opens a group of b, in which c opens another one of d; e unites c, f unites a; g is beside all that.
NESTED = graph(
    node("r", "a", "g"),
    node("a", "b", "c"),
    node("b", "f"),
    node("c", "d"),
    node("d", "e"),
    node("e", "f", unites="c"),
    node("f", unites="a"),
    node("g"),
    store_config={"required_keys": ["needed"], "default_values": {"default": 1}},
)
NODES = registered(
    registered_node("Node", outputs=record("maybe", text=TEXT, maybe=WHOLE, inner=record(n=WHOLE)))
)


def references(definition: GraphDefinition, nodes: RegisteredNodes | None = None) -> References:
    return References.of(examine(definition)[0], nodes)


def output(identifier: str, *path: str | int) -> OutputReference:
    return OutputReference(identifier, path or ("text",))


@pytest.mark.parametrize(
    ("reader", "reference", "code", "words"),
    [
        ("a", StoreReference("gone"), "unknown_store_key", "'gone' is neither required nor has it a default"),
        ("a", output("x"), "unknown_reference", "there is no node 'x'"),
        ("a", output("a"), "not_an_ancestor", "a node cannot read its own outputs"),
        ("a", output("f"), "not_an_ancestor", "'f' comes after 'a'"),
        ("b", output("g"), "not_an_ancestor", "no path leads from 'g' to 'b'"),
        ("f", output("d"), "nested_groups", "'d' is inside 2 united groups ('a', 'c')"),
        (None, output("d"), "nested_groups", "'d' is inside 2"),
        ("a", output("r", "gone"), "unknown_output", "'Node' has the outputs 'text', 'maybe', 'inner'"),
        ("a", output("r", "text", "x"), "unknown_output", "no value of 'text' has anything at this path"),
        ("a", output("r", "inner", "m"), "unknown_output", "no value of 'inner'"),
    ],
)
def test_each_mistake_has_its_code_and_words(
    reader: str | None, reference: Reference, code: str, words: str
) -> None:
    found = references(NESTED, NODES).fault(reader, reference)
    assert found is not None
    assert found[0] == code
    assert str(reference) in found[1]
    assert words in found[1]
    assert "loop" not in found[1]


@pytest.mark.parametrize(
    ("reader", "reference"),
    [
        ("a", StoreReference("needed", ("x",))),
        (None, StoreReference("default")),
        ("a", output("r")),
        ("e", output("d")),
        ("f", output("b")),
        ("f", output("e", "maybe")),
        ("d", output("c", "inner", "n")),
        (None, output("g")),
        (None, output("b")),
    ],
)
def test_sound_references_have_no_fault(reader: str | None, reference: Reference) -> None:
    assert references(NESTED, NODES).fault(reader, reference) is None


def test_outputs_are_not_looked_into_if_the_node_is_not_known() -> None:
    anything = output("r", "gone", 3)
    assert references(NESTED).fault("a", anything) is None
    assert references(NESTED, {}).fault("a", anything) is None
    (source,) = {references(NESTED, {}).source("a", anything)}
    assert source is not None
    assert references(NESTED, {}).schema(source) == {}


def test_a_node_without_outputs_is_told_so() -> None:
    found = references(NESTED, registered(registered_node("Node", outputs=record()))).fault("a", output("r"))
    assert found == ("unknown_output", "${{ r.outputs.text }}: 'Node' has no outputs.")


def test_with_loops_the_message_says_what_to_do() -> None:
    looping = graph(node("a", "b"), node("b", loops=[{"to": "a", "max_rounds": 2}]))
    found = references(looping).fault("a", output("b"))
    assert found is not None
    assert found[1].endswith("what a later round of a loop needs goes through the store.")


def test_on_a_cycle_nothing_is_said_of_the_order() -> None:
    cyclic = graph(node("r", "a"), node("a", "b"), node("b", "a", "c"), node("c"))
    assert references(cyclic).fault("c", output("b")) is None
    assert references(cyclic).fault("r", output("c")) is None


def test_sources_tell_values_from_lists() -> None:
    found = references(NESTED, NODES)
    one, many = found.source("d", output("c", "inner", "n")), found.source("f", output("b", "inner", "n"))
    assert one == Source((None, "Node"), ("inner", "n"), is_list=False)
    assert many == Source((None, "Node"), ("inner", "n"), is_list=True)
    assert found.source("d", StoreReference("needed")) is None
    assert found.schema(one) == WHOLE
    assert found.schema(many) == {"type": "array", "items": WHOLE}


def test_a_list_of_models_keeps_their_definitions() -> None:
    outputs = {"properties": {"item": {"$ref": "#/$defs/Item"}}, "$defs": {"Item": record(n=WHOLE)}}
    found = references(NESTED, registered(registered_node("Node", outputs=outputs)))
    source = found.source("f", output("b", "item"))
    assert source is not None
    listed: Any = found.schema(source)
    assert compatible(listed, {"type": "array", "items": record(n=WHOLE)}) is None
    assert compatible(listed, {"type": "array", "items": record(n=TEXT)}) is not None


def test_node_keys_are_what_the_definition_names() -> None:
    definition = graph(
        node("a", "b", node_name="A"), node("b", "c", namespace="other"), node("c", node_name="A")
    )
    assert node_keys(definition) == ((None, "A"), ("other", "Node"))


@given(united_graphs(), st.data())
def test_references_are_judged_as_every_path_says(
    drawn: tuple[Edges, dict[str, str]], data: st.DataObject
) -> None:
    found, unites = drawn
    wiring, problems = examine(definition_of(found, unites))
    if problems:
        return
    reader = data.draw(st.sampled_from([*unites, None, *found]))
    around = wiring.groups.enclosing
    read = data.draw(
        st.sampled_from(list(found)) | st.sampled_from(sorted(found, key=lambda name: len(around[name]))[-2:])
    )
    between = {united for united in around[read] if reader is None or united not in around[reader]}
    if reader is not None and (reader == read or not any(read in path for path in paths_to(found, reader))):
        expected = "not_an_ancestor"
    elif len(between) > 1:
        expected = "nested_groups"
    else:
        expected = None
        assert list_group(wiring.groups, reader, read) == next(iter(between), None)
    event(f"expected: {expected}, list: {bool(between)}")
    fault = References.of(wiring, None).fault(reader, output(read))
    assert (fault[0] if fault else None) == expected
