"""Slots on DynamoDB Local: that the transactions are taken as they are written, what they cost, and who may go on."""

from __future__ import annotations

import asyncio

import pytest

from bench.write_units import NAMESPACE, QUEUE, RUNTIME, Count, backend_at, whole_run_cost
from karman import Concurrency, Graph
from karman._internal.execution import NodeExecutor
from karman_core.backends.system import SystemClock, SystemEntropy
from karman_core.domain.errors import QuotaExceeded
from karman_core.domain.graph import compile_graph
from karman_core.domain.quotas import NamespaceQuotas
from karman_core.engine import Engine, keys
from karman_core.ports.backend import Backend
from karman_core.ports.table import Query
from tests.aws.test_capacity import RUN_UNITS

SLOT_UNITS = 5
"""Two transactions of two items, and the end of a count that is zero. The service doubles the units of transactions."""

QUOTA_UNITS = 4
"""The same; the count of a namespace stays."""


@pytest.mark.parametrize(
    ("concurrency", "quota", "more"),
    [
        (None, None, 0),
        (5, None, SLOT_UNITS),
        (None, 5, QUOTA_UNITS),
        (1_000_000, 5, SLOT_UNITS + QUOTA_UNITS),
    ],
)
async def test_a_run_pays_for_the_slots_that_it_holds_whatever_the_limit(
    endpoint: str, concurrency: int | None, quota: int | None, more: int
) -> None:
    cost = await whole_run_cost(endpoint, concurrency=concurrency, quota=quota)
    assert cost.write_units == RUN_UNITS + cost.states + more


def limited(limit: int) -> Graph:
    graph = Graph("limited", concurrency=Concurrency(limit))
    graph.add(Count)
    return graph


async def work(engine: Engine, backend: Backend) -> None:
    while messages := await backend.queue.receive(QUEUE, limit=10):
        await asyncio.gather(*(engine.process(QUEUE, message) for message in messages))
        await backend.queue.delete(QUEUE, [message.receipt for message in messages])


async def test_runs_that_come_at_once_go_on_one_after_another(endpoint: str) -> None:
    async with backend_at(endpoint) as (backend, _):
        executor = NodeExecutor([Count])
        engine = Engine(backend, clock=SystemClock(), entropy=SystemEntropy(), executor=executor)
        await engine.register_nodes(NAMESPACE, executor.registered(RUNTIME))
        await engine.put_graph(NAMESPACE, limited(2).build())
        started = await asyncio.gather(*(engine.trigger(NAMESPACE, "limited") for _ in range(6)))

        await work(engine, backend)

        found = [(await engine.get_run(NAMESPACE, each.run_id)).status for each in started]
        assert found == ["SUCCEEDED"] * 6
        (pool,) = {keys.slots_of(NAMESPACE, "limited", limited_scope())}
        assert (await backend.table.query(Query(pool))).items == []


def limited_scope() -> str:

    slot = compile_graph(limited(2).build()).slot({})
    assert slot is not None
    return slot.scope


async def test_triggers_that_come_at_once_get_as_many_slots_as_the_quota_has(endpoint: str) -> None:
    async with backend_at(endpoint) as (backend, _):
        executor = NodeExecutor([Count])
        engine = Engine(backend, clock=SystemClock(), entropy=SystemEntropy(), executor=executor)
        await engine.register_nodes(NAMESPACE, executor.registered(RUNTIME))
        await engine.put_graph(NAMESPACE, limited(9).build())
        await engine.quotas.set(NAMESPACE, NamespaceQuotas(concurrent_runs=3))

        triggers = (engine.trigger(NAMESPACE, "limited") for _ in range(8))
        found = await asyncio.gather(*triggers, return_exceptions=True)

        refused = [each for each in found if isinstance(each, QuotaExceeded)]
        assert (len(refused), len(found)) == (5, 8)
        await work(engine, backend)
        count = await backend.table.get(keys.slot_count(keys.slots(NAMESPACE)))
        assert count is not None
        assert count["held"] == 0
