"""The worker over HTTP, against the real application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest
from pydantic import BaseModel

from karman import (
    AsyncClient,
    Context,
    Graph,
    Node,
    NodeLike,
    RequeueAfter,
    RetryPolicy,
    Runtime,
    WaitFor,
    node,
)
from karman._internal.http import runtime as runtimes
from karman._internal.http import turns
from karman.client import Backoff, RunView
from karman.errors import InvalidNode, InvalidRequest, Unauthorized
from karman_functions.local import serving
from tests.api.client import ADMIN_KEY, NS, Api
from tests.client.conftest import URL
from tests.emulators import free_port
from tests.leaping import leap

QUICK = Backoff(retries=1, first_seconds=0)
SECONDS = 90
"""For what takes none, on a machine that stands still for a while."""


@asynccontextmanager
async def working(runtime: Runtime) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(runtime.run())
    try:
        yield task
    finally:
        runtime.stop()
        await task


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(SECONDS):
        while not await condition():  # noqa: ASYNC110 - what is waited for is on the server
            await asyncio.sleep(0.01)


async def stored(karman: AsyncClient, graph: Graph) -> None:
    """Store the graph, once its nodes are there."""

    async def valid() -> bool:
        return (await karman.put_graph(graph)).valid

    await until(valid)


class Number(BaseModel):
    n: int


class Split(Node):
    class Inputs(BaseModel):
        count: int

    Outputs = Number

    async def execute(self) -> list[Number]:
        self.ctx.store.set("split", True)
        return [Number(n=n) for n in range(self.inputs.count)]


class Double(Node):
    Inputs = Number
    Outputs = Number

    running = 0
    most = 0
    several: asyncio.Event
    """Some run at a time. Until then all wait."""

    async def execute(self) -> Number:
        cls = type(self)
        cls.running += 1
        cls.most = max(cls.most, cls.running)
        if cls.running > 1:
            cls.several.set()
        await cls.several.wait()
        await asyncio.sleep(0.05)
        cls.running -= 1
        self.ctx.store.increment("total", self.inputs.n)
        return Number(n=self.inputs.n * 2)


async def test_a_fanout_several_at_a_time(karman: AsyncClient) -> None:
    Double.running, Double.most, Double.several = 0, 0, asyncio.Event()
    graph = Graph("g")
    split = graph.add(Split, "split", count=8)
    split >> graph.add(Double, "double", n=split.outputs.n)
    async with working(Runtime([Split, Double], name="rt", client=karman, concurrency=4)):
        await stored(karman, graph)
        run = await karman.trigger("g", wait=True, wait_timeout=SECONDS)
        assert run.status == "SUCCEEDED"
        done = [state async for state in karman.states(run.run_id, identifier="double")]
        assert sorted(state.outputs[0]["n"] for state in done if state.outputs) == [0, 2, 4, 6, 8, 10, 12, 14]
        assert await karman.store(run.run_id) == {"split": True, "total": 28}
    assert 1 < Double.most <= 4


@node
def turned(ctx: Context) -> dict[str, object]:
    """In a thread; waits, is asked to run again, then ends."""
    if ctx.turn == 0:
        raise WaitFor("go", timeout=60)
    if ctx.turn == 1:
        assert ctx.resumed is not None
        ctx.store.set("payload", ctx.resumed.payload)
        raise RequeueAfter(0.001)
    return {"turn": ctx.turn}


@node
async def failing() -> None:
    message = "no"
    raise ValueError(message)


@node
async def huge() -> dict[str, str]:
    return {"text": "x" * 5_000_000}


async def ran(karman: AsyncClient, only: NodeLike, *, signal: str | None = None) -> RunView:
    """The run of a graph of one node, without retries."""
    graph = Graph("g", retry=RetryPolicy(max_retries=0))
    graph.add(only, "only")
    async with working(Runtime([only], name="rt", client=karman)):
        await stored(karman, graph)
        started = await karman.trigger(graph)
        if signal is not None:
            await karman.signal(started.run_id, signal, [1])
        return await karman.wait(started.run_id, timeout=SECONDS)


async def test_waits_and_requeues(karman: AsyncClient) -> None:
    run = await ran(karman, turned, signal="go")
    assert (run.status, run.result) == ("SUCCEEDED", {"turn": 2})
    assert await karman.store(run.run_id) == {"payload": [1]}


async def test_failures(karman: AsyncClient) -> None:
    run = await ran(karman, failing)
    assert (run.status, run.error) == ("FAILED", "only: ValueError: no")
    (state,) = [state async for state in karman.states(run.run_id)]
    assert "ValueError" in (state.attempts[0].traceback or "")


async def test_outputs_that_the_server_refuses_are_a_failure(karman: AsyncClient) -> None:
    run = await ran(karman, huge)
    assert (run.status, (run.error or "").split(": ")[1]) == ("FAILED", "payload_too_large")


class Held(Node):
    began: asyncio.Event
    end: asyncio.Event

    async def execute(self) -> None:
        self.began.set()
        await self.end.wait()


@pytest.fixture
async def held(karman: AsyncClient) -> Graph:
    Held.began, Held.end = asyncio.Event(), asyncio.Event()
    graph = Graph("held")
    graph.add(Held, "held")
    return graph


async def test_stopping_lets_nodes_finish(karman: AsyncClient, held: Graph) -> None:
    runtime = Runtime([Held], name="rt", client=karman)
    async with working(runtime) as task:
        await stored(karman, held)
        started = await karman.trigger("held")
        await Held.began.wait()
        runtime.stop()
        await asyncio.sleep(0.05)
        assert not task.done()
        Held.end.set()
    assert (await karman.run(started.run_id)).status == "SUCCEEDED"
    with pytest.raises(InvalidRequest, match="once"):
        await runtime.run()


async def test_a_lost_lease_is_not_reported(
    karman: AsyncClient, api: Api, held: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "BEATS_PER_LEASE", 60 / 0.02)
    async with working(Runtime([Held], name="rt", client=karman)):
        await stored(karman, held)
        started = await karman.trigger("held")
        await Held.began.wait()
        (state,) = [state async for state in karman.states(started.run_id)]
        # Somebody else reports it: without a lease, whichever there is counts.
        body = {"kind": "E", "message": "from elsewhere", "retry": False}
        assert (await api.call("POST", f"/work/{state.state_id}/error", body)).status == 200
        assert (await karman.wait(started.run_id, timeout=SECONDS)).error == "held: E: from elsewhere"


class Outage(httpx.AsyncBaseTransport):
    """A network that can be cut."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self.inner = inner
        self.down = False
        self.refused = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.down:
            self.refused += 1
            message = "refused"
            raise httpx.ConnectError(message, request=request)
        return await self.inner.handle_async_request(request)


async def test_an_outage_is_survived(
    karman: AsyncClient, asgi: httpx.ASGITransport, held: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(runtimes, "POLL_SECONDS", 0.2)
    network = Outage(asgi)
    network.down = True
    mine = AsyncClient(URL, api_key=ADMIN_KEY, namespace=NS, transport=network, backoff=QUICK)
    async with mine, working(Runtime([Held], name="rt", client=mine, backoff=Backoff(first_seconds=0.01))):
        await until_refused(network, 3)
        network.down = False
        await stored(karman, held)
        started = await karman.trigger("held")
        await Held.began.wait()
        network.down, network.refused = True, 0
        Held.end.set()
        await until_refused(network, 5)
        assert (await karman.run(started.run_id)).status == "RUNNING"
        network.down = False
        assert (await karman.wait(started.run_id, timeout=SECONDS)).status == "SUCCEEDED"
        assert (await karman.trigger("held", wait=True, wait_timeout=SECONDS)).status == "SUCCEEDED"


async def test_a_server_that_is_restarted(api: Api, held: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over real connections, with a poll under way when the server ends."""
    monkeypatch.setattr(turns, "_PAUSE_SECONDS", 0.01)
    quick = Backoff(retries=0, first_seconds=0.01, longest_seconds=0.1)
    async with AsyncExitStack() as stack:
        port = free_port()  # nobody takes it while the server is away
        async with serving(api.app, port=port) as url:
            own = AsyncClient(url, api_key=ADMIN_KEY, namespace=NS)
            await stack.enter_async_context(own)
            runtime = Runtime([Held], name="rt", url=url, api_key=ADMIN_KEY, namespace=NS, backoff=quick)
            await stack.enter_async_context(working(runtime))
            await stored(own, held)
            started = await own.trigger("held")
            await Held.began.wait()
        Held.end.set()
        await asyncio.sleep(0.1)
        api.restart()
        async with serving(api.app, port=port):
            assert (await own.wait(started.run_id, timeout=SECONDS)).status == "SUCCEEDED"
            assert (await own.trigger("held", wait=True, wait_timeout=SECONDS)).status == "SUCCEEDED"
            runtime.stop()


async def until_refused(network: Outage, times: int) -> None:
    async def refused() -> bool:
        return network.refused >= times

    await until(refused)


async def test_a_refused_key_ends_it(asgi: httpx.ASGITransport) -> None:
    async with AsyncClient(URL, api_key="wrong", transport=asgi) as client:
        with pytest.raises(Unauthorized):
            await Runtime([Held], name="rt", client=client).run()


@node(name="Held")
async def other_held() -> None: ...


async def test_bad_arguments() -> None:
    with pytest.raises(InvalidRequest, match="no nodes"):
        Runtime([], name="rt", url=URL)
    with pytest.raises(InvalidRequest, match="lease_seconds"):
        Runtime([Held], name="rt", url=URL, lease_seconds=5)
    with pytest.raises(InvalidNode):
        Runtime([Held, other_held], name="rt", url=URL)
    with pytest.raises(InvalidRequest, match="karman login"):
        Runtime([Held], name="rt")
    assert "Runtime 'rt' of 1 nodes" in repr(Runtime([Held], name="rt", url=URL, api_key="s3cret"))
    assert "s3cret" not in repr(Runtime([Held], name="rt", url=URL, api_key="s3cret"))


async def test_stopped_before_it_began(karman: AsyncClient) -> None:
    runtime = Runtime([Held], name="rt", client=karman)
    runtime.stop()
    await asyncio.wait_for(runtime.run(), SECONDS)


async def test_a_server_that_forgot_the_nodes_is_told_again_but_not_stormed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.path.rpartition("/")[2])
        return httpx.Response(200, json={"work": [], "registered": ["Held"], "broken": {}})

    async def asked(times: int) -> None:
        async def so_often() -> bool:
            return len(seen) >= times

        await until(so_often)

    client = AsyncClient(URL, transport=httpx.MockTransport(answer))
    monkeypatch.setattr(runtimes, "_QUICK_SECONDS", 1_000)
    async with working(Runtime([Held], name="rt", client=client)):
        for times in (2, 4, 6):
            await asked(times)
            await asyncio.sleep(0.05)
            assert seen == ["nodes", "poll"] * (times // 2)
            leap(1_000)
