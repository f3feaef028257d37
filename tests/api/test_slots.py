"""Limits of concurrent runs, over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.client import Answer, Api

CUSTOMER = "${{ initial.inputs.customer }}"


async def put(api: Api, concurrency: dict[str, Any]) -> Answer:
    definition = {"nodes": [{"identifier": "a", "node_name": "Report"}], "concurrency": concurrency}
    return await api.call("PUT", "/graphs/reports", {"definition": definition})


async def define(api: Api, **concurrency: Any) -> None:
    schema = {"type": "object", "properties": {"customer": {"type": "string"}}}
    nodes = {"runtime": "rt", "nodes": [{"name": "Report", "inputs_schema": schema}]}
    assert (await api.call("PUT", "/nodes", nodes)).status == 200
    answer = await put(api, {"limit": 1, "key": CUSTOMER, **concurrency})
    assert (answer.status, answer.body["valid"]) == (200, True), answer.text


async def start(api: Api, customer: str) -> str:
    answer = await api.call("POST", "/graphs/reports/runs", {"inputs": {"customer": customer}})
    assert answer.status == 201, answer.text
    return str(answer.body["run_id"])


async def poll(api: Api) -> list[str]:
    answer = await api.call("POST", "/work/poll", {"nodes": ["Report"], "limit": 10})
    return [work["run_id"] for work in answer.body["work"]]


async def test_a_run_waits_until_another_one_has_ended(api: Api) -> None:
    await define(api)
    runs = [await start(api, customer) for customer in ("acme", "acme", "other")]

    assert sorted(await poll(api)) == sorted([runs[0], runs[2]])
    first = (await api.call("GET", f"/runs/{runs[0]}")).body
    second = (await api.call("GET", f"/runs/{runs[1]}")).body
    assert (first["status"], first["queued_for"]) == ("RUNNING", None)
    assert second["status"] == "QUEUED"
    assert second["queued_for"] == "a slot (of 1 for runs with the concurrency key 'acme')"
    listed = (await api.call("GET", "/runs", query={"status": "QUEUED"})).body["runs"]
    assert [run["run_id"] for run in listed] == [runs[1]]

    assert (await api.call("POST", f"/runs/{runs[0]}/cancel")).status == 200
    assert await poll(api) == [runs[1]]
    assert (await api.call("GET", f"/runs/{runs[1]}")).body["status"] == "RUNNING"


async def test_a_trigger_is_refused_where_the_graph_says_so(api: Api) -> None:
    await define(api, when_full="refuse")
    run_id = await start(api, "acme")

    refused = await api.call("POST", "/graphs/reports/runs", {"inputs": {"customer": "acme"}})

    assert (refused.status, refused.code) == (429, "quota_exceeded")
    assert "'acme'" in refused.body["detail"]
    assert "retry-after" not in refused.headers
    assert await poll(api) == [run_id]


@pytest.mark.parametrize("key", ["customer", "${{ a.outputs.x }}", "${{ initial.inputs.absent.x }}"])
async def test_a_key_that_cannot_be_is_told(api: Api, key: str) -> None:
    await define(api)
    answer = await put(api, {"limit": 1, "key": key})
    assert [problem["path"] for problem in answer.body["problems"]] == ["concurrency.key"]
