"""A whole run in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any, TypeAlias

from karman._internal.durations import Duration, to_milliseconds
from karman._internal.execution import NodeExecutor
from karman._internal.graph import Graph
from karman._internal.json_values import to_json
from karman._internal.node import declaration_of
from karman._internal.testing.clock import NumberedEntropy, SkippingClock
from karman._internal.testing.driving import Driver
from karman._internal.testing.executor import ScriptedExecutor
from karman._internal.testing.result import RunResult, known_identifiers
from karman._internal.testing.scripts import Fault, Stub
from karman._internal.testing.synchronous import run_sync
from karman.errors import InvalidInput
from karman_core.backends.embedded import EmbeddedBackend
from karman_core.domain.definition import GraphDefinition, RegisteredNode
from karman_core.domain.outcome import SentSignal
from karman_core.engine import Engine
from karman_core.engine.views import RunView, StateView

Signals: TypeAlias = Mapping[str, Any]
"""Payloads by name; a function is called for each payload."""

NAMESPACE = "test"
RUNTIME = "default"
MONTH = timedelta(days=30)


async def arun(  # noqa: PLR0913 - what a run may be given, named at the call
    graph: Graph,
    inputs: Mapping[str, Any] | None = None,
    *,
    store: Mapping[str, Any] | None = None,
    secrets: Mapping[str, str] | None = None,
    signals: Signals | None = None,
    failures: Iterable[Fault] = (),
    stubs: Iterable[Stub] = (),
    deliveries: int = 1,
    within: Duration = MONTH,
) -> RunResult:
    """Run a graph in this process, on the engine and backend that `karman dev` uses, in memory.

    Time does not pass by itself: when nothing is ready it jumps to what is due next, so that retries, delays and time-outs
    of signals take no time. Time-outs of nodes are of real time.

    Args:
        graph: what to run.
        inputs: of its first node.
        store: initial values of the run's store.
        secrets: values of the secrets that its nodes read.
        signals: payloads by name, sent whenever the run has nothing else to do and a state awaits that name. A value that
            is a function is called for each payload. A name that is not there is not sent: the wait times out, or the
            run is left WAITING.
        failures: what goes wrong, made by `fail` and `crash`.
        stubs: what is run in place of nodes, made by `stub`.
        deliveries: how often each message of the queues is delivered; 2 shows that nodes are right to be run again.
        within: time does not jump further than this after the start; a timedelta or seconds.

    Raises:
        InvalidGraph: if the graph has problems.
        InvalidInput: if inputs, store or secrets do not fit, or a failure or stub names no node of the graph.
    """
    definition = graph.build()
    plan = _Plan(graph, definition, tuple(failures), tuple(stubs))
    clock, entropy = SkippingClock(), NumberedEntropy()
    backend = EmbeddedBackend.open(":memory:", clock=clock, entropy=entropy)
    nodes = NodeExecutor(graph.nodes, clock=clock)
    executor = plan.executor(nodes)
    engine = Engine(backend, clock=clock, entropy=entropy, executor=executor)
    try:
        for namespace, registered in plan.registered():
            await engine.register_nodes(namespace, registered)
        await engine.put_graph(NAMESPACE, definition, secrets=plan.secrets(secrets or {}))
        started = await engine.trigger(
            NAMESPACE,
            definition.name,
            inputs=to_json(dict(inputs or {}), "inputs"),
            store=to_json(dict(store or {}), "store"),
        )
        answers = _Answers(engine, started.run_id, signals or {})
        driver = Driver(engine, backend, clock, deliveries=deliveries)
        await driver.drive(answers.give, clock.now_ms() + to_milliseconds(within, "within"))
        return await _result(engine, started.run_id, clock, executor, (*executor.signals, *answers.sent))
    finally:
        nodes.close()
        backend.close()


def run(graph: Graph, inputs: Mapping[str, Any] | None = None, **options: Any) -> RunResult:
    """As `arun`, for tests that are no `async def`."""
    return run_sync(arun(graph, inputs, **options), "arun")
