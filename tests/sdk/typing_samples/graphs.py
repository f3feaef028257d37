"""Graphs and tests as users write them. mypy checks this file as it does `nodes`."""

from datetime import timedelta
from pathlib import Path
from typing import assert_type

from karman import Graph, GraphDefinition, PlacedNode, Reference, Retry, Unites, UniteStrategy, load_graph
from karman.testing import (
    Errored,
    RunResult,
    StateView,
    Succeeded,
    aexecute,
    arun,
    crash,
    execute,
    fail,
    run,
    stub,
)
from tests.sdk.typing_samples.nodes import InThread, Summarize, shorten

graph = Graph("digest", retry=Retry.fixed(3), timeout=timedelta(hours=1), store_defaults={"n": 1})
first = graph.add(InThread, text="x", words=graph.store.n)
second = graph.add(shorten, "second", text=f"{first.outputs.summary}!", retry=Retry.never(), timeout=5)
third = graph.add(Summarize, unites=Unites(first, UniteStrategy.ALL_DONE), text=second.outputs.result)
fourth = graph.add("TheirNode", "fourth", namespace="shared", next=[first, "second"], unites="first")
graph.outputs = {"text": third.outputs.summary}
graph.cron("* * * * *", timezone="Europe/Rome", overlap="skip")
graph.loop(third, first, max_rounds=3)

assert_type(first, PlacedNode)
assert_type(first >> second, PlacedNode)
assert_type(first >> [second, third], list[PlacedNode])
assert_type(first >> [second, third] >> fourth, PlacedNode)
assert_type([first, second] >> third >> fourth, PlacedNode)
assert_type(first.outputs.items[0].name, Reference)
assert_type(graph.build(), GraphDefinition)
assert_type(graph.to_yaml(), str)
assert_type(Graph.load(Path("g.yaml"), [Summarize, shorten]), Graph)
assert_type(load_graph("name: g", nodes=[shorten]), Graph)

first >> "second"  # type: ignore[type-var]
first >> [second, 3]  # type: ignore[type-var]
graph.add(str)  # type: ignore[arg-type]
graph.cron("* * * * *", overlap="maybe")  # type: ignore[arg-type]
graph.loop(third, first)  # type: ignore[call-arg]
Graph("g", timeout="1 h")  # type: ignore[arg-type]
graph.add(shorten, retry=3)  # type: ignore[arg-type]


def test_run() -> None:
    result = run(
        graph,
        {"text": "x"},
        store={"n": 2},
        secrets={"api_key": "x"},
        signals={"approval": {"by": "Ada"}},
        failures=[fail("second", times=2, error=ConnectionError), crash("third")],
        stubs=[stub("fourth", {"x": 1})],
        deliveries=2,
        within=timedelta(days=1),
    )
    assert_type(result, RunResult)
    assert_type(result.assert_succeeded(), RunResult)
    assert_type(result.states("second"), tuple[StateView, ...])
    assert_type(result.executions("second"), int)
    assert_type(result.elapsed, float)
    run(graph, failures=["second"])  # type: ignore[list-item]
    run(graph, delivery=2)  # type: ignore[call-arg]
    run(graph.build())  # type: ignore[arg-type]


def test_node() -> None:
    outcome = execute(shorten, text="abc", secrets={"key": "x"}, timeout=timedelta(seconds=1))
    if isinstance(outcome, Succeeded):
        assert outcome.outputs[0]["result"] == "abc"
    elif isinstance(outcome, Errored):
        assert_type(outcome.retry, bool)
    execute(shorten, secrets=3)  # type: ignore[arg-type]


async def test_in_async_tests() -> None:
    assert_type(await arun(graph), RunResult)
    await aexecute(Summarize, {"text": "x"}, attempt=2)
