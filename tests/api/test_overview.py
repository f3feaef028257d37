"""Runs by tag, statistics, long polls for changes, namespaces; graphs that are deleted, triggers that are switched."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import AsyncMock
from urllib.parse import urlencode

import pytest

from tests.api.client import DEFINITION, NS, OTHER, Answer, Api, event
from tests.api.routes import prepare

RUNS = f"/v1/namespaces/{NS}/runs"


async def tagged(api: Api, *pairs: str, **more: str) -> Answer:
    """A list by tags, the query as API Gateway has it: what is repeated comes joined by commas."""
    sent = event("GET", RUNS)
    sent["rawQueryString"] = urlencode([*(("tag", pair) for pair in pairs), *more.items()])
    sent["queryStringParameters"] = {"tag": ",".join(pairs), **more}
    return await api.send(sent)


async def test_runs_by_tag(api: Api) -> None:
    await api.graph()
    runs = {}
    for name, tags in {"one": {"who": "Ada, B:C", "n": "1"}, "two": {"who": "Ada, B:C", "n": "2"}}.items():
        runs[name] = (await api.call("POST", "/graphs/g/runs", {"tags": tags})).body["run_id"]
        await asyncio.sleep(0.005)  # another millisecond: runs are listed by time

    async def found(*pairs: str, **more: str) -> list[str]:
        answer = await tagged(api, *pairs, **more)
        assert answer.status == 200, answer.text
        return [run["run_id"] for run in answer.body["runs"]]

    assert await found("who:Ada, B:C") == [runs["two"], runs["one"]]
    assert await found("who:Ada, B:C", "n:1") == [runs["one"]]
    assert await found("n:2", "n:2") == [runs["two"]]
    assert await found("who:Ada") == await found("who:") == []
    assert await found("n:1", "n:2") == []
    assert await found("n:1", graph="h") == await found("n:1", until_ms="1") == []
    first = await tagged(api, "who:Ada, B:C", limit="1")
    assert await found("who:Ada, B:C", cursor=first.body["cursor"]) == [runs["one"]]


@pytest.mark.parametrize("pairs", [["x"], [":x"], ["a:b", ""], ["a:b"] * 11])
async def test_tags_that_are_none(api: Api, pairs: list[str]) -> None:
    answer = await tagged(api, *pairs)
    assert (answer.status, answer.code) == (422, "invalid_request")
    assert all(path.startswith("query.tag") for path, _ in answer.problems)


async def test_a_declared_tag_is_checked_with_the_graph(api: Api) -> None:
    await api.graph()
    wrong = {**DEFINITION, "tags": {"a": "${{ gone.outputs.x }}", "b": "text"}}
    answer = await api.call("PUT", "/graphs/g", {"definition": wrong}, query={"validate_only": "true"})
    found = [(each["path"], each["code"]) for each in answer.body["problems"]]
    assert found == [("tags.a", "unknown_reference"), ("tags.b", "invalid_placeholder")]


async def test_statistics(api: Api) -> None:
    world = await prepare(api)
    every = (await api.call("GET", "/statistics", query={"graph": "g"})).body
    assert (every["runs"], every["by_status"], every["complete"]) == (2, {"FAILED": 1, "RUNNING": 1}, True)
    assert every["failures"] == [{"identifier": "a", "states": 1}]
    assert every["totals"]["failed"] == 1
    assert (await api.call("GET", "/statistics")).body["runs"] == 3
    run = (await api.call("GET", f"/runs/{world.failed}")).body
    took = run["ended_ms"] - run["starts_ms"]
    assert every["durations"] == {"p50_ms": took, "p95_ms": took, "max_ms": took}
    none = (await api.call("GET", "/statistics", query={"graph": "h", "since_ms": 1, "until_ms": 2})).body
    assert (none["runs"], none["durations"]) == (0, None)


async def test_a_change_answers_who_waits_for_it(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    world = await prepare(api)
    path = f"/runs/{world.run}/events"
    now = (await api.call("GET", path)).body
    assert (now["run"]["run_id"], now["ended"]) == (world.run, False)

    waiting = asyncio.create_task(api.call("GET", path, query={"after": now["digest"], "wait_seconds": 20}))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    await api.call("POST", f"/work/{world.state}/outputs", {"outputs": [{"x": 1}]})
    then = (await waiting).body

    assert (then["run"]["status"], then["run"]["result"], then["ended"]) == ("SUCCEEDED", {"x": 1}, True)
    assert then["digest"] != now["digest"]
    known = {"after": then["digest"], "wait_seconds": 20}
    sleep = AsyncMock(side_effect=AssertionError("nothing comes after the end"))
    monkeypatch.setattr(api.clock, "sleep", sleep)
    again = await api.call("GET", path, query=known)
    assert again.body == then


async def test_a_wait_for_a_change_ends(api: Api) -> None:
    world = await prepare(api)
    path = f"/runs/{world.run}/events"
    now = (await api.call("GET", path)).body
    assert (await api.call("GET", path, query={"after": now["digest"], "wait_seconds": 0.2})).body == now
    assert (await api.call("GET", path, query={"after": "another", "wait_seconds": 20})).body == now
    assert (await api.call("GET", "/runs/r0/events", query={"wait_seconds": 20})).status == 404


async def test_namespaces(api: Api) -> None:
    path = f"/v1/namespaces/{NS}"
    assert (await api.call("GET", path)).status == 404
    assert (await api.call("GET", "/v1/namespaces")).body == {"namespaces": [], "cursor": None}

    made = await api.call("PUT", path)
    assert made.body == (await api.call("PUT", path)).body == (await api.call("GET", path)).body
    assert (made.body["nodes"], made.body["graphs"]) == (0, 0)
    await api.graph(OTHER)
    await api.key("read", namespace="third")

    first = (await api.call("GET", "/v1/namespaces", query={"limit": 2})).body
    rest = (await api.call("GET", "/v1/namespaces", query={"limit": 2, "cursor": first["cursor"]})).body
    assert first["namespaces"] + rest["namespaces"] == sorted([NS, OTHER, "third"])
    assert (len(first["namespaces"]), rest["cursor"]) == (2, None)
    other = (await api.call("GET", f"/v1/namespaces/{OTHER}")).body
    assert (other["nodes"], other["graphs"]) == (1, 1)
    assert (await api.call("PUT", "/v1/namespaces/1x")).status == 404
    assert (await api.call("GET", "/v1/namespaces", query={"cursor": "#"})).status == 422


@pytest.mark.parametrize("scope", ["admin", "trigger", "worker", "read"])
async def test_all_namespaces_are_for_the_server_s_own_key(api: Api, scope: str) -> None:
    key = await api.key(scope)
    refused = await api.call("GET", "/v1/namespaces", key=key)
    assert (refused.status, refused.code) == (403, "forbidden")
    assert (await api.call("GET", "/v1/namespaces", key=None)).status == 401
    assert (await api.call("GET", "/v1/namespaces", key=key + "x")).status == 401
    assert (await api.call("GET", "/v1/namespaces")).body["namespaces"] == [NS]


async def test_a_graph_is_deleted(api: Api) -> None:
    await api.graph()
    run = await api.run()
    await api.call("PUT", "/graphs/g", {"definition": {**DEFINITION, "description": "2"}})

    assert (await api.call("DELETE", "/graphs/g")).status == 204

    for method, path in (
        ("GET", "/graphs/g"),
        ("GET", "/graphs/g/versions"),
        ("GET", "/graphs/g/triggers"),
        ("POST", "/graphs/g/runs"),
        ("POST", "/graphs/g/triggers/cron-0/fire"),
        ("POST", "/graphs/g/triggers/cron-0/enable"),
        ("DELETE", "/graphs/g"),
    ):
        assert (await api.call(method, path)).status == 404, path
    assert (await api.call("GET", "/graphs")).body["graphs"] == []
    assert (await api.call("GET", "/triggers")).body["triggers"] == []
    assert (await api.call("GET", "/graphs/g", query={"version": 1})).body["version"] == 1
    work = await api.work()
    assert work["run_id"] == run
    await api.call("POST", f"/work/{work['state_id']}/outputs", {"outputs": [{}]})
    assert (await api.call("GET", f"/runs/{run}")).body["status"] == "SUCCEEDED"
    assert (await api.call("PUT", "/graphs/g", {"definition": DEFINITION})).body["version"] == 3


async def test_a_trigger_is_switched(api: Api) -> None:
    await api.graph()
    path = "/graphs/g/triggers/cron-0"

    async def version() -> Any:
        return (await api.call("GET", "/graphs/g")).body["version"]

    off = (await api.call("POST", f"{path}/disable")).body
    assert (off["trigger"], off["enabled"], off["next_ms"]) == ("cron-0", False, [])
    assert (await api.call("POST", f"{path}/disable")).body == off
    assert await version() == 2
    assert (await api.call("POST", f"{path}/fire")).status == 409
    on = (await api.call("POST", f"{path}/enable")).body
    assert (on["enabled"], len(on["next_ms"]), on["timezone"]) == (True, 5, "Europe/Berlin")
    assert await version() == 3
    assert (await api.call("GET", "/triggers")).body["triggers"] == [on]
    assert (await api.call("POST", "/graphs/g/triggers/other/enable")).status == 404


async def test_a_trigger_of_a_graph_with_problems_is_switched_and_has_no_firings(api: Api) -> None:
    await api.graph()
    wrong = {**DEFINITION, "triggers": [{"value": {"expression": "never", "enabled": False}}]}
    await api.call("PUT", "/graphs/g", {"definition": wrong})
    switched = await api.call("POST", "/graphs/g/triggers/cron-0/enable")
    assert (switched.status, switched.body["enabled"], switched.body["next_ms"]) == (200, True, [])
