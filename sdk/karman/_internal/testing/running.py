"""A whole run in this process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, TypeAlias

from karman._internal.durations import Duration, to_milliseconds
from karman._internal.execution import NodeExecutor
from karman._internal.graph import Graph
from karman._internal.json_values import to_json
from karman._internal.testing.clock import NumberedEntropy, SkippingClock
from karman._internal.testing.driving import Driver
from karman._internal.testing.executor import ScriptedExecutor
from karman._internal.testing.plan import NAMESPACE, Plan
from karman._internal.testing.result import RunResult
from karman._internal.testing.scripts import Fault, Stub
from karman._internal.testing.synchronous import synchronous
from karman_core.backends.embedded import EmbeddedBackend
from karman_core.domain.outcome import SentSignal
from karman_core.engine import Engine
from karman_core.engine.views import StateView

Signals: TypeAlias = Mapping[str, Any]
"""Payloads by name; a function is called for each payload."""

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

    Time does not pass by itself: when nothing is ready it jumps to what is due next, so that retries, delays and
    time-outs of signals take no time. Time-outs of nodes are of real time.

    Args:
        graph: what to run.
        inputs: of its first node.
        store: initial values of the run's store.
        secrets: values of the secrets that its nodes read.
        signals: payloads by name, sent whenever the run has nothing else to do and a state awaits that name. A value
            that is a function is called for each payload. A name that is not there is not sent: the wait times out, or
            the run is left WAITING.
        failures: what goes wrong, made by `fail` and `crash`.
        stubs: what is run in place of nodes, made by `stub`.
        deliveries: how often each message of the queues is delivered; 2 shows that nodes are right to be run again.
        within: time does not jump further than this after the start; a timedelta or seconds.

    Raises:
        InvalidGraph: if the graph has problems.
        InvalidInput: if inputs, store or secrets do not fit, or a failure or stub names no node of the graph.
    """
    definition = graph.build()
    plan = Plan(graph, definition, tuple(failures), tuple(stubs))
    plan.check()
    values = plan.secrets(secrets or {})
    clock, entropy = SkippingClock(), NumberedEntropy()
    backend = EmbeddedBackend.open(":memory:", clock=clock, entropy=entropy)
    nodes = NodeExecutor(graph.nodes, clock=clock)
    executor = plan.executor(nodes)
    engine = Engine(backend, clock=clock, entropy=entropy, executor=executor)
    try:
        for namespace, registered in plan.registered().items():
            await engine.register_nodes(namespace, registered)
        await engine.put_graph(NAMESPACE, definition, secrets=values)
        started = await engine.trigger(
            NAMESPACE,
            definition.name,
            inputs=to_json(dict(inputs or {}), "inputs"),
            store=to_json(dict(store or {}), "store"),
        )
        answers = _Answers(engine, started.run_id, signals or {})
        driver = Driver(engine, backend, clock, deliveries=deliveries)
        until_ms = clock.now_ms() + to_milliseconds(within, "within")
        await driver.drive(ended=answers.ended, act=answers.give, until_ms=until_ms)
        return await _result(engine, started.run_id, plan, clock, executor, answers.sent)
    finally:
        nodes.close()
        backend.close()


run = synchronous(arun)
"""As `arun`, for tests that are no `async def`."""


class _Answers:
    """Sends the signals that the test has for those that wait."""

    def __init__(self, engine: Engine, run_id: str, payloads: Signals) -> None:
        self._engine = engine
        self._run_id = run_id
        self._payloads = payloads
        self.sent: list[SentSignal] = []

    async def ended(self) -> bool:
        """Whether nobody needs an answer any more."""
        return (await self._engine.get_run(NAMESPACE, self._run_id)).ended

    async def give(self) -> bool:
        """Send what the run awaits; whether anything was sent."""
        view = await self._engine.get_run(NAMESPACE, self._run_id)
        names = [name for name in dict.fromkeys(view.awaiting) if name in self._payloads]
        for name in names:
            payload = self._payloads[name]
            signal = SentSignal(
                name, to_json(payload() if callable(payload) else payload, f"signals['{name}']")
            )
            await self._engine.signal(NAMESPACE, self._run_id, name, signal.payload)
            self.sent.append(signal)
        return bool(names)


async def _result(
    engine: Engine,
    run_id: str,
    plan: Plan,
    clock: SkippingClock,
    executor: ScriptedExecutor,
    sent: Iterable[SentSignal],
) -> RunResult:
    view = await engine.get_run(NAMESPACE, run_id)
    states: list[StateView] = []
    cursor = None
    while True:
        page = await engine.list_states(NAMESPACE, run_id, cursor=cursor, limit=1000)
        states.extend(page.states)
        cursor = page.cursor
        if cursor is None:
            break
    return RunResult(
        view=view,
        all_states=tuple(states),
        store=await engine.read_store(NAMESPACE, run_id),
        signals=(*executor.signals, *sent),
        elapsed=((view.ended_ms or clock.now_ms()) - view.created_ms) / 1000,
        counts=dict(executor.executions),
        identifiers=plan.identifiers,
    )
