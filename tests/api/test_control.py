"""What the routes that operate runs do, and how they refuse."""

from __future__ import annotations

import pytest

from tests.api.client import Api
from tests.api.routes import World, fan_out, prepare


async def fail_again(api: Api, world: World) -> None:
    work = await api.work()
    assert work["run_id"] == world.failed
    report = {"kind": "Oops", "retry": False, "lease": work["lease"]}
    assert (await api.call("POST", f"/work/{work['state_id']}/error", report)).status == 200


async def test_one_state_is_retried(api: Api) -> None:
    world = await prepare(api)
    state = f"{world.failed}--0"
    path = f"/runs/{world.failed}/states/{state}"

    view = await api.call("POST", f"{path}/retry")
    again = await api.call("POST", f"{path}/retry")

    assert (view.status, view.body["status"], view.body["epoch"]) == (200, "RUNNING", 1)
    other = await api.call("POST", f"/runs/{world.failed}/retry")
    assert (again.status, again.body["epoch"]) == (200, 1)
    assert (other.status, other.code) == (409, "conflict")
    await fail_again(api, world)
    found = await api.call("GET", path)
    assert (found.body["status"], len(found.body["attempts"])) == ("FAILED", 2)
    for unknown in (f"{world.failed}--7", f"{world.run}--0", "x--0"):
        missing = await api.call("POST", f"/runs/{world.failed}/states/{unknown}/retry")
        assert (missing.status, missing.code) == (404, "not_found")


async def test_a_rerun_is_begun_once(api: Api) -> None:
    world = await prepare(api)
    body = {"from": "a", "inputs": {"x": 1}}
    headers = {"idempotency-key": "k"}

    first = await api.call("POST", f"/runs/{world.failed}/rerun", body, headers=headers)
    again = await api.call("POST", f"/runs/{world.failed}/rerun", body, headers=headers)
    other = await api.call("POST", f"/runs/{world.failed}/rerun", {"from": "a"}, headers=headers)

    assert (first.status, first.body["created"]) == (201, True)
    assert (again.status, again.body) == (200, {"run_id": first.body["run_id"], "created": False})
    assert (other.status, other.code) == (409, "conflict")
    run = (await api.call("GET", f"/runs/{first.body['run_id']}")).body
    assert (run["rerun_of"], run["inputs"]) == (world.failed, {"x": 1})
    work = await api.work()
    assert (work["run_id"], work["inputs"]) == (run["run_id"], {"x": 1})


@pytest.mark.parametrize(
    ("start", "status", "code"),
    [
        ("u", 409, "conflict"),
        ("{run}-0.0-0", 409, "conflict"),
        ("x", 404, "not_found"),
        ("", 422, "invalid_request"),
    ],
)
async def test_where_a_rerun_cannot_begin(api: Api, start: str, status: int, code: str) -> None:
    world = await prepare(api)

    answer = await api.call("POST", f"/runs/{world.fan}/rerun", {"from": start.format(run=world.fan)})

    assert (answer.status, answer.code) == (status, code), answer.text


async def test_inputs_of_a_rerun_are_checked(api: Api) -> None:
    await api.graph()
    schema = {"type": "object", "properties": {"x": {"type": "integer"}}}
    nodes = {"runtime": "rt", "nodes": [{"name": "a", "inputs_schema": schema}]}
    assert (await api.call("PUT", "/nodes", nodes)).status == 200
    run = await api.run()

    answer = await api.call("POST", f"/runs/{run}/rerun", {"from": "a", "inputs": {"x": "text"}})

    assert (answer.status, answer.code) == (422, "invalid_input")
    assert answer.problems[0][0] == "inputs.x"


async def test_many_runs_at_once(api: Api) -> None:
    world = await prepare(api)
    wanted = {"action": "cancel", "filter": {"graph": "g"}, "dry_run": True}

    dry = await api.call("POST", "/runs/bulk", wanted)
    done = await api.call("POST", "/runs/bulk", wanted | {"dry_run": False})
    refused = await api.call("POST", "/runs/bulk", {"action": "cancel", "filter": {"status": "FAILED"}})
    none = await api.call("POST", "/runs/bulk", {"action": "pause", "filter": {"tags": {"a": "b"}}})

    expected = {"matched": 1, "done": [world.run], "refused": [], "cursor": None, "dry_run": False}
    assert dry.body == expected | {"dry_run": True}
    assert done.body == expected
    assert [each["run_id"] for each in refused.body["refused"]] == [world.failed]
    assert refused.body["refused"][0]["code"] == "conflict"
    assert none.body["matched"] == 0
    assert (await api.call("GET", f"/runs/{world.run}")).body["status"] == "CANCELLED"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"action": "delete"},
        {"action": "cancel", "limit": 0},
        {"action": "cancel", "limit": 1_001},
        {"action": "cancel", "cursor": "x"},
        {"action": "cancel", "dry_run": "yes"},
        {"action": "cancel", "filter": {"status": "failed"}},
        {"action": "cancel", "filter": {"unheard_of": 1}},
        {"action": "cancel", "filter": {"tags": {"a:b": "c"}}},
        {"action": "cancel", "filter": {"since_ms": -1}},
    ],
    ids=str,
)
async def test_a_bulk_that_cannot_be(api: Api, body: object) -> None:
    run = await prepare(api)

    answer = await api.call("POST", "/runs/bulk", body)

    assert (answer.status, answer.code) == (422, "invalid_request"), answer.text
    assert (await api.call("GET", f"/runs/{run.run}")).body["status"] == "RUNNING"


async def test_groups_and_the_states_below_them(api: Api) -> None:
    await api.graph()
    run = await fan_out(api, branches=12)
    polled = await api.call("POST", "/work/poll", {"nodes": ["f2"], "wait_seconds": 20, "limit": 5})
    for work in polled.body["work"][:1]:
        await api.call("POST", f"/work/{work['state_id']}/outputs", {"outputs": [{}]})

    listed = await api.call("GET", f"/runs/{run}/groups")
    one = await api.call("GET", f"/runs/{run}/groups/{run}--0")
    inside = await api.call("GET", f"/runs/{run}/groups", query={"parent": f"{run}--0"})
    states = await api.call("GET", f"/runs/{run}/states", query={"branch": "0.7"})

    assert one.body == {
        "state_id": f"{run}--0",
        "identifier": "f",
        "width": 12,
        "succeeded": 1,
        "failed": 0,
        "pruned": 0,
        "open": 11,
        "ended": False,
        "united_by": ["u"],
    }
    assert listed.body == {"groups": [one.body], "cursor": None}
    assert inside.body == {"groups": [], "cursor": None}
    assert [state["state_id"] for state in states.body["states"]] == [f"{run}-0.7-0"]
    for query in ({"parent": "x"}, {"cursor": "x"}, {"limit": 0}):
        bad = await api.call("GET", f"/runs/{run}/groups", query=query)
        assert bad.status == 422
    bad = await api.call("GET", f"/runs/{run}/states", query={"branch": "0."})
    assert (bad.status, bad.code) == (422, "invalid_request")


async def test_a_lease_is_given_back_and_a_worker_is_told_to_stop(api: Api) -> None:
    world = await prepare(api)
    path, lease = f"/work/{world.state}", {"lease": world.lease}

    before = await api.call("POST", f"{path}/heartbeat", lease)
    released = await api.call("POST", f"{path}/release", lease)
    lost = await api.call("POST", f"{path}/release", lease)
    again = await api.work()
    await api.call("POST", f"/runs/{world.run}/cancel")
    after = await api.call("POST", f"{path}/heartbeat", {"lease": again["lease"]})

    assert (before.status, before.body["cancelled"]) == (200, False)
    assert (released.status, released.body) == (200, {"status": "QUEUED"})
    assert (lost.status, lost.code) == (409, "conflict")
    assert (again["state_id"], again["attempt"]) == (world.state, 1)
    assert (after.body["cancelled"], after.body["until_ms"] > 0) == (True, True)
