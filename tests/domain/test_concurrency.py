from __future__ import annotations

from typing import Any

import pytest

from karman_core.domain.concurrency import Slot, concurrency_problems, parse_limit, slot_from_json
from karman_core.domain.definition import Concurrency, NodeInstance
from karman_core.domain.errors import InvalidGraph
from karman_core.domain.graph import compile_graph
from karman_core.domain.parsing import parse_definition
from karman_core.domain.placeholders import PlaceholderError
from karman_core.domain.references import References
from karman_core.domain.registered import RegisteredNodes
from karman_core.domain.validation import validate
from karman_core.domain.wiring import examine
from tests.domain.graphs import graph, node
from tests.domain.nodes import TEXT, WHOLE, record, registered, registered_node

NODES = registered(registered_node("Order", record(customer=TEXT, n=WHOLE), record(o=TEXT)))
CUSTOMER = "${{ initial.inputs.customer }}"
ROOT = NodeInstance(identifier="a", node_name="Order", inputs={"customer": "own", "who": "${{ store.x }}"})


def problems(concurrency: Any, known: RegisteredNodes | None = NODES) -> list[Any]:
    definition = graph(
        node("a", node_name="Order", inputs={"customer": "x", "n": 1}), concurrency=concurrency
    )
    return [(problem.path, problem.code) for problem in validate(definition, known)]


def slot(key: str | None, given: dict[str, Any], **more: Any) -> Slot:
    limit = parse_limit(Concurrency(limit=5, key=key, **more))
    assert limit is not None
    return limit.slot(ROOT, given)


@pytest.mark.parametrize(
    "concurrency", [None, {"limit": 1}, {"limit": 1_000_000, "key": CUSTOMER, "when_full": "refuse"}]
)
def test_a_limit_with_a_key_of_the_first_inputs_or_none_is_right(concurrency: Any) -> None:
    assert problems(concurrency) == []
    assert problems(concurrency, None) == []


@pytest.mark.parametrize(
    ("key", "code"),
    [
        ("customer", "invalid_placeholder"),
        ("${{ initial.inputs.customer }} and more", "invalid_placeholder"),
        ("${{ initial.inputs. }}", "invalid_placeholder"),
        ("${{ a.outputs.o }}", "invalid_placeholder"),
        ("${{ store.region }}", "invalid_placeholder"),
        ("${{ initial.inputs.absent }}", "unknown_input"),
        ("${{ initial.inputs.customer.name }}", "unknown_input"),
    ],
)
def test_any_other_key_is_a_problem(key: str, code: str) -> None:
    assert problems({"limit": 1, "key": key}) == [("concurrency.key", code)]


def test_half_of_a_surrogate_pair_is_no_key() -> None:
    declared = Concurrency.model_construct(limit=1, key="\ud800")
    assert [(p.path, p.code) for p in validate(graph(node("a"), concurrency=declared))] == [
        ("concurrency.key", "invalid_text")
    ]


def test_a_key_that_is_known_too_late_says_what_to_write() -> None:
    definition = graph(node("a"), concurrency={"limit": 1, "key": "${{ a.outputs.o }}"})
    (problem,) = concurrency_problems(References.of(examine(definition)[0], None))
    assert "when a run begins" in problem.message
    assert "${{ initial.inputs.field }}" in problem.message


@pytest.mark.parametrize(
    ("concurrency", "path", "code"),
    [
        ({}, "concurrency.limit", "missing_field"),
        ({"limit": 0}, "concurrency.limit", "invalid_value"),
        ({"limit": "5 at a time"}, "concurrency.limit", "wrong_type"),
        ({"limit": 1_000_001}, "concurrency.limit", "invalid_value"),
        ({"limit": 1, "when_full": "drop"}, "concurrency.when_full", "invalid_value"),
        ({"limit": 1, "keys": ""}, "concurrency.keys", "unknown_field"),
        ({"limit": 1, "key": "x" * 1_025}, "concurrency.key", "invalid_value"),
    ],
)
def test_what_has_another_shape_is_refused(concurrency: Any, path: str, code: str) -> None:
    with pytest.raises(InvalidGraph) as caught:
        parse_definition({"name": "g", "nodes": [], "concurrency": concurrency})
    assert [(problem.path, problem.code) for problem in caught.value.problems] == [(path, code)]


def test_runs_of_one_key_share_a_scope() -> None:
    assert slot(CUSTOMER, {"customer": "acme"}) == slot(CUSTOMER, {"customer": "acme", "n": 2})
    assert slot(CUSTOMER, {"customer": 7}) == slot(CUSTOMER, {"customer": "7"})
    found = [
        slot(CUSTOMER, {}),
        slot(CUSTOMER, {"customer": "acme"}),
        slot(CUSTOMER, {"customer": ""}),
        slot(CUSTOMER, {"customer": None}),
        slot(CUSTOMER, {"customer": "null"}),
        slot(CUSTOMER, {"customer": {"id": 1}}),
    ]
    assert len({one.scope for one in found}) == len(found)
    assert [one.key for one in found] == ["own", "acme", "", None, "null", '{"id":1}']


def test_runs_without_a_value_are_counted_together_as_those_of_a_graph_without_a_key_are() -> None:
    whole = slot(None, {"customer": "acme"})
    assert whole == slot("${{ initial.inputs.absent }}", {}) == slot("${{ initial.inputs.who }}", {})
    assert whole.key is None


def test_what_is_shown_of_a_long_key_is_cut_and_the_rest_of_it_counts() -> None:
    one, other = (slot(CUSTOMER, {"customer": "x" * 300 + end}) for end in "ab")
    assert (one.key, other.key) == ("x" * 256,) * 2
    assert one.scope != other.scope


def test_a_slot_goes_through_json() -> None:
    for one in (slot(None, {}), slot(CUSTOMER, {}, when_full="refuse")):
        assert slot_from_json(one.as_json()) == one
    assert slot(CUSTOMER, {}, when_full="refuse").refuses


def test_a_slot_tells_what_is_waited_for() -> None:
    assert slot(None, {}).told(5) == "a slot (of 5 for runs of the graph)"
    assert slot(CUSTOMER, {}).told(1_000) == "a slot (of 1,000 for runs with the concurrency key 'own')"


def test_a_compiled_graph_has_the_slot_of_a_run() -> None:
    limited = compile_graph(graph(node("a", inputs={"c": "d"}), concurrency={"limit": 5, "key": CUSTOMER}))
    assert limited.slot({"customer": "acme"}) == slot(CUSTOMER, {"customer": "acme"})
    assert compile_graph(graph(node("a"))).slot({}) is None
    with pytest.raises(PlaceholderError):
        compile_graph(graph(node("a"), concurrency={"limit": 5, "key": "${{ store.x }}"}))
