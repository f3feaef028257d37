"""Graphs as YAML and JSON: written, read back, and the same."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karman import Graph, InvalidGraph, Retry, Unites, UniteStrategy, load_graph, node
from karman._internal.texts import to_yaml
from karman_core.domain.parsing import load_text


@node
async def split(text: str) -> list[str]:
    return text.split()


@node
async def join(words: list[str]) -> str:
    return " ".join(words)


def words() -> Graph:
    graph = Graph("words", retry=Retry.linear(4, step=1, max_delay=60), store_defaults={"on": "no", "n": 1})
    parts = graph.add(split)
    inner = graph.add(split, "inner", text=f"{parts.outputs.result}: {graph.store.on}", timeout=2.5)
    joined = graph.add(join, unites=Unites(parts, UniteStrategy.ALL_DONE), words=inner.outputs.result)
    parts >> inner >> joined
    graph.cron("0 * * * *", inputs={"text": "hourly"}, name="hourly", overlap="skip")
    graph.outputs = {"words": joined.outputs.result}
    return graph


def test_yaml_is_read_back_unchanged() -> None:
    graph = words()

    again = load_graph(graph.to_yaml(), [split, join])

    assert again.build() == graph.build()
    assert again.to_yaml() == graph.to_yaml()
    assert again.nodes == (split.node, join.node)


def test_json_is_read_back_unchanged() -> None:
    graph = words()

    assert load_graph(json.dumps(graph.to_dict()), [split, join], format="json").build() == graph.build()


def test_what_is_at_its_default_is_not_written() -> None:
    graph = Graph("small")
    graph.add(split, text="a b")

    assert graph.to_dict() == {
        "name": "small",
        "nodes": [{"identifier": "split", "node_name": "split", "inputs": {"text": "a b"}}],
    }


@pytest.mark.parametrize("suffix", [".yaml", ".yml", ".json"])
def test_files(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"words{suffix}"
    path.write_text(
        json.dumps(words().to_dict()) if suffix == ".json" else words().to_yaml(), encoding="utf-8"
    )

    graph = Graph.load(path, [split, join])

    assert graph.build() == words().build()
    assert graph["inner"].node_name == "split"


def test_a_loaded_graph_can_be_changed() -> None:
    graph = load_graph(words().to_yaml(), [split, join])
    last = graph.add(split, "last", text=graph["join"].outputs.result)
    graph["join"] >> last

    assert [each.identifier for each in graph.build().nodes] == ["split", "inner", "join", "last"]


def test_nodes_of_others() -> None:
    text = "name: g\nnodes: [{identifier: a, node_name: Nowhere, inputs: {x: 1}}]"

    assert load_graph(text).build().nodes[0].node_name == "Nowhere"
    with pytest.raises(InvalidGraph, match=r"unknown_node"):
        load_graph(text, [split]).build()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: [", "This is not YAML"),
        ("name: g\nnodes: 3", "nodes"),
        ("name: g\nnodes: [{identifier: a, node_name: b, next_node: c}]", "next_node"),
        (
            "name: g\nnodes: [{identifier: a, node_name: b}, {identifier: a, node_name: b}]",
            "has a node 'a' already",
        ),
        ("name: g\nname: h\nnodes: []", "twice"),
    ],
)
def test_texts_that_are_no_graph(text: str, message: str) -> None:
    with pytest.raises(InvalidGraph, match=message):
        load_graph(text)


TEXT = st.text(max_size=12) | st.sampled_from(
    [
        "1e3",
        "no",
        "on",
        "~",
        "012",
        "0x1F",
        "1_000",
        "2026-01-01",
        "12:30",
        "null",
        "a: b",
        "#x",
        "- a",
        "",
        " ",
        "x\n",
        "%",
    ]
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@given(VALUES)
def test_any_json_is_read_back_unchanged(value: Any) -> None:
    assert load_text(to_yaml({"value": value}), "yaml") == {"value": value}


def test_the_same_value_twice_is_written_twice() -> None:
    shared = ["a"]

    assert load_text(to_yaml({"x": shared, "y": shared}), "yaml") == {"x": ["a"], "y": ["a"]}
