"""Quotas over HTTP: who may set them, what they can be, and what they refuse."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.api.client import NS, OTHER, Api
from tests.api.test_iam import ACCOUNT, signed
from tests.api.test_iam import settings as callers

NONE = {"concurrent_runs": None, "states_per_second": None, "payload_bytes": None}
ROOT, TENANT = (f"arn:aws:iam::{ACCOUNT}:user/{name}" for name in ("root", "tenant"))


async def test_they_are_read_and_replaced_as_a_whole(api: Api) -> None:
    assert (await api.call("GET", "/quotas")).body == NONE

    first = await api.call("PUT", "/quotas", {"concurrent_runs": 5, "states_per_second": 2.5})
    assert (first.status, first.body) == (200, {**NONE, "concurrent_runs": 5, "states_per_second": 2.5})
    assert (await api.call("GET", "/quotas")).body == first.body
    assert (await api.call("GET", f"/v1/namespaces/{OTHER}/quotas")).body == NONE

    second = await api.call("PUT", "/quotas", {"payload_bytes": 4096.0, "concurrent_runs": None})
    assert second.body == {**NONE, "payload_bytes": 4096}
    assert (await api.call("GET", "/quotas")).body == second.body


async def test_the_admin_of_a_namespace_reads_its_quotas_and_does_not_raise_them(api: Api) -> None:
    await api.call("PUT", "/quotas", {"concurrent_runs": 5})
    for scope in ("admin", "read"):
        key = await api.key(scope)
        assert (await api.call("GET", "/quotas", key=key)).body["concurrent_runs"] == 5
        refused = await api.call("PUT", "/quotas", {}, key=key)
        assert (refused.status, refused.code) == (403, "forbidden")
        assert "server's own admin key" in refused.body["detail"]
    assert (await api.call("GET", "/quotas")).body["concurrent_runs"] == 5


async def test_an_aws_identity_sets_them_if_it_administers_all_namespaces() -> None:
    named = [
        {"arn": ROOT, "namespace": "*", "scopes": ["admin"]},
        {"arn": TENANT, "namespace": NS, "scopes": ["admin"]},
    ]
    api, path = Api(callers=callers(json.dumps(named))), f"/v1/namespaces/{NS}/quotas"

    statuses = [(await api.send(signed("PUT", path, {}, by=who))).status for who in (ROOT, TENANT)]

    api.backend.close()
    assert statuses == [200, 403]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"runs": 1}, ("runs", "unknown_field")),
        ({"concurrent_runs": 0}, ("concurrent_runs", "invalid_value")),
        ({"concurrent_runs": 1.5}, ("concurrent_runs", "invalid_value")),
        ({"concurrent_runs": "5"}, ("concurrent_runs", "invalid_value")),
        ({"states_per_second": True}, ("states_per_second", "invalid_value")),
        ({"states_per_second": 0}, ("states_per_second", "invalid_value")),
        ({"payload_bytes": 1_000}, ("payload_bytes", "invalid_value")),
    ],
)
async def test_what_cannot_be_a_quota_is_refused(api: Api, body: Any, problem: tuple[str, str]) -> None:
    refused = await api.call("PUT", "/quotas", body)

    assert (refused.status, refused.code) == (422, "invalid_request")
    assert [path for path, _ in refused.problems] == [problem[0]]
    assert (await api.call("GET", "/quotas")).body == NONE


async def test_who_set_them_is_recorded(api: Api) -> None:
    await api.call("PUT", "/quotas", {"payload_bytes": 4096})

    (entry,) = (await api.call("GET", "/audit")).body["entries"]

    assert (entry["by"], entry["action"], entry["result"]) == ("key:admin", "set_quotas", "done")
    assert entry["details"] == {**NONE, "payload_bytes": 4096}


async def test_payloads_over_the_quota_are_refused(api: Api) -> None:
    await api.graph()
    run = await api.run()
    await api.call("PUT", "/quotas", {"payload_bytes": 2048})

    large = {"text": "x" * 2048}
    for answer in (
        await api.call("POST", "/graphs/g/runs", {"inputs": large}),
        await api.call("POST", "/graphs/g/runs", {"store": large}),
        await api.call("POST", f"/runs/{run}/signals", {"name": "go", "payload": large}),
    ):
        assert (answer.status, answer.code) == (429, "quota_exceeded")
        assert "2,048" in answer.body["detail"]
        assert "retry-after" not in answer.headers
    assert len((await api.call("GET", "/runs")).body["runs"]) == 1


async def test_a_graph_that_refuses_says_when_the_next_run_may_begin(api: Api) -> None:
    await api.graph()
    definition = (await api.call("GET", "/graphs/g")).body["definition"]
    definition["rate_limit"] = {"starts": 2, "per_seconds": 3600, "when_over": "refuse"}
    stored = await api.call("PUT", "/graphs/g", {"definition": definition})
    assert stored.body["valid"], stored.text

    answers = [await api.call("POST", "/graphs/g/runs", {}) for _ in range(3)]

    assert [answer.status for answer in answers] == [201, 201, 429]
    assert answers[2].code == "quota_exceeded"
    assert 3500 < int(answers[2].headers["retry-after"]) <= 3600
    assert "2 runs in 3600 seconds" in answers[2].body["detail"]
