"""The application behind a real HTTP server on loopback."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from karman_core.domain.errors import Conflict
from karman_core.engine.views import RunView, Work
from karman_functions.local import serve, serving
from karman_functions.local.server import _listening
from tests.api.client import ADMIN_KEY, DEFINITION, NS, Api

SECONDS = 90
"""For what takes none, on a machine that stands still for a while."""


@asynccontextmanager
async def served(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        serving(api.app) as url,
        httpx.AsyncClient(
            base_url=f"{url}/v1/namespaces/{NS}", headers={"x-api-key": ADMIN_KEY}, timeout=SECONDS
        ) as client,
    ):
        yield client


async def test_a_run_from_its_definition_to_its_result(api: Api, capfd: pytest.CaptureFixture[str]) -> None:
    async with served(api) as client:
        nodes = {"runtime": "rt", "nodes": [{"name": "a"}]}
        assert (await client.put("/nodes", json=nodes)).json() == {"registered": ["a"], "broken": {}}
        definition = {**DEFINITION, "description": "größer ✓ " * 300}
        stored = await client.put("/graphs/g", json={"definition": definition})
        assert stored.headers["content-encoding"] == "gzip"
        assert stored.json()["definition"]["description"] == "größer ✓ " * 300

        polling = asyncio.create_task(client.post("/work/poll", json={"nodes": ["a"], "wait_seconds": 20}))
        started = await client.post("/graphs/g/runs", json={}, headers={"Idempotency-Key": "k,1"})
        run_id = started.json()["run_id"]
        waiting = asyncio.create_task(client.get(f"/runs/{run_id}", params={"wait_seconds": 20}))
        (work,) = (await polling).json()["work"]
        report = {"outputs": [{"x": 1}], "lease": work["lease"]}
        assert (await client.post(f"/work/{work['state_id']}/outputs", json=report)).status_code == 200
        run = (await waiting).json()
        assert (run["status"], run["result"], run["idempotency_key"]) == ("SUCCEEDED", {"x": 1}, "k,1")

        key = (await client.post("/keys", json={"name": "k", "scopes": ["read"]})).json()
        gone = await client.delete(f"/keys/{key['id']}")
        assert (gone.status_code, gone.content) == (204, b"")
        known = await client.get("/graphs/g", headers={"if-none-match": '"1"'})
        assert (known.status_code, known.content) == (304, b"")
    assert capfd.readouterr() == ("", "")


async def test_bad_requests_over_http(api: Api) -> None:
    async with served(api) as client:
        json_type = {"content-type": "application/json"}
        assert (await client.put("/nodes", content=b"\xff", headers=json_type)).status_code == 400
        assert (await client.put("/nodes", content=b"x" * 5_000_000)).status_code == 413
        assert (await client.put("/nodes", data={"a": "b"})).status_code == 415
        assert (await client.get("/nodes", headers={"x-api-key": "wrong"})).status_code == 401
        assert (await client.head("/nodes")).status_code == 405
        assert (await client.get("/runs?limit=1&limit=2")).status_code == 422
        assert (await client.get("/runs?graph=g%20h")).status_code == 422
        assert (await client.get("/runs/x%2Fy")).status_code == 404
        ids = {(await client.get("/nope")).headers["x-request-id"] for _ in range(3)}
        assert len(ids) == 3


async def test_many_clients_at_once(api: Api) -> None:
    await api.graph()
    async with served(api) as client:
        answers = await asyncio.gather(*(client.post("/graphs/g/runs", json={}) for _ in range(100)))
        assert {answer.status_code for answer in answers} == {201}
        assert len({answer.json()["run_id"] for answer in answers}) == 100


async def test_a_client_that_goes_away_takes_no_work(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    await api.graph()
    began, given_up = asyncio.Event(), asyncio.Event()
    poll = api.engine.poll

    async def watched(*arguments: Any, **options: Any) -> list[Work]:
        began.set()
        try:
            return await poll(*arguments, **options)
        except asyncio.CancelledError:
            given_up.set()
            raise

    monkeypatch.setattr(api.engine, "poll", watched)
    asked = {"nodes": ["a"], "wait_seconds": 20}
    async with served(api) as client, asyncio.timeout(SECONDS):
        leaving = asyncio.create_task(client.post("/work/poll", json=asked))
        await began.wait()
        leaving.cancel()
        await given_up.wait()
        await api.run()
        polled = await client.post("/work/poll", json=asked)
        assert len(polled.json()["work"]) == 1


async def test_stopping_answers_who_waits_and_lets_others_finish(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    await api.graph()
    run = await api.run()

    looked, began, let_go = asyncio.Event(), asyncio.Event(), asyncio.Event()
    get_run = api.engine.get_run

    async def look(namespace: str, run_id: str) -> RunView:
        looked.set()
        return await get_run(namespace, run_id)

    async def slow(namespace: str) -> list[str]:
        began.set()
        await let_go.wait()
        return ["slow"]

    monkeypatch.setattr(api.engine, "get_run", look)
    monkeypatch.setattr(api.engine, "list_graphs", slow)
    stop, urls = asyncio.Event(), asyncio.Queue[str]()
    server = asyncio.create_task(serve(api.app, stop=stop, ready=urls.put_nowait, grace_seconds=SECONDS))
    base = f"{await urls.get()}/v1/namespaces/{NS}"
    async with (
        httpx.AsyncClient(headers={"x-api-key": ADMIN_KEY}, timeout=SECONDS) as client,
        asyncio.timeout(SECONDS),
    ):
        waiting = asyncio.create_task(client.get(f"{base}/runs/{run}?wait_seconds=20"))
        finishing = asyncio.create_task(client.get(f"{base}/graphs"))
        await asyncio.gather(looked.wait(), began.wait())
        stop.set()
        refused = await waiting
        let_go.set()
        finished = await finishing
        await server
        assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
        assert finished.json() == {"graphs": ["slow"], "cursor": None}
        with pytest.raises(httpx.ConnectError):
            await client.get(f"{base}/graphs")


async def test_a_port_that_is_taken(api: Api) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Conflict, match=str(port)):
            await serve(api.app, port=port, stop=asyncio.Event())


def test_answers_are_sent_at_once() -> None:
    """Not only when the client has acknowledged their headers, which takes it 40 ms on a connection that is kept."""
    with (
        _listening("127.0.0.1", 0) as listener,
        socket.create_connection(listener.getsockname()),
        listener.accept()[0] as connection,
    ):
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_it_listens_on_loopback_alone(api: Api) -> None:
    async with serving(api.app) as url:
        assert url.startswith("http://127.0.0.1:")
