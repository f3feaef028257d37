"""Many requests at a time in one process: each gets its own answer, and waiting ones stop nobody."""

import asyncio
import random
from typing import Any

import pytest

from karman_core.domain.definition import RegisteredNode
from karman_core.engine.access import Principal
from karman_core.engine.views import Started
from tests.api.client import NS, Api, event

REQUESTS = 200


async def test_each_request_is_answered_with_its_own(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every piece of a request that Powertools keeps, while others overtake it: path, body, headers, status, event."""
    draw = random.Random(3)

    async def trigger(namespace: str, graph: str, **given: Any) -> Started:
        await asyncio.sleep(draw.random() / 50)
        key, inputs = given["idempotency_key"], given["inputs"]
        return Started(f"{namespace}-{graph}-{key}-{inputs['n']}", created=inputs["n"] % 2 == 0)

    keys = api.app.services.keys
    verify = keys.verify

    async def slow_verify(presented: str | None) -> Principal:
        await asyncio.sleep(draw.random() / 50)  # the body is read after this
        return await verify(presented)

    monkeypatch.setattr(api.engine, "trigger", trigger)
    monkeypatch.setattr(keys, "verify", slow_verify)

    async def one(n: int) -> None:
        sent = event(
            "POST",
            f"/v1/namespaces/n{n}/graphs/g{n}/runs",
            {"inputs": {"n": n}},
            headers={"idempotency-key": f"k{n}"},
        )
        sent["requestContext"]["requestId"] = f"request-{n}"
        answer = await api.send(sent)
        assert answer.status == (201 if n % 2 == 0 else 200)
        assert answer.body["run_id"] == f"n{n}-g{n}-k{n}-{n}"
        assert answer.headers["x-request-id"] == f"request-{n}"

    await asyncio.gather(*map(one, range(REQUESTS)))


async def test_good_and_bad_requests_side_by_side(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors are made after others have come and gone; keys and scopes do not mix."""
    keys = [await api.key("read"), await api.key("worker"), "wrong"]
    statuses = [200, 403, 401]

    async def list_nodes(namespace: str) -> list[RegisteredNode]:
        await asyncio.sleep(0.005)
        return []

    monkeypatch.setattr(api.engine, "list_nodes", list_nodes)

    async def one(n: int) -> None:
        known = await api.call("GET", "/nodes", key=keys[n % 3])
        assert known.status == statuses[n % 3]
        unknown = await api.call("GET", f"/nodes/n{n}", key=keys[0])
        assert (unknown.status, f"'n{n}'" in unknown.text) == (404, True)
        bad = await api.call("PUT", "/nodes", {f"field{n}": 1}, key=keys[1])
        assert (f"field{n}", "unknown_field") in bad.problems

    await asyncio.gather(*map(one, range(REQUESTS)))


async def test_long_polls_take_no_thread_and_stop_nobody(api: Api) -> None:
    """With Powertools' own validation, a handful of these would take all threads and wait for ever."""
    await api.graph()
    run = await api.run()
    path = f"/v1/namespaces/{NS}/runs/{run}"
    polls = [
        asyncio.create_task(api.send(event("GET", path, query={"wait_seconds": 20}))) for _ in range(100)
    ]
    await asyncio.sleep(0.05)

    async with asyncio.timeout(90):
        work = await api.work()
        await api.call("POST", f"/work/{work['state_id']}/outputs", {"outputs": [{"x": 1}]})
        answers = await asyncio.gather(*polls)

    assert {answer.body["status"] for answer in answers} == {"SUCCEEDED"}
