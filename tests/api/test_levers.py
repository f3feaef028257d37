"""Skip, redrive and purge, and the audit log, over HTTP."""

from __future__ import annotations

import pytest

from tests.api.client import NS, OTHER, Api
from tests.api.routes import CALLS, Call, World, prepare
from tests.api.test_iam import CALLERS, CI, ask, settings

AUDITED = {
    "put_graph": ("put_graph", "h"),
    "delete_graph": ("delete_graph", "g"),
    "cancel_run": ("cancel", None),
    "pause_run": ("pause", None),
    "resume_run": ("resume", None),
    "retry_run": ("retry", None),
    "rerun_run": ("rerun", "a"),
    "operate_runs": ("bulk", "cancel"),
    "retry_state": ("retry_state", "{failed}--0"),
    "skip_state": ("skip", "{failed}--0"),
    "redrive_run": ("redrive", None),
    "purge_run": ("purge", None),
    "send_signal": ("signal", "go"),
    "fire_trigger": ("fire_trigger", "cron-0"),
    "enable_trigger": ("enable_trigger", "cron-0"),
    "disable_trigger": ("disable_trigger", "cron-0"),
    "reconcile_triggers": ("reconcile_triggers", None),
    "issue_key": ("issue_key", None),
    "revoke_key": ("revoke_key", "{key}"),
    "rotate_key": ("rotate_key", "{key}"),
    "create_webhook": ("create_webhook", None),
    "update_webhook": ("update_webhook", "{webhook}"),
    "delete_webhook": ("delete_webhook", "{webhook}"),
    "rotate_webhook": ("rotate_webhook", "{webhook}"),
    "test_webhook": ("test_webhook", "{webhook}"),
    "retry_delivery": ("redeliver", "{webhook}"),
}
UNAUDITED = {
    "create_namespace",  # Makes nothing but the name.
    "register_nodes",  # What runtimes and workers do, not operators.
    "start_run",  # The run says itself when it began, and with what.
    "poll_work",
    "extend_lease",
    "release_lease",
    "report_outputs",
    "report_error",
    "report_prune",
    "report_requeue",
    "report_wait",
}


@pytest.mark.parametrize("call", [call for call in CALLS if call.method != "GET"], ids=str)
async def test_what_changes_something_is_recorded(api: Api, call: Call) -> None:
    world = await prepare(api)
    key = await api.key(call.scope)
    before = (await api.call("GET", "/audit", query={"limit": 1_000})).body["entries"]

    answer = await api.call(call.method, world.path(call), world.body(call), key=key)

    assert answer.status == call.status, answer.text
    entries = (await api.call("GET", "/audit", query={"limit": 1_000})).body["entries"]
    new = entries[: len(entries) - len(before)]
    if call.operation in UNAUDITED:
        assert new == []
        return
    action, target = AUDITED[call.operation]
    entry = new[-1]
    names = {"failed": world.failed, "key": world.key, "webhook": world.webhook}
    assert (entry["action"], entry["result"]) == (action, "done")
    assert entry["target"] == (None if target is None else target.format(**names))
    assert entry["by"] == f"key:{key.split('.')[2]}"


async def test_the_admin_key_and_aws_identities_are_named() -> None:
    api = Api(callers=settings(CALLERS))
    world = await prepare(api)
    paused = await api.call("POST", f"/runs/{world.run}/pause")
    resumed = await ask(api, CI, "POST", f"/v1/namespaces/{NS}/runs/{world.run}/resume")
    entries = (await api.call("GET", "/audit", query={"run_id": world.run})).body["entries"]
    api.backend.close()

    assert (paused.status, resumed.status) == (200, 200)
    assert [(each["by"], each["action"]) for each in entries] == [
        (f"iam:{CI}", "resume"),
        ("key:admin", "pause"),
    ]


async def test_a_state_is_skipped(api: Api) -> None:
    world = await prepare(api)
    state = f"{world.failed}--0"
    path = f"/runs/{world.failed}/states/{state}/skip"

    skipped = await api.call("POST", path, {"outputs": {"x": 1}})
    again = await api.call("POST", path, {"outputs": [{"x": 1}]})
    other = await api.call("POST", path, {"outputs": {"x": 2}})

    assert (skipped.status, skipped.body["status"], skipped.body["outputs"]) == (200, "SUCCEEDED", [{"x": 1}])
    assert skipped.body["skipped_by"] == "key:admin"
    assert (again.status, again.body) == (200, skipped.body)
    assert (other.status, other.code) == (409, "conflict")
    leased = await api.call("POST", f"/runs/{world.run}/states/{world.state}/skip", {"outputs": None})
    assert (leased.status, leased.body["outputs"]) == (200, [{}])
    report = await api.call("POST", f"/work/{world.state}/outputs", {"outputs": [{}], "lease": world.lease})
    assert (report.status, report.code) == (409, "conflict")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "invalid_request"),
        ({"outputs": 1}, 422, "invalid_request"),
        ({"outputs": [1]}, 422, "invalid_request"),
        ({"outputs": None, "next": "nobody"}, 422, "invalid_input"),
        ({"outputs": None, "more": 1}, 422, "invalid_request"),
    ],
)
async def test_what_is_no_skip(api: Api, body: object, status: int, code: str) -> None:
    world = await prepare(api)

    answer = await api.call("POST", f"/runs/{world.run}/states/{world.state}/skip", body)

    assert (answer.status, answer.code) == (status, code), answer.text


async def test_outputs_of_a_skip_are_checked(api: Api) -> None:
    world = await prepare(api)
    schema = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}
    await api.call("PUT", "/nodes", {"runtime": "rt", "nodes": [{"name": "a", "outputs_schema": schema}]})

    answer = await api.call("POST", f"/runs/{world.run}/states/{world.state}/skip", {"outputs": [{"x": ""}]})

    assert (answer.status, answer.problems) == (422, [("outputs[0].x", "wrong_type")])


async def test_a_run_is_redriven_in_parts(api: Api) -> None:
    world = await prepare(api)

    done = await api.call("POST", f"/runs/{world.fan}/redrive")
    wrong = await api.call("POST", f"/runs/{world.fan}/redrive", query={"cursor": "x"})
    ended = await api.call("POST", f"/runs/{world.failed}/redrive")

    assert (done.status, done.body) == (
        200,
        {"run_id": world.fan, "looked_at": 3, "sent": 2, "cursor": None},
    )
    assert (wrong.status, ended.status, ended.code) == (422, 409, "conflict")


async def test_a_run_is_purged(api: Api) -> None:
    world = await prepare(api)

    going_on = await api.call("DELETE", f"/runs/{world.run}")
    done = await api.call("DELETE", f"/runs/{world.failed}")
    again = await api.call("DELETE", f"/runs/{world.failed}")
    found = await api.call("GET", f"/runs/{world.failed}")
    unknown = await api.call("DELETE", "/runs/nobody")

    assert (going_on.status, going_on.code) == (409, "conflict")
    assert (done.status, done.body) == (200, {"run_id": world.failed, "complete": True})
    assert again.body == done.body
    assert (found.status, unknown.status) == (404, 404)


async def test_only_administrators_purge_many(api: Api) -> None:
    world = await prepare(api)
    body = {"action": "purge", "filter": {"graph": "g"}}

    refused = await api.call("POST", "/runs/bulk", body, key=await api.key("trigger"))
    done = await api.call("POST", "/runs/bulk", body, key=await api.key("admin"))

    assert (refused.status, refused.code) == (403, "forbidden")
    assert done.body["done"] == [world.failed]


async def test_the_log_of_a_namespace_is_its_own(api: Api) -> None:
    world: World = await prepare(api)
    await api.call("POST", f"/runs/{world.run}/pause")
    other = await api.call("GET", f"/v1/namespaces/{OTHER}/audit")
    page = await api.call("GET", "/audit", query={"limit": 1})
    rest = await api.call("GET", "/audit", query={"cursor": page.body["cursor"]})

    assert other.body == {"entries": [], "cursor": None}
    assert page.body["entries"][0]["run_id"] == world.run
    assert world.run not in {each["run_id"] for each in rest.body["entries"]}
    for query in ({"run_id": "A b"}, {"since_ms": "x"}, {"cursor": "x"}, {"limit": 0}):
        assert (await api.call("GET", "/audit", query=query)).status == 422
