from __future__ import annotations

from typing import Any

import pytest

from karman_core.domain.declarations import declaration_problems
from karman_core.domain.registered import RegisteredNodes
from karman_core.domain.wiring import examine
from tests.domain.graphs import graph, node
from tests.domain.nodes import TEXT, record, registered, registered_node

NODES = registered(registered_node("Node", record(text=TEXT), secrets=("KEY", "TOKEN")))


def problems(known: RegisteredNodes | None = NODES, /, **fields: Any) -> list[tuple[str, str]]:
    fields = {"secrets": ["KEY", "TOKEN"], "nodes": [node("a", inputs={"text": "x"})], **fields}
    wiring, _ = examine(graph(*fields.pop("nodes"), **fields))
    return [(problem.path, problem.code) for problem in declaration_problems(wiring, known)]


def trigger(**fields: Any) -> dict[str, Any]:
    name = {"name": fields.pop("name")} if "name" in fields else {}
    return {**name, "value": {"expression": "0 9 * * *", **fields}}


def test_sound_declarations_have_no_problems() -> None:
    assert problems() == []
    store = {"required_keys": ["k", "d"], "default_values": {"d": 1}}
    firing = trigger(inputs={"text": "y"}, store={"k": 1}, timezone="Europe/Berlin")
    assert problems(triggers=[firing, firing], store_config=store) == []


@pytest.mark.parametrize(
    ("fields", "path", "code"),
    [
        ({"nodes": [node("a", node_name="Gone")]}, "nodes[0].node_name", "unknown_node"),
        ({"nodes": [node("a", namespace="other")]}, "nodes[0].node_name", "unknown_node"),
        ({"secrets": ["KEY"]}, "nodes[0].node_name", "unknown_secret"),
        ({"secrets": ["KEY", "TOKEN", "KEY"]}, "secrets[2]", "duplicate_secret"),
        (
            {"store_config": {"required_keys": ["a", "b", "a"]}},
            "store_config.required_keys[2]",
            "duplicate_store_key",
        ),
        ({"triggers": [trigger(name="x"), trigger(name="x")]}, "triggers[1].name", "duplicate_trigger"),
        ({"triggers": [trigger(name="cron-1"), trigger()]}, "triggers[1].name", "duplicate_trigger"),
        ({"triggers": [trigger(expression="* * *")]}, "triggers[0].value.expression", "invalid_cron"),
        ({"triggers": [trigger(timezone="Mars")]}, "triggers[0].value.timezone", "invalid_timezone"),
        ({"triggers": [trigger(inputs={"text": 1})]}, "triggers[0].value.inputs.text", "wrong_type"),
        ({"triggers": [trigger(inputs={"more": 1})]}, "triggers[0].value.inputs.more", "unknown_input"),
        ({"triggers": [trigger()], "nodes": [node("a")]}, "triggers[0].value.inputs.text", "missing_input"),
        (
            {"triggers": [trigger()], "store_config": {"required_keys": ["k"]}},
            "triggers[0].value.store.k",
            "missing_store_key",
        ),
    ],
)
def test_each_mistake_has_its_path_and_code(fields: dict[str, Any], path: str, code: str) -> None:
    assert problems(**fields) == [(path, code)]


def test_the_message_says_where_a_node_was_looked_for() -> None:
    wiring, _ = examine(graph(node("a", "b", node_name="X"), node("b", namespace="other")))
    messages = [problem.message for problem in declaration_problems(wiring, {})]
    assert messages == [
        "No node 'X' is registered in the graph's namespace.",
        "No node 'Node' is registered in the namespace 'other'.",
    ]


def test_without_the_nodes_the_rest_is_judged() -> None:
    assert problems(None, secrets=[], nodes=[node("a", node_name="Gone")]) == []
    assert problems(None, triggers=[trigger(inputs={"more": 1}, expression="x")]) == [
        ("triggers[0].value.expression", "invalid_cron")
    ]


def test_runs_of_a_trigger_are_not_judged_if_the_root_is_not_clear() -> None:
    assert problems(triggers=[trigger()], nodes=[node("a"), node("b")]) == []
