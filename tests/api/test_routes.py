"""Every route answers a good request as documented; what it does is seen through the other routes."""

from typing import Any

import pytest

from karman_core.engine.access import Scope
from karman_functions.api.openapi import document
from tests.api.client import DEFINITION, Api
from tests.api.routes import CALLS, Call, prepare


def operations() -> dict[str, dict[str, Any]]:
    found = {}
    for path, item in document()["paths"].items():
        for method, operation in item.items():
            found[operation["operationId"]] = {"path": path, "method": method.upper(), **operation}
    return found


def test_the_table_has_every_route() -> None:
    known = {call.operation: (call.method, list(filter(None, [call.scope, call.also]))) for call in CALLS}
    documented = {name: (each["method"], each["x-karman-scopes"]) for name, each in operations().items()}

    assert documented.pop("get_health") == ("GET", [])
    assert documented.pop("list_namespaces") == ("GET", ["admin"])
    assert documented.pop("set_quotas") == ("PUT", ["admin"])
    assert known == documented
    assert {call.scope for call in CALLS} == set(Scope)


@pytest.mark.parametrize("call", CALLS, ids=str)
async def test_a_good_request(api: Api, call: Call) -> None:
    world = await prepare(api)

    answer = await api.call(call.method, world.path(call), world.body(call))

    assert answer.status == call.status, answer.text
    assert answer.headers["x-request-id"] == "request-1"
    if call.status != 204:
        assert answer.headers["content-type"] == "application/json"
        schema = operations()[call.operation]["responses"][str(call.status)]["content"]["application/json"]
        check(answer.body, schema["schema"])


def check(value: Any, schema: dict[str, Any]) -> None:
    from jsonschema import Draft202012Validator  # noqa: PLC0415

    Draft202012Validator({**schema, "components": document()["components"]}).validate(value)


async def test_health_needs_no_key(api: Api) -> None:
    answer = await api.call("GET", "/v1/health", key=None)

    assert answer.status == 200
    assert answer.body["status"] == "ok"


async def test_a_graph_has_versions_with_etags(api: Api) -> None:
    await api.graph()
    changed = {**DEFINITION, "description": "another"}
    assert (await api.call("PUT", "/graphs/g", {"definition": changed})).body["version"] == 2

    current = await api.call("GET", "/graphs/g")
    first = await api.call("GET", "/graphs/g", query={"version": 1})
    known = await api.call("GET", "/graphs/g", headers={"if-none-match": '"1", "2"'})

    assert (current.body["version"], current.headers["etag"]) == (2, '"2"')
    assert (first.body["version"], first.body["definition"]["description"]) == (1, "")
    assert (known.status, known.text) == (304, "")
    assert (await api.call("GET", "/graphs/g", query={"version": 3})).status == 404


async def test_an_invalid_graph_is_stored_and_cannot_be_triggered(api: Api) -> None:
    definition = {"nodes": [{"identifier": "a", "node_name": "unheard_of"}]}

    looked = await api.call("PUT", "/graphs/g", {"definition": definition}, query={"validate_only": "true"})
    assert not looked.body["valid"]
    assert (await api.call("GET", "/graphs")).body == {"graphs": [], "cursor": None}

    stored = await api.call("PUT", "/graphs/g", {"definition": definition})
    assert (stored.status, stored.body["valid"]) == (200, False)
    refused = await api.call("POST", "/graphs/g/runs", {})
    assert (refused.status, refused.code) == (422, "invalid_graph")
    assert refused.problems == [("nodes[0].node_name", "unknown_node")]


async def test_secrets_go_in_and_never_out(api: Api) -> None:
    await api.graph()
    body = {"definition": DEFINITION, "secrets": {"token": "hush-hush"}}

    stored = await api.call("PUT", "/graphs/g", body)

    assert stored.body["definition"]["secrets"] == ["token"]
    assert "hush" not in stored.text + (await api.call("GET", "/graphs/g")).text


async def test_an_idempotency_key_is_one_run(api: Api) -> None:
    await api.graph()
    key = {"idempotency-key": "order-7"}

    first = await api.call("POST", "/graphs/g/runs", {"tags": {"a": "b"}}, headers=key)
    again = await api.call("POST", "/graphs/g/runs", {"tags": {"a": "b"}}, headers=key)
    other = await api.call("POST", "/graphs/g/runs", {"tags": {"a": "c"}}, headers=key)

    assert (first.status, again.status) == (201, 200)
    assert again.body == {"run_id": first.body["run_id"], "created": False}
    assert (other.status, other.code) == (409, "conflict")


async def test_a_run_may_begin_without_a_body(api: Api) -> None:
    await api.graph()

    assert (await api.call("POST", "/graphs/g/runs")).status == 201


async def test_pages_of_runs_go_on_at_the_cursor(api: Api) -> None:
    await api.graph()
    begun = {await api.run() for _ in range(5)}
    seen: list[str] = []
    cursor = None
    while True:
        query = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = (await api.call("GET", "/runs", query=query)).body
        assert len(page["runs"]) <= 2
        seen += [run["run_id"] for run in page["runs"]]
        cursor = page["cursor"]
        if cursor is None:
            break

    assert len(seen) == 5
    assert set(seen) == begun


async def test_runs_are_filtered(api: Api) -> None:
    world = await prepare(api)

    failed = await api.call("GET", "/runs", query={"status": "FAILED", "graph": "g"})
    none = await api.call("GET", "/runs", query={"graph": "h"})

    assert [run["run_id"] for run in failed.body["runs"]] == [world.failed]
    assert none.body == {"runs": [], "cursor": None}


@pytest.mark.parametrize(
    ("path", "things", "count"),
    [("/graphs", "graphs", 5), ("/nodes", "nodes", 5), ("/keys", "keys", 5), ("/triggers", "triggers", 5)],
)
async def test_pages_of_lists(api: Api, path: str, things: str, count: int) -> None:
    await api.graph()
    more = {"runtime": "rt", "nodes": [{"name": f"n{n}"} for n in range(4)]}
    assert (await api.call("PUT", "/nodes", more)).status == 200
    for n in range(5):
        await api.key("read")
        if n:
            await api.call("PUT", f"/graphs/g{n}", {"definition": DEFINITION})
    whole = (await api.call("GET", path)).body
    assert (len(whole[things]), whole["cursor"]) == (count, None)

    seen: list[Any] = []
    cursor = None
    while cursor is not None or not seen:
        query = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = (await api.call("GET", path, query=query)).body
        assert 1 <= len(page[things]) <= 2
        seen += page[things]
        cursor = page["cursor"]

    assert seen == whole[things]
    assert (await api.call("GET", path, query={"cursor": "!"})).code == "invalid_request"


async def test_versions_newest_first(api: Api) -> None:
    await api.graph()
    for n in range(4):
        await api.call("PUT", "/graphs/g", {"definition": {**DEFINITION, "description": str(n)}})

    first = (await api.call("GET", "/graphs/g/versions", query={"limit": 3})).body
    rest = (await api.call("GET", "/graphs/g/versions", query={"limit": 3, "cursor": first["cursor"]})).body

    assert [each["version"] for each in first["versions"]] == [5, 4, 3]
    assert [each["version"] for each in rest["versions"]] == [2, 1]
    assert rest["cursor"] is None
    assert (await api.call("GET", "/graphs/g/versions", query={"cursor": "1"})).body["versions"] == []
    assert (await api.call("GET", "/graphs/none/versions")).status == 404


async def test_a_trigger_is_fired_now(api: Api) -> None:
    await api.graph()

    fired = await api.call("POST", "/graphs/g/triggers/cron-0/fire")

    assert (fired.status, fired.body["created"]) == (201, True)
    assert (await api.call("GET", f"/runs/{fired.body['run_id']}")).body["graph"] == "g"
    assert (await api.call("POST", "/graphs/g/triggers/cron-1/fire")).status == 404
    assert (await api.call("POST", "/graphs/none/triggers/cron-0/fire")).status == 404


async def test_a_disabled_trigger_is_not_fired(api: Api) -> None:
    await api.graph()
    value = {**DEFINITION["triggers"][0]["value"], "enabled": False}
    await api.call("PUT", "/graphs/g", {"definition": {**DEFINITION, "triggers": [{"value": value}]}})

    (trigger,) = (await api.call("GET", "/triggers")).body["triggers"]
    refused = await api.call("POST", "/graphs/g/triggers/cron-0/fire")

    assert (trigger["enabled"], trigger["next_ms"]) == (False, [])
    assert (refused.status, refused.code) == (409, "conflict")


async def test_triggers_tell_their_next_firings(api: Api) -> None:
    await api.graph()

    (trigger,) = (await api.call("GET", "/graphs/g/triggers")).body["triggers"]

    assert (trigger["graph"], trigger["trigger"], trigger["timezone"]) == ("g", "cron-0", "Europe/Berlin")
    assert len(trigger["next_ms"]) == 5
    assert trigger["next_ms"] == sorted(set(trigger["next_ms"]))
    assert (await api.call("GET", "/graphs/none/triggers")).status == 404


async def test_a_signal_is_awaited_and_sent(api: Api) -> None:
    world = await prepare(api)
    waiting = await api.call("POST", f"/work/{world.state}/wait", {"signal": "go", "timeout_ms": 60_000})
    assert waiting.body == {"status": "WAITING", "repeated": False}
    assert (await api.call("GET", f"/runs/{world.run}/signals")).body == {"awaiting": ["go"]}

    sent = await api.call("POST", f"/runs/{world.run}/signals", {"name": "go", "payload": {"x": 1}})
    assert (sent.status, sent.body) == (202, {"accepted": True})

    work = await api.work()
    assert work["resumed"] == {"signal": "go", "payload": {"x": 1}, "timed_out": False}


async def test_a_report_brings_store_writes_and_signals(api: Api) -> None:
    world = await prepare(api)
    other = await api.run()
    body = {
        "outputs": [{}],
        "store": [
            {"op": "increment", "key": "level", "amount": 2},
            {"op": "set", "key": "name", "value": {"a": 1}},
            {"op": "append", "key": "seen", "value": "x"},
            {"op": "set", "key": "gone", "value": 1},
            {"op": "delete", "key": "gone"},
        ],
        "signals": [{"name": "go", "payload": 7, "run_id": other}],
    }
    path = f"/work/{world.state}/outputs"
    for wrong in (
        {"op": "double", "key": "k"},
        {"op": "set", "key": "a.b", "value": 1},
        {"op": "set", "key": "a"},
    ):
        assert (await api.call("POST", path, body | {"store": [wrong]})).status == 422
    assert (await api.call("POST", path, body | {"signals": [{"name": "go", "run_id": "x#y"}]})).status == 422

    assert (await api.call("POST", path, body)).body["status"] == "SUCCEEDED"
    assert (await api.call("POST", path, body)).body["repeated"]

    store = (await api.call("GET", f"/runs/{world.run}/store", key=await api.key("worker"))).body
    assert store == {"values": {"level": 3, "name": {"a": 1}, "seen": ["x"]}}
    work = await api.work()
    assert work["run_id"] == other
    await api.call("POST", f"/work/{work['state_id']}/wait", {"signal": "go"})
    assert (await api.work())["resumed"]["payload"] == 7


async def test_the_same_report_again_is_no_conflict_and_another_one_is(api: Api) -> None:
    world = await prepare(api)
    path = f"/work/{world.state}/outputs"
    body = {"outputs": [{"x": 1}], "lease": world.lease}

    first, again = await api.call("POST", path, body), await api.call("POST", path, body)
    other = await api.call("POST", path, {**body, "outputs": [{"x": 2}]})

    assert first.body == {"status": "SUCCEEDED", "repeated": False}
    assert again.body == {"status": "SUCCEEDED", "repeated": True}
    assert (other.status, other.code) == (409, "conflict")
    run = (await api.call("GET", f"/runs/{world.run}")).body
    assert (run["status"], run["result"]) == ("SUCCEEDED", {"x": 1})


async def test_a_result_for_a_cancelled_run_is_a_conflict(api: Api) -> None:
    world = await prepare(api)
    assert (await api.call("POST", f"/runs/{world.run}/cancel")).body["status"] == "CANCELLED"

    late = await api.call("POST", f"/work/{world.state}/outputs", {"outputs": [{}]})

    assert (late.status, late.code) == (409, "conflict")
