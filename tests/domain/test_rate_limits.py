from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from karman_core.domain.definition import GraphDefinition, RateLimit
from karman_core.domain.graph import compile_graph
from karman_core.domain.rate_limits import StartLimit, parse_rate_limit
from karman_core.domain.registered import RegisteredNodes
from karman_core.domain.validation import validate
from karman_core.domain.windows import Window
from tests.domain.graphs import graph, node
from tests.domain.nodes import TEXT, WHOLE, record, registered, registered_node

NODES = registered(
    registered_node("Order", record("n", customer=TEXT, n=WHOLE), record(o=TEXT)),
    registered_node("Node", record(), record(o=TEXT)),
)


def definition(**limit: Any) -> GraphDefinition:
    return graph(
        node("a", "b", node_name="Order", inputs={"customer": "x", "n": 1}),
        node("b"),
        rate_limit={"starts": 100, "per_seconds": 60, **limit},
    )


def problems(key: str, known: RegisteredNodes | None = NODES) -> list[tuple[str, str]]:
    return [(problem.path, problem.code) for problem in validate(definition(key=key), known)]


def limit_of(**limit: Any) -> StartLimit:
    found = compile_graph(definition(**limit)).rate_limit
    assert found is not None
    return found


def test_a_graph_without_one_has_none() -> None:
    assert parse_rate_limit(None) is None
    assert compile_graph(graph(node("a"))).rate_limit is None


def test_it_says_how_many_begin_in_which_time_and_what_becomes_of_the_others() -> None:
    assert limit_of().window == Window(100, 60_000)
    assert limit_of(per_seconds=0.25).window == Window(100, 250)
    assert not limit_of().refuses
    assert limit_of(when_over="refuse").refuses


def test_runs_are_counted_by_the_value_of_the_key() -> None:
    limit, root = limit_of(key="${{ initial.inputs.customer }}"), definition().nodes[0]
    scopes = [
        limit.counted(root, given).scope
        for given in ({"customer": "a"}, {"customer": "b"}, {}, {"customer": "x"})
    ]

    assert scopes[2] == scopes[3]  # The definition says x.
    assert len(set(scopes)) == 3
    assert limit.counted(root, {"customer": "a"}).key == "a"
    assert limit.counted(root, {"customer": None}) == limit_of().counted(root, {"customer": "a"})


def test_it_tells_the_limit_in_words() -> None:
    limit, root = limit_of(key="${{ initial.inputs.customer }}"), definition().nodes[0]

    assert limit.told(limit.counted(root, {"customer": "a"})) == (
        "100 runs with the rate limit key 'a' in 60 seconds"
    )
    assert limit_of().told(limit_of().counted(root, {})) == "100 runs in 60 seconds"


@pytest.mark.parametrize(
    ("key", "code"),
    [
        ("customer", "invalid_placeholder"),
        ("${{ store.customer }}", "invalid_placeholder"),
        ("${{ b.outputs.o }}", "invalid_placeholder"),
        ("${{ initial.inputs. }}", "invalid_placeholder"),
        ("${{ initial.inputs.name }}", "unknown_input"),
        ("${{ initial.inputs.n.x }}", "unknown_input"),
    ],
)
def test_a_key_that_cannot_be_is_told(key: str, code: str) -> None:
    assert problems(key) == [("rate_limit.key", code)]


def test_a_key_that_can_be_is_no_problem() -> None:
    assert problems("${{ initial.inputs.customer }}") == []
    assert problems("${{ initial.inputs.name }}", None) == []
    assert [each.code for each in validate(definition(), NODES)] == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"starts": 0},
        {"starts": 100_001},
        {"per_seconds": 0},
        {"per_seconds": 86_400 * 32},
        {"when_over": "drop"},
    ],
)
def test_values_have_bounds(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RateLimit.model_validate({"starts": 1, "per_seconds": 1, **wrong})
