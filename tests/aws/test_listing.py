"""Lists by tag, by time and of namespaces on DynamoDB, as DynamoDB Local has it."""

from __future__ import annotations

from typing import Any

from bench.write_units import NAMESPACE, backend_at, chain
from karman._internal.execution import NodeExecutor
from karman_core.engine import Engine
from karman_core.engine.access import AccessKeys, Scope
from tests.scenario.clock import START_MS, ManualClock, SeededEntropy

DAY_MS = 86_400_000


async def found(engine: Engine, limit: int, **filters: Any) -> list[str]:
    runs: list[str] = []
    cursor = None
    while True:
        page = await engine.list_runs(NAMESPACE, limit=limit, cursor=cursor, **filters)
        runs += [run.run_id for run in page.runs]
        cursor = page.cursor
        if cursor is None:
            return runs


async def test_runs_by_tag_and_time(endpoint: str) -> None:
    clock = ManualClock()
    async with backend_at(endpoint) as (backend, _):
        executor = NodeExecutor(chain(1).nodes)
        engine = Engine(backend, clock=clock, entropy=SeededEntropy(), executor=executor)
        await engine.register_nodes(NAMESPACE, executor.registered("rt"))
        await engine.put_graph(NAMESPACE, chain(1).build())
        runs = []
        for number in range(6):
            clock.advance_to(START_MS + number * DAY_MS // 2)
            runs.append(
                (await engine.trigger(NAMESPACE, "chain", tags={"odd": str(number % 2), "t": "ü:"})).run_id
            )
        runs.reverse()
        for limit in (1, 2, 50):
            assert await found(engine, limit) == await found(engine, limit, graph="chain") == runs
            assert await found(engine, limit, tags={"t": "ü:"}) == runs
            assert await found(engine, limit, tags={"t": "ü:", "odd": "1"}) == runs[::2]
            span = {"since_ms": START_MS + DAY_MS, "until_ms": START_MS + 2 * DAY_MS}
            assert await found(engine, limit, **span) == runs[2:4]
            assert await found(engine, limit, tags={"odd": "0"}, **span) == [runs[3]]
        assert (await engine.overview.statistics(NAMESPACE)).runs == 6


async def test_namespaces(endpoint: str) -> None:
    clock, entropy = ManualClock(), SeededEntropy()
    async with backend_at(endpoint) as (backend, _):
        engine = Engine(backend, clock=clock, entropy=entropy)
        for name in ("b", "a-1", "a"):
            assert (await engine.overview.create_namespace(name)).created_ms == START_MS
        await AccessKeys(backend.table, clock, entropy).issue("keyed", "k", [Scope.READ])
        assert await engine.overview.namespaces(10) == ["a", "a-1", "b", "keyed"]
        assert await engine.overview.namespaces(1, "a") == ["a-1"]
        assert await engine.overview.namespaces(2, "a-1") == ["b", "keyed"]
