"""Every method against the real application."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
import pytest
from pydantic import BaseModel

from karman import AsyncClient, Graph, Node
from karman.client import RunView, Scope
from karman.errors import (
    Conflict,
    Forbidden,
    InvalidGraph,
    InvalidInput,
    InvalidRequest,
    NotFound,
    StillRunning,
    Unauthorized,
)
from karman_core.domain.definition import RegisteredNode
from karman_core.domain.outcome import (
    Awaiting,
    Effects,
    Errored,
    Pruned,
    Requeued,
    SentSignal,
    StoreAppend,
    StoreDelete,
    StoreIncrement,
    StoreSet,
    Succeeded,
)
from karman_core.engine.views import Work
from tests.api.client import NS, OTHER, Api
from tests.client.conftest import URL


async def leased(karman: AsyncClient) -> Work:
    (work,) = await karman.poll(["a"], wait_seconds=20)
    return work


async def test_health_needs_no_key(asgi: httpx.ASGITransport) -> None:
    async with AsyncClient(URL, transport=asgi) as karman:
        assert (await karman.health()).status == "ok"
        with pytest.raises(Unauthorized) as caught:
            await karman.node("a")
    assert any(note.startswith("request id: ") for note in caught.value.__notes__)


async def test_nodes(karman: AsyncClient) -> None:
    nodes = [RegisteredNode(name=f"n{number}", runtime="rt", secrets=("s",)) for number in range(5)]
    assert (await karman.register_nodes("rt", nodes)).registered == tuple(node.name for node in nodes)
    assert [node async for node in karman.nodes(page_size=2)] == nodes
    assert await karman.node("n3") == nodes[3]
    with pytest.raises(NotFound):
        await karman.node("other")


async def test_graphs_and_versions(karman: AsyncClient, api: Api) -> None:
    await api.graph()
    first = {"name": "g", "nodes": [{"identifier": "a", "node_name": "a"}], "description": "two"}
    assert (await karman.put_graph(first, secrets={"key": "value"})).valid
    stored = await karman.put_graph({**first, "description": "three"})
    assert (stored.namespace, stored.version, stored.definition.description) == (NS, 3, "three")
    assert [graph async for graph in karman.graphs()] == ["g"]
    assert (await karman.graph("g")).version == 3
    assert (await karman.graph("g", 2)).definition.description == "two"
    assert [version.version async for version in karman.versions("g", page_size=1)] == [3, 2, 1]
    assert not (await karman.put_graph(stored.definition)).changed


async def test_problems_of_a_graph_come_whole(karman: AsyncClient) -> None:
    wrong = {"name": "g", "nodes": [{"identifier": "a", "node_name": "nobody", "next_nodes": ["b"]}]}
    checked = await karman.check_graph(wrong)
    assert not checked.valid
    stored = await karman.put_graph(wrong)
    assert stored.problems == checked.problems
    assert {problem.code for problem in stored.problems} >= {"unknown_node"}
    with pytest.raises(InvalidGraph) as caught:
        await karman.put_graph({"name": "g", "nodes": "none"})
    assert caught.value.problems[0].path == "nodes"
    with pytest.raises(InvalidInput, match="no name"):
        await karman.put_graph({"nodes": []})


async def test_a_graph_of_the_builder(karman: AsyncClient) -> None:
    class Greet(Node):
        class Inputs(BaseModel):
            name: str

        async def execute(self) -> None: ...

    graph = Graph("greeting")
    graph.add(Greet, "greet", name="Ada")
    await karman.register_nodes("rt", [RegisteredNode(name="Greet", runtime="rt")])
    assert (await karman.check_graph(graph)).valid
    assert (await karman.put_graph(graph)).valid
    assert (await karman.trigger(graph)).created


async def test_a_run_begins_once(karman: AsyncClient, api: Api) -> None:
    await api.graph()
    options = {"inputs": {"x": 1}, "tags": {"t": "v"}, "delay": 5, "timeout": timedelta(hours=1)}
    first = await karman.trigger("g", idempotency_key="k", **options)  # type: ignore[call-overload]
    again = await karman.trigger("g", idempotency_key="k", **options)  # type: ignore[call-overload]
    assert (first.created, again.created, again.run_id) == (True, False, first.run_id)
    run = await karman.run(first.run_id)
    assert (run.status, run.inputs, run.tags, run.idempotency_key) == ("QUEUED", {"x": 1}, {"t": "v"}, "k")
    assert run.starts_ms - run.created_ms == 5_000
    assert run.deadline_ms - run.created_ms in {3_600_000, 3_605_000}
    assert (await karman.trigger("g")).run_id != (await karman.trigger("g")).run_id
    with pytest.raises(Conflict):
        await karman.trigger("g", {"x": 2}, idempotency_key="k")
    with pytest.raises(InvalidInput):
        await karman.trigger("g", {"x": float("nan")})
    with pytest.raises(InvalidInput):
        await karman.trigger("g", idempotency_key="ö")


async def test_lists_of_runs(karman: AsyncClient, api: Api) -> None:
    await api.graph()
    ids = [await api.run() for _ in range(5)]
    newest = [run.run_id async for run in karman.runs(page_size=2)]
    assert sorted(newest) == sorted(ids)
    page = await karman.runs_page(graph="g", limit=3)
    rest = await karman.runs_page(graph="g", limit=3, cursor=page.cursor)
    assert [run.run_id for run in (*page.items, *rest.items)] == newest
    assert [run async for run in karman.runs(since=datetime(2999, 1, 1, tzinfo=UTC))] == []
    assert [run async for run in karman.runs(status="FAILED")] == []
    with pytest.raises(InvalidInput, match="time zone"):
        karman.runs(since=datetime(2999, 1, 1))  # noqa: DTZ001 - the point
    with pytest.raises(InvalidRequest) as caught:
        await karman.runs_page(status="ODD")
    assert caught.value.problems


async def test_operating_a_run(karman: AsyncClient, api: Api) -> None:
    await api.graph()
    run_id = await api.run()
    assert (await karman.pause(run_id)).status == "PAUSED"
    assert (await karman.resume(run_id)).status == "RUNNING"
    work = await leased(karman)
    await karman.report(
        work.state_id, Errored("E", "failed", "trace", retry=False, bases=("B",)), lease=work.lease
    )
    failed = await karman.wait(run_id)
    assert (failed.status, failed.error) == ("FAILED", "a: E: failed")
    (state,) = [state async for state in karman.states(run_id, identifier="a", page_size=1)]
    assert (state.status, state.attempts[0].error_kind) == ("FAILED", "E")
    assert (await karman.states_page(run_id, status="FAILED")).items == (state,)
    assert (await karman.retry(run_id)).status == "RUNNING"
    assert (await karman.retry(run_id)).epoch == 1
    assert (await karman.cancel(run_id)).status == "CANCELLED"
    with pytest.raises(Conflict):
        await karman.retry(run_id)


async def test_work_with_effects(karman: AsyncClient, api: Api) -> None:
    await api.graph()
    run_id = await api.run()
    work = await leased(karman)
    told = await karman.heartbeat(work.state_id, work.lease, lease_seconds=600)
    assert (told.until_ms > work.until_ms, told.cancelled) == (True, False)
    writes = (StoreSet("k", [1]), StoreAppend("k", 2), StoreIncrement("n", 2), StoreDelete("level"))
    waits = Awaiting("go", 60_000, Effects(writes))
    report = await karman.report(work.state_id, waits, lease=work.lease)
    assert (report.status, report.repeated) == ("WAITING", False)
    assert (await karman.report(work.state_id, waits, lease=work.lease)).repeated
    assert await karman.store(run_id) == {"k": [1, 2], "n": 2}
    assert await karman.awaited(run_id) == ("go",)
    await karman.signal(run_id, "go", {"by": "Ada"}, signal_id="s1")
    work = await leased(karman)
    assert work.resumed == {"signal": "go", "payload": {"by": "Ada"}, "timed_out": False}
    sent = Effects((), (SentSignal("other", 1),))
    await karman.report(work.state_id, Requeued(1, sent), lease=work.lease)
    work = await leased(karman)
    await karman.report(work.state_id, Succeeded(({"x": 1},)), lease=work.lease)
    assert (await karman.wait(run_id)).result == {"x": 1}
    with pytest.raises(Conflict):
        await karman.report(work.state_id, Pruned({}), lease=work.lease)


async def test_waiting_and_progress(karman: AsyncClient, api: Api) -> None:
    await api.graph()
    seen: list[RunView] = []
    with pytest.raises(StillRunning) as caught:
        await karman.trigger("g", wait=True, wait_timeout=0.05, on_progress=seen.append)
    run_id = caught.value.run.run_id
    assert [run.run_id for run in seen] == [run_id]
    work = await leased(karman)
    await karman.report(work.state_id, Pruned({"why": 1}), lease=work.lease)
    run = await karman.wait(run_id, on_progress=seen.append)
    assert run.ended
    assert seen[-1] == run


async def test_triggers(karman: AsyncClient, api: Api) -> None:
    await api.graph()
    (trigger,) = [each async for each in karman.triggers()]
    assert (trigger.graph, trigger.timezone, len(trigger.next_ms)) == ("g", "Europe/Berlin", 5)
    assert [each async for each in karman.triggers("g")] == [trigger]
    assert (await karman.fire("g", trigger.trigger)).created
    with pytest.raises(NotFound):
        await karman.fire("g", "other")


async def test_keys_are_shown_once_and_never_in_a_repr(
    karman: AsyncClient, asgi: httpx.ASGITransport
) -> None:
    issued = await karman.issue_key("reader", [Scope.READ])
    assert issued.key.startswith(f"karman.{NS}.")
    assert issued.key not in repr(issued)
    async with AsyncClient(URL, api_key=issued.key, namespace=NS, transport=asgi) as reader:
        assert [run async for run in reader.runs()] == []
        with pytest.raises(Forbidden):
            await reader.trigger("g")
        assert issued.key not in repr([reader, vars(reader)])
    async with AsyncClient(URL, api_key=issued.key, namespace=OTHER, transport=asgi) as stranger:
        with pytest.raises(Forbidden):
            await stranger.run("r1")
    (listed,) = [key async for key in karman.keys()]  # noqa: SIM118 - no mapping
    assert (listed.id, listed.scopes) == (issued.id, (Scope.READ,))
    assert (await karman.rotate_key(issued.id, overlap_seconds=0)).key != issued.key
    await karman.revoke_key(issued.id)
    with pytest.raises(NotFound):
        await karman.revoke_key(issued.id)


async def test_what_is_no_name_reaches_no_other_route(karman: AsyncClient) -> None:
    for odd in ("../g", "g/runs", "g?x=1", "g%2F", "ä"):
        with pytest.raises((NotFound, InvalidRequest)):
            await karman.graph(odd)
    with pytest.raises(InvalidInput):
        await karman.run("..")
