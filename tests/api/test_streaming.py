"""Server-sent events of a run, from a real server on loopback."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from karman_functions.api import Limits
from karman_functions.local import serving, streaming
from tests.api.client import ADMIN_KEY, NS, Api
from tests.api.routes import World, prepare

STREAM = {"accept": "text/event-stream", "x-api-key": ADMIN_KEY}


@pytest.fixture(autouse=True)
def _lively(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "POLL_SECONDS", 0.2)
    monkeypatch.setattr(streaming, "PAUSE_SECONDS", 0.01)


def path(world: World) -> str:
    return f"/v1/namespaces/{NS}/runs/{world.run}/events"


async def messages(response: httpx.Response) -> AsyncIterator[dict[str, str]]:
    """Events as they come; a comment is an empty one."""
    event: dict[str, str] = {}
    async for line in response.aiter_lines():
        if not line:
            yield event
            event = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(": ")
            event[name] = value


async def finish(api: Api, world: World) -> None:
    await api.call("POST", f"/work/{world.state}/outputs", {"outputs": [{"x": "ü"}]})


async def test_a_stream_ends_with_its_run(api: Api) -> None:
    world = await prepare(api)
    async with serving(api.app) as url, httpx.AsyncClient(base_url=url, timeout=30) as client:
        headers = {**STREAM, "accept-encoding": "gzip"}
        async with client.stream("GET", path(world), headers=headers) as response:
            assert response.status_code == 200
            assert response.headers["content-type"] == "text/event-stream"
            assert response.headers["cache-control"] == "no-store"
            stream = messages(response)
            first = await anext(stream)
            assert await anext(stream) == {}  # nothing has happened: a sign of life
            await finish(api, world)
            rest = [message async for message in stream if message]
        runs = [json.loads(each["data"])["run"] for each in (first, *rest) if each["event"] == "run"]
        assert [run["status"] for run in runs] == ["RUNNING", "SUCCEEDED"]
        assert runs[-1]["result"] == {"x": "ü"}
        assert (first["event"], rest[-1]) == ("run", {"event": "end", "data": "{}"})
        poll = await api.call("GET", path(world))
        assert rest[0]["id"] == poll.body["digest"]
        assert json.loads(rest[0]["data"]) == poll.body


async def test_who_comes_back_is_told_of_news_alone(api: Api) -> None:
    world = await prepare(api)
    digest = (await api.call("GET", path(world))).body["digest"]
    async with serving(api.app) as url, httpx.AsyncClient(base_url=url, timeout=30) as client:
        for headers, query in (({"last-event-id": digest}, {}), ({}, {"after": digest})):
            async with client.stream("GET", path(world), headers=STREAM | headers, params=query) as response:
                assert await anext(messages(response)) == {}
        await finish(api, world)
        headers = {**STREAM, "last-event-id": digest}
        got = await client.get(path(world), headers=headers)
        assert [line for line in got.text.splitlines() if line.startswith("event")] == [
            "event: run",
            "event: end",
        ]


async def test_what_is_no_success_is_answered_as_it_is(api: Api) -> None:
    world = await prepare(api)
    async with serving(api.app) as url, httpx.AsyncClient(base_url=url, timeout=30) as client:
        cases: list[tuple[str, dict[str, Any], int]] = [
            (path(world), {"headers": {**STREAM, "x-api-key": "wrong"}}, 401),
            (path(world).replace(world.run, "r0"), {"headers": STREAM}, 404),
            (path(world), {"headers": STREAM, "params": {"odd": "1"}}, 422),
        ]
        for where, more, status in cases:
            got = await client.get(where, **more)
            assert (got.status_code, got.headers["content-type"]) == (status, "application/problem+json")
        plain = await client.get(path(world), headers={"x-api-key": ADMIN_KEY, "accept": "*/*"})
        assert plain.json()["run"]["run_id"] == world.run
        posted = await client.post(path(world), headers=STREAM)
        assert posted.status_code == 405


async def test_a_stream_ends_when_the_server_stops(api: Api) -> None:
    world = await prepare(api)
    async with httpx.AsyncClient(timeout=30) as client:
        async with serving(api.app, grace_seconds=20) as url:
            response = await client.send(
                client.build_request("GET", url + path(world), headers=STREAM), stream=True
            )
            stream = messages(response)
            assert (await anext(stream))["event"] == "run"
        rest = await asyncio.wait_for(_all(stream), 90)
        assert all(message == {} for message in rest)
        await response.aclose()


async def _all(stream: AsyncIterator[dict[str, str]]) -> list[dict[str, str]]:
    return [message async for message in stream]


async def test_nobody_polls_for_a_client_that_is_gone(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    world = await prepare(api)
    polls = 0
    progress = api.engine.overview.progress

    async def counted(namespace: str, run_id: str) -> Any:
        nonlocal polls
        polls += 1
        return await progress(namespace, run_id)

    monkeypatch.setattr(api.engine.overview, "progress", counted)
    async with serving(api.app) as url, httpx.AsyncClient(base_url=url, timeout=30) as client:
        async with client.stream("GET", path(world), headers=STREAM) as response:
            await anext(messages(response))
        await _still(lambda: polls)


async def _still(count: Any) -> None:
    """Wait until nothing counts any more; within a while it must be so."""
    for _ in range(50):
        before = count()
        await asyncio.sleep(0.5)
        if count() == before:
            return
    raise AssertionError("It goes on.")


async def test_a_key_that_is_revoked_ends_its_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api(limits=Limits(requests_per_second=None, failures_per_second=None))
    world = await prepare(api)
    key = await api.key("read")
    async with serving(api.app) as url, httpx.AsyncClient(base_url=url, timeout=30) as client:
        async with client.stream("GET", path(world), headers={**STREAM, "x-api-key": key}) as response:
            stream = messages(response)
            assert (await anext(stream))["event"] == "run"
            for view in await api.app.services.keys.list(NS):
                await api.app.services.keys.revoke(NS, view.id)
            last = [message async for message in stream if message][-1]
        assert (last["event"], json.loads(last["data"])["code"]) == ("error", "unauthorized")
    api.backend.close()


@pytest.mark.slow
async def test_a_stream_waits_where_its_key_has_asked_too_often() -> None:
    slowly = Limits(requests_per_second=1e-6, burst=40, failures_per_second=None)
    api = Api(limits=slowly)
    world = await prepare(api)
    async with (
        serving(api.app) as url,
        httpx.AsyncClient(base_url=url, timeout=30) as client,
        client.stream("GET", path(world), headers=STREAM) as response,
    ):
        stream = messages(response)
        assert (await anext(stream))["event"] == "run"
        answers = [(await api.call("GET", "/graphs")).status for _ in range(100)]
        assert answers[-1] == 429
        for _ in range(3):
            assert await anext(stream) == {}
    api.backend.close()
