"""Building graphs: nodes, edges, unites, loops, triggers, and what is told of mistakes."""

from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from karman import (
    Graph,
    GraphDefinition,
    InvalidGraph,
    InvalidInput,
    InvalidNode,
    Next,
    Node,
    Overlap,
    Retry,
    RetryPolicy,
    Unites,
    UniteStrategy,
    node,
)


class Split(Node):
    class Inputs(BaseModel):
        text: str

    class Outputs(BaseModel):
        page: str
        number: int = 0

    async def execute(self) -> list[Outputs]:
        return [self.Outputs(page=word) for word in self.inputs.text.split()]


class Keys(BaseModel):
    api_key: str


@node
async def summarize(text: str, secrets: Keys, words: int = 3) -> str:
    return text[:words] + secrets.api_key


@node
async def join(summaries: list[str]) -> str:
    return "".join(summaries)


@node
async def act(inputs: Any = None, next: str = "", timeout: int = 0) -> Next[str]:  # noqa: A002, ASYNC109
    return Next("act", next)


def instance(definition: GraphDefinition, identifier: str) -> Any:
    return next(each for each in definition.nodes if each.identifier == identifier)


def test_a_whole_graph() -> None:
    graph = Graph(
        "digest", description="d", retry=Retry.fixed(2, delay=1), timeout=timedelta(hours=1), fail_fast=True
    )
    split = graph.add(Split)
    summary = graph.add(summarize, "summary", text=f"<{split.outputs.page}>", words=split.outputs.number)
    joined = graph.add(join, unites=Unites(split, UniteStrategy.ALL_DONE), summaries=summary.outputs.result)
    split >> summary >> joined
    graph.outputs = {"text": joined.outputs.result, "all": [joined.outputs.result, "and", {"more": 1}]}

    definition = graph.build()

    assert [each.identifier for each in definition.nodes] == ["split", "summary", "join"]
    assert instance(definition, "split").next_nodes == ("summary",)
    assert instance(definition, "summary").inputs == {
        "text": "<${{ split.outputs.page }}>",
        "words": "${{ split.outputs.number }}",
    }
    assert instance(definition, "join").unites.strategy is UniteStrategy.ALL_DONE
    assert definition.outputs["all"] == ["${{ join.outputs.result }}", "and", {"more": 1}]
    assert definition.retry_policy == RetryPolicy(max_retries=2, strategy="FIXED", backoff_factor=1000)  # type: ignore[arg-type]
    assert (definition.timeout_seconds, definition.fail_fast, definition.description) == (3600, True, "d")
    assert definition.secrets == ("api_key",)
    assert graph.nodes == (Split, summarize.node, join.node)
    assert repr(graph) == "<Graph 'digest' of 3 nodes>"
    assert repr(split) == "<'split': Split>"


@pytest.mark.parametrize(
    ("name", "identifier"),
    [
        ("Split", "split"),
        ("ReadPDF", "read_pdf"),
        ("HTTPCall", "http_call"),
        ("a.Two3", "a_two3"),
        ("x-y", "x-y"),
    ],
)
def test_default_identifiers(name: str, identifier: str) -> None:
    assert Graph("g").add(name).identifier == identifier


def test_edges() -> None:
    graph = Graph("edges")
    a, b, c, d, e = (graph.add("Any", name) for name in "abcde")

    assert a >> [b, c] >> d is d
    assert (d >> e) is e
    a >> b  # the same edge again
    graph.add("Any", "f", next=["a", b])

    edges = {each.identifier: each.next_nodes for each in graph.definition().nodes}
    assert edges == {"a": ("b", "c"), "b": ("d",), "c": ("d",), "d": ("e",), "e": (), "f": ("a", "b")}


def test_unites_in_every_spelling() -> None:
    graph = Graph("g")
    a = graph.add("Any", "a")
    for number, unites in enumerate((a, "a", Unites(a), Unites("a", UniteStrategy.ANY_SUCCESS))):
        graph.add("Any", f"u{number}", unites=unites)  # type: ignore[arg-type]

    found = [each.unites for each in graph.definition().nodes[1:]]

    assert [each.identifier for each in found if each] == ["a"] * 4
    assert [each.strategy.value for each in found if each] == ["ALL_SUCCESS"] * 3 + ["ANY_SUCCESS"]


def test_loops_options_and_inputs_called_as_arguments() -> None:
    graph = Graph("agent")
    think = graph.add(
        act,
        "think",
        inputs={"inputs": 1, "next": "x", "timeout": 3},
        retry=Retry.never(),
        timeout=timedelta(minutes=1),
    )
    again = graph.add(act, "act", namespace="shared")
    think >> again
    graph.loop(again, think, max_rounds=5)
    graph.loop(again, "act", max_rounds=2)

    definition = graph.build()

    first, second = definition.nodes
    assert first.inputs == {"inputs": 1, "next": "x", "timeout": 3}
    assert (first.timeout_seconds, first.retry_policy) == (60, RetryPolicy(max_retries=0))
    assert [(loop.to, loop.max_rounds) for loop in second.loops] == [("think", 5), ("act", 2)]
    assert second.namespace == "shared"


def test_triggers_store_and_secrets() -> None:
    graph = Graph(
        "nightly",
        store_defaults={"count": 0, "tags": ("a",)},
        store_required=["user"],
        secrets=["api_key", "more"],
    )
    graph.add(summarize, text=graph.store.user, words=graph.store.count)
    graph.cron(
        "0 3 * * *", timezone="Europe/Rome", store={"user": "u"}, name="night", overlap="skip", timeout=60
    )
    graph.cron("*/5 * * * 1-5", enabled=False, store={"user": "u"}, overlap=Overlap.ALLOW)

    definition = graph.build()

    assert definition.store_config.default_values == {"count": 0, "tags": ["a"]}
    assert definition.store_config.required_keys == ("user",)
    assert definition.secrets == ("api_key", "more")
    assert [trigger.name for trigger in definition.triggers] == ["night", None]
    assert definition.triggers[0].value.overlap is Overlap.SKIP
    assert not definition.triggers[1].value.enabled


def test_inputs_are_json_with_references_inside() -> None:
    class Options(BaseModel):
        size: int

    graph = Graph("g")
    a = graph.add("Any", "a")
    graph.add(
        "Any", "b", value=[a.outputs.x, (a.outputs.y, {"z": f"-{a.outputs.z}-"})], options=Options(size=1)
    )

    assert graph.definition().nodes[1].inputs == {
        "value": ["${{ a.outputs.x }}", ["${{ a.outputs.y }}", {"z": "-${{ a.outputs.z }}-"}]],
        "options": {"size": 1},
    }


def test_build_lists_every_problem() -> None:
    graph = Graph("wrong")
    graph.add(Split, text=3)
    graph.add(join, "lonely", summaries="x", unites="nowhere")
    graph.cron("often")

    with pytest.raises(InvalidGraph) as raised:
        graph.build()

    codes = {problem.code for problem in raised.value.problems}
    assert raised.value.message == f"Graph 'wrong' has {len(raised.value.problems)} problems."
    assert {"invalid_cron", "wrong_type"} <= codes


def test_a_reference_to_what_is_no_ancestor() -> None:
    graph = Graph("g")
    a = graph.add(Split, "a")
    b = graph.add(Split, "b", text=a.outputs.page)
    c = graph.add(Split, "c", text=b.outputs.page)
    a >> [b, c]

    with pytest.raises(InvalidGraph, match="no path leads from 'b' to 'c'"):
        graph.build()


def mistakes(graph: Graph) -> dict[str, Any]:
    a = graph.add(Split, "a")
    other = Graph("other").add(Split, "theirs")
    return {
        "identifier taken": lambda: graph.add(Split, "a"),
        "unknown input": lambda: graph.add(Split, "b", txt="x"),
        "identifier": lambda: graph.add(Split, "two words"),
        "reserved": lambda: graph.add(Split, "store"),
        "edge to another graph": lambda: a >> other,
        "edge to itself": lambda: a >> a,
        "edge to nothing": lambda: a >> [a, "b"],  # type: ignore[type-var]
        "reference of another graph": lambda: graph.add(Split, "c", text=other.outputs.page),
        "unites of another graph": lambda: graph.add(Split, "d", unites=other),
        "node as input": lambda: graph.add(Split, "e", text=a),
        "outputs as input": lambda: graph.add(Split, "f", text=a.outputs),
        "key that is no text": lambda: graph.add("Any", "g", value={1: 2}),
        "loop of another graph": lambda: graph.loop(a, other, max_rounds=1),
        "unknown identifier": lambda: graph["aa"],
        "graph name": lambda: Graph("two words"),
    }


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (
            "identifier taken",
            r"Graph 'g' has a node 'a' already; give this one another identifier: graph.add\(Split",
        ),
        ("unknown input", "Node 'b' has no input 'txt': did you mean 'text'"),
        ("identifier", "'two words' cannot be the identifier of a node"),
        ("reserved", "'store' cannot be the identifier of a node"),
        ("edge to another graph", "'a' and 'theirs' are in different graphs"),
        ("edge to itself", r"'a' cannot follow itself; to repeat a node use graph.loop\(a, a, max_rounds"),
        ("edge to nothing", "'b' is no node of a graph; >> joins what graph.add returned"),
        ("reference of another graph", "c.inputs.text refers to theirs.outputs.page of another graph"),
        ("unites of another graph", "'theirs' is in another graph than 'g'"),
        ("node as input", "e.inputs.text is a node; name one of its outputs: a.outputs.field"),
        ("outputs as input", "a.outputs is no value; name a part of it"),
        ("key that is no text", "g.inputs.value has the key 1; keys of JSON objects are text"),
        ("loop of another graph", "'theirs' is in another graph than 'g'"),
        ("unknown identifier", "Graph 'g' has no 'aa': did you mean 'a'"),
        ("graph name", "'two words' cannot be the name of a graph"),
    ],
)
def test_mistakes_are_told_at_their_line(mistake: str, message: str) -> None:
    with pytest.raises(InvalidGraph, match=message):
        mistakes(Graph("g"))[mistake]()


def test_other_mistakes() -> None:
    graph = Graph("g")

    with pytest.raises(InvalidNode, match="is no node"):
        graph.add(str)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match=r"a.inputs.text cannot be written as JSON"):
        graph.add(Split, "a", text=object())
    with pytest.raises(InvalidInput, match=r"The timeout of 'a' is 0 s; give a duration of more than 0 s"):
        graph.add(Split, "a", timeout=0)
    with pytest.raises(InvalidInput, match=r"store_defaults cannot be written as JSON"):
        Graph("g", store_defaults={"x": float("nan")})
    assert graph.definition().nodes == ()


def test_tags_are_references() -> None:
    graph = Graph("g", tags={"text": "${{ initial.inputs.text }}"})
    split = graph.add(Split, "split")
    graph.tags["page"] = split.outputs.page
    assert graph.build().tags == {"text": "${{ initial.inputs.text }}", "page": "${{ split.outputs.page }}"}
    assert Graph.from_definition(graph.build()).build().tags == graph.build().tags
    graph.tags = {"text": "${{ initial.inputs.texts }}", "page": "a page", "all": [split.outputs.page]}
    with pytest.raises(InvalidGraph) as refused:
        graph.build()
    assert [(problem.path, problem.code) for problem in refused.value.problems] == [
        ("tags.all", "wrong_type")
    ]
    del graph.tags["all"]
    with pytest.raises(InvalidGraph) as refused:
        graph.build()
    assert [(problem.path, problem.code) for problem in refused.value.problems] == [
        ("tags.text", "unknown_input"),
        ("tags.page", "invalid_placeholder"),
    ]
