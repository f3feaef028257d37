"""The API with a worker on the same backend in this process, and nodes that make what no request can hold."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from karman import Context, Graph, Prune, Retry, WaitFor, node
from karman._internal.execution import NodeExecutor
from karman._internal.functions import FunctionNode
from karman_core.backends.system import SystemClock, SystemEntropy
from karman_core.engine import Engine
from karman_core.ports.queue import Depth
from karman_runtime.worker import Worker
from tests.api.client import NS, Api
from tests.api.test_bad_requests import everything


@node
def echo(value: Any) -> dict[str, Any]:
    return {"value": value}


@node
def odd(value: str) -> dict[str, Any]:
    """Outputs whose names are as hostile as the values."""
    return {"value": {value: [value, {value: value}]}}


@node
def fail(value: str) -> str:
    raise ValueError(value)


@node
def keep(value: str, ctx: Context) -> str:
    ctx.store.set("kept", {value: value})
    ctx.store.append("list", value)
    return "kept"


@node
def ask(value: str, ctx: Context) -> dict[str, Any]:
    if ctx.resumed is None:
        raise WaitFor("go")
    return {"value": ctx.resumed.payload}


@node
def wait_for(value: str, ctx: Context) -> str:
    raise WaitFor(value)


@node
def key(value: str, ctx: Context) -> str:
    ctx.store.set(value, 1)
    return "written"


@node
def surrogate(value: str) -> dict[str, Any]:
    """What no request can send, a node can make: the value is spelled with escapes."""
    return {"value": json.loads(f'"{value}"')}


@node
def fail_with_surrogate(value: str) -> str:
    raise ValueError(json.loads(f'"{value}"'))


@node
def deep(value: int, ctx: Context) -> dict[str, Any]:
    found: Any = 0
    for _ in range(value):
        found = [found]
    return {"value": found}


@node
def deep_in_store(value: int, ctx: Context) -> dict[str, Any]:
    found: Any = 0
    for _ in range(value):
        found = {"in": found}
    ctx.store.set("deep", found)
    return {"value": 1}


@node
def store_surrogate(value: str, ctx: Context) -> str:
    ctx.store.set("kept", json.loads(f'"{value}"'))
    return "kept"


@node
def store_key_surrogate(value: str, ctx: Context) -> str:
    ctx.store.set(json.loads(f'"{value}"'), 1)
    return "kept"


@node
def wait_for_surrogate(value: str) -> str:
    raise WaitFor(json.loads(f'"{value}"'))


@node
def signal_surrogate(value: str, ctx: Context) -> str:
    ctx.signal("go", json.loads(f'"{value}"'))
    return "sent"


@node
def prune_surrogate(value: str) -> str:
    raise Prune({"text": json.loads(f'"{value}"')})


OF_SURROGATES: list[FunctionNode[..., Any]] = [
    surrogate,
    fail_with_surrogate,
    store_surrogate,
    store_key_surrogate,
    wait_for_surrogate,
    signal_surrogate,
    prune_surrogate,
]
NODES: list[FunctionNode[..., Any]] = [
    echo,
    odd,
    fail,
    keep,
    ask,
    wait_for,
    key,
    deep,
    deep_in_store,
    *OF_SURROGATES,
]


class Place:
    """The API, and a worker on the same backend."""

    def __init__(self) -> None:
        self.api = Api()
        clock, entropy = SystemClock(), SystemEntropy()
        self.executor = NodeExecutor([each.node for each in NODES])
        self.engine = Engine(self.api.backend, clock=clock, entropy=entropy, executor=self.executor)
        self.queue = f"{NS}/rt"
        self.worker = Worker(self.engine, self.api.backend.queue, [self.queue], clock=clock)

    async def prepare(self) -> None:
        await self.engine.register_nodes(NS, self.executor.registered("rt"))
        for each in NODES:
            graph = Graph(each.node.__name__, retry=Retry.fixed(0, delay=0.001))
            graph.add(each)
            assert (await self.engine.put_graph(NS, graph.build())).valid

    async def run(self, graph: str, value: object, **more: object) -> dict[str, Any]:
        """A run that was acknowledged, as it ended or waits."""
        started = await self.api.call("POST", f"/graphs/{graph}/runs", {"inputs": {"value": value}, **more})
        assert started.status == 201, started.text
        return await self.ended(started.body["run_id"])

    async def ended(self, run_id: str, *, waits: bool = True) -> dict[str, Any]:
        """The run, once it has ended, or waits for a signal."""
        async with asyncio.timeout(100):
            while True:
                run = (await self.api.call("GET", f"/runs/{run_id}")).body
                if run["ended_ms"] is not None or (waits and run["status"] == "WAITING"):
                    return dict(run)
                await asyncio.sleep(0.005)

    async def quiet(self) -> None:
        """Return once the worker has nothing to do, and so changes nothing."""
        async with asyncio.timeout(100):
            while (depth := await self.api.backend.queue.depth(self.queue)) != Depth(0, 0, 0):
                assert depth.delayed == 0, depth
                await asyncio.sleep(0.005)

    async def refused(self, sent: dict[str, Any]) -> bool:
        """Whether a request was refused; then for a reason, and nothing has changed."""
        await self.quiet()
        before = await everything(self.api)
        answer = await self.api.send(sent)
        if answer.status < 400:
            return False
        assert answer.status in {400, 404, 413, 422}, answer.text
        assert answer.code
        assert await everything(self.api) == before
        return True


@asynccontextmanager
async def place() -> AsyncIterator[Place]:
    made = Place()
    await made.prepare()
    working = asyncio.create_task(made.worker.run())
    try:
        yield made
    finally:
        made.worker.stop()
        await working
        made.executor.close()
        made.api.backend.close()
