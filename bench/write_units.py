"""What states cost on DynamoDB, in capacity units as DynamoDB Local reports them: `python -m bench write-units`.

The engine is the real one, and so is the table; the other ports are the embedded backend's, whose cost is counted as
calls. The units of a run's header are given apart: they are paid once a run, whatever its size.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import cast

from boto3 import Session
from pydantic import BaseModel

from karman import Graph, Node
from karman._internal.execution import NodeExecutor
from karman_core.backends.aws.clients import AwsClients
from karman_core.backends.aws.schema import create_table
from karman_core.backends.aws.settings import AwsSettings
from karman_core.backends.aws.table import DynamoDBTable
from karman_core.backends.embedded import EmbeddedBackend
from karman_core.backends.system import SystemClock, SystemEntropy
from karman_core.domain.definition import Concurrency
from karman_core.domain.quotas import NamespaceQuotas
from karman_core.engine import Engine
from karman_core.ports.backend import Backend
from karman_core.ports.table import Consumed

NAMESPACE, RUNTIME = "bench", "workers"
QUEUE = f"{NAMESPACE}/{RUNTIME}"


class Number(BaseModel):
    value: int = 0


class Count(Node):
    Inputs = Number
    Outputs = Number

    async def execute(self) -> Number:
        return Number(value=self.inputs.value + 1)


class Width(BaseModel):
    width: int


class Spread(Node):
    Inputs = Width
    Outputs = Number

    async def execute(self) -> list[Number]:
        return [Number(value=number) for number in range(self.inputs.width)]


class Numbers(BaseModel):
    values: list[int]


class Sum(Node):
    Inputs = Numbers
    Outputs = Number

    async def execute(self) -> Number:
        return Number(value=sum(self.inputs.values))


@dataclass(frozen=True, slots=True)
class Cost:
    """Capacity units of a run from its first message to its end, and how many states it had."""

    states: int
    write_units: float
    read_units: float
    messages: int


def chain(length: int) -> Graph:
    """So many nodes in a row."""
    graph = Graph("chain")
    last = graph.add(Count, "s0")
    for number in range(1, length):
        after = graph.add(Count, f"s{number}", value=last.outputs.value)
        last >> after
        last = after
    return graph


def fork(width: int) -> Graph:
    """A fork of so many branches of one state each, with a unite."""
    graph = Graph("fork")
    spread = graph.add(Spread, "spread", width=width)
    count = graph.add(Count, "count", value=spread.outputs.value)
    total = graph.add(Sum, "sum", values=count.outputs.value, unites=spread)
    spread >> count >> total
    return graph


async def chain_cost(endpoint: str, length: int) -> Cost:
    """The cost of a chain."""
    return await _cost(endpoint, chain(length))


async def fork_cost(endpoint: str, width: int) -> Cost:
    """The cost of a fork with a unite."""
    return await _cost(endpoint, fork(width))


async def whole_run_cost(
    endpoint: str,
    *,
    given: int = 0,
    declared: int = 0,
    concurrency: int | None = None,
    quota: int | None = None,
) -> Cost:
    """The cost of a run of one state from its trigger on, with so many tags given and declared of its outputs.

    `concurrency` limits how many runs of the graph go on, `quota` how many of the namespace.

    It is the second of its day: the first one notes the day, once a process.
    """
    graph = chain(1).build()
    tags = {f"output-{number}": "${{ s0.outputs.value }}" for number in range(declared)}
    async with backend_at(endpoint) as (backend, consumed):
        executor = NodeExecutor([Count])
        engine = Engine(backend, clock=SystemClock(), entropy=SystemEntropy(), executor=executor)
        await engine.register_nodes(NAMESPACE, executor.registered(RUNTIME))
        limit = None if concurrency is None else Concurrency(limit=concurrency)
        await engine.put_graph(NAMESPACE, graph.model_copy(update={"tags": tags, "concurrency": limit}))
        if quota is not None:
            await engine.quotas.set(NAMESPACE, NamespaceQuotas(concurrent_runs=quota))
        await engine.trigger(NAMESPACE, graph.name)
        await _drain(engine, backend)
        writes, reads = consumed.write_units, consumed.read_units
        await engine.trigger(NAMESPACE, graph.name, tags={f"given-{number}": "x" for number in range(given)})
        messages = await _drain(engine, backend)
        return Cost(1, consumed.write_units - writes, consumed.read_units - reads, messages)


async def _cost(endpoint: str, graph: Graph) -> Cost:
    async with backend_at(endpoint) as (backend, consumed):
        executor = NodeExecutor(graph.nodes)
        engine = Engine(backend, clock=SystemClock(), entropy=SystemEntropy(), executor=executor)
        await engine.register_nodes(NAMESPACE, executor.registered(RUNTIME))
        await engine.put_graph(NAMESPACE, graph.build())
        started = await engine.trigger(NAMESPACE, graph.name)
        writes, reads = consumed.write_units, consumed.read_units
        messages = await _drain(engine, backend)
        writes, reads = consumed.write_units - writes, consumed.read_units - reads
        run = await engine.get_run(NAMESPACE, started.run_id)
        return Cost(run.totals.succeeded, writes, reads, messages)


async def _drain(engine: Engine, backend: Backend) -> int:
    count = 0
    while messages := await backend.queue.receive(QUEUE, limit=10):
        for message in messages:
            await engine.process(QUEUE, message)
        await backend.queue.delete(QUEUE, [message.receipt for message in messages])
        count += len(messages)
    return count


@asynccontextmanager
async def backend_at(endpoint: str) -> AsyncIterator[tuple[Backend, Consumed]]:
    """A backend with a new table, and what the table's calls have used so far."""
    clock, entropy = SystemClock(), SystemEntropy()
    name = f"bench-{entropy.token()}"
    session = Session(aws_access_key_id="bench", aws_secret_access_key="bench")  # noqa: S106  the emulator takes any
    clients = AwsClients(AwsSettings(table_name=name, region="us-east-1", endpoint=endpoint), session)
    local = EmbeddedBackend.open(":memory:", clock=clock, entropy=entropy)
    try:
        await create_table(clients, name)
        table = DynamoDBTable(clients, name, clock, entropy)
        backend = SimpleNamespace(
            table=table,
            queue=local.queue,
            timers=local.timers,
            schedules=local.schedules,
            secrets=local.secrets,
            blobs=local.blobs,
            events=local.events,
            purge=local.purge,
            close=local.close,
        )
        yield cast("Backend", backend), table.consumed
    finally:
        local.close()
        clients.close()
