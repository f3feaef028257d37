"""What a client of `/v0` sees beyond one answer: access, ids of requests, repeated reports, pages, drawings."""

import json
import uuid
from collections.abc import AsyncIterator

import pytest

from karman_core.domain.outcome import Succeeded
from karman_core.engine.access import Scope
from karman_functions.exosphere import ExosphereSettings
from tests.exosphere.api import TEXT, Api, furnished, graph, node, register, serving

POLL = {"nodes": ["Echo"], "batch_size": 10}
DONE = {"outputs": [{"text": "x"}]}


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with furnished() as made:
        yield made


@pytest.fixture
async def empty() -> AsyncIterator[Api]:
    async with serving() as made:
        yield made


# --- requests ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [None, "", "wrong", "karman.ns.x.y", "x" * 5_000])
async def test_a_wrong_key_is_told_in_exospheres_words(api: Api, key: str | None) -> None:
    for path in ("/v0/namespaces", "/nodes/", "/graph/none"):
        answer = await api.call("GET", path, key=key)
        assert (answer.status_code, answer.json()) == (401, {"detail": "Invalid API key"})


async def test_an_answer_holds_as_many_states_as_lambda_gives_back() -> None:
    async with serving(answer_bytes=9_000) as api:
        await register(api, "Echo")
        await api.ok("PUT", "/graph/g", graph(node("a", inputs={"text": "initial"})))
        for _ in range(4):
            await api.run(inputs={"text": "長" * 1_000})
        found: set[str] = set()
        while len(found) < 4:
            states = (await api.ok("POST", "/states/enqueue", POLL))["states"]
            assert len(states) <= 2
            found |= {each["state_id"] for each in states}


async def test_an_answer_that_could_not_be_given_back_is_refused() -> None:
    async with serving(answer_bytes=2_000) as api:
        for number in range(12):
            await register(api, f"Node{number}")
        answer = await api.call("GET", "/nodes/")

        assert (answer.status_code, answer.json()) == (
            413,
            {"detail": "The answer is over the limit of 2,000 bytes."},
        )


async def test_the_clients_request_id_comes_back_if_it_is_a_uuid(api: Api) -> None:
    given = str(uuid.uuid4())
    headers = {"x-exosphere-request-id": given}
    assert (await api.call("GET", "/health", **headers)).headers["x-exosphere-request-id"] == given
    headers = {"x-exosphere-request-id": "mine"}
    answers = [await api.call("GET", "/v0/nothing", **headers) for _ in range(2)]
    first, second = (uuid.UUID(answer.headers["x-exosphere-request-id"]) for answer in answers)
    assert (first.version, first == second) == (4, False)


async def test_a_body_over_the_limit_is_refused(api: Api) -> None:
    answer = await api.call("PUT", "/nodes/", b" " * 5_000_000)
    assert answer.status_code == 413
    assert "more than" in answer.json()["detail"]


async def test_what_goes_wrong_inside_is_not_told(api: Api) -> None:
    api.backend.close()
    answer = await api.call("GET", "/nodes/")
    assert answer.status_code >= 500
    assert answer.json() == {"success": False, "detail": "internal server error"}


async def test_karmans_own_routes_are_beside(api: Api) -> None:
    assert (await api.call("GET", "/v1/health")).status_code == 200


# --- access -----------------------------------------------------------------------------------------------------------

SCOPES = [
    ("PUT", "/nodes/", Scope.WORKER),
    ("GET", "/nodes/", Scope.READ),
    ("PUT", "/graph/g", Scope.ADMIN),
    ("GET", "/graph/g", Scope.READ),
    ("GET", "/graphs/", Scope.READ),
    ("POST", "/graph/g/trigger", Scope.TRIGGER),
    ("POST", "/states/enqueue", Scope.WORKER),
    ("POST", "/state/{leased}/executed", Scope.WORKER),
    ("POST", "/state/{leased}/errored", Scope.WORKER),
    ("POST", "/state/{leased}/prune", Scope.WORKER),
    ("POST", "/state/{leased}/re-enqueue-after", Scope.WORKER),
    ("POST", "/state/{leased}/manual-retry", Scope.TRIGGER),
    ("GET", "/state/{leased}/secrets", Scope.WORKER),
    ("GET", "/runs/1/10", Scope.READ),
    ("GET", "/states/run/{run}/graph", Scope.READ),
    ("GET", "/graph/g/run/{run}/node/{leased}", Scope.READ),
]


async def test_each_route_takes_its_scope_in_its_namespace(api: Api) -> None:
    keys = api.application.services.keys
    for method, path, scope in SCOPES:
        others = [one for one in Scope if one not in {scope, Scope.ADMIN}]
        refused = [await keys.issue("ns", "wrong scopes", others), await keys.issue("other", "all", [*Scope])]
        answers = [await api.call(method, path, key=issued.key) for issued in refused]
        assert [answer.status_code for answer in answers] == [403, 403], (method, path)
        assert answers[0].json().keys() == {"detail"}
        allowed = await keys.issue("ns", "right scope", [scope])
        answer = await api.call(method, path, key=allowed.key)
        assert answer.status_code in {200, 422}, (method, path)


async def test_a_key_of_a_namespace_is_told_of_that_one_alone(api: Api) -> None:
    nodes = {"runtime_name": "r", "nodes": []}
    await api.ok("PUT", "/v0/namespace/another/nodes/", nodes)
    assert (await api.ok("GET", "/v0/namespaces"))["namespaces"] == ["another", "ns"]
    own = await api.application.services.keys.issue("ns", "reader", [Scope.READ])
    answer = await api.call("GET", "/v0/namespaces", key=own.key)
    assert answer.json() == {"namespaces": ["ns"], "count": 1}


# --- work -------------------------------------------------------------------------------------------------------------


async def test_the_first_result_wins_and_the_same_again_is_none(api: Api) -> None:
    path = "/state/{leased}/executed"
    assert [(await api.call("POST", path, DONE)).status_code for _ in range(2)] == [200, 200]
    other = await api.call("POST", path, {"outputs": [{"text": "other"}]})
    assert other.status_code == 409
    states = (await api.ok("POST", "/states/enqueue", POLL))["states"]
    assert [state["identifier"] for state in states] == ["b"]


async def test_equal_reports_of_different_turns_all_count(empty: Api) -> None:
    await register(empty, "Echo")
    policy = {"max_retries": 2, "strategy": "FIXED", "backoff_factor": 1}
    await empty.ok("PUT", "/graph/g", graph(node("a"), retry_policy=policy))
    run_id = await empty.run()
    for path, body in [("re-enqueue-after", {"enqueue_after": 1})] * 2 + [("errored", {"error": "e"})] * 3:
        empty.ids["state"] = await empty.lease()
        await empty.ok("POST", f"/state/{{state}}/{path}", body)
    [row] = (await empty.ok("GET", "/runs/1/10"))["runs"]
    assert (row["run_id"], row["status"]) == (run_id, "FAILED")
    assert (row["retried_count"], row["errored_count"]) == (2, 1)


async def test_a_batch_is_as_large_as_asked_for_and_bounded() -> None:
    async with serving(ExosphereSettings(max_batch=15)) as api:
        await register(api, "Echo", "Fan")
        await api.ok("PUT", "/graph/g", graph(node("f", "e", node_name="Fan"), node("e")))
        await api.run()
        state_id = await api.lease("Fan")
        await api.ok("POST", f"/state/{state_id}/executed", {"outputs": [{}] * 30})
        counts = [
            (await api.ok("POST", "/states/enqueue", {"nodes": ["Echo", "Fan"], "batch_size": size}))["count"]
            for size in (12, 1_000, 1_000, 1_000)
        ]
        assert counts == [12, 15, 3, 0]


async def test_no_node_waits_behind_the_long_queue_of_another(empty: Api) -> None:
    await register(empty, "A", "Z")
    await empty.ok("PUT", "/graph/a", graph(node("a", node_name="A")))
    await empty.ok("PUT", "/graph/z", graph(node("z", node_name="Z")))
    for _ in range(60):
        await empty.run("a")
    await empty.run("z")
    body = {"nodes": ["A", "Z"], "batch_size": 2}
    polls = [(await empty.ok("POST", "/states/enqueue", body))["states"] for _ in range(25)]
    assert "Z" in {state["node_name"] for states in polls for state in states}


async def test_a_lease_that_has_ended_is_given_again_and_either_report_counts_once() -> None:
    async with serving(ExosphereSettings(lease_seconds=1)) as api:
        await register(api, "Echo")
        await api.ok("PUT", "/graph/g", graph(node("a")))
        await api.run()
        first = await api.lease()
        await api.application.services.clock.sleep(1.1)
        assert await api.lease() == first
        codes = [
            (await api.call("POST", f"/state/{first}/executed", {"outputs": [{"text": text}]})).status_code
            for text in ("early", "late", "early")
        ]
        assert codes == [200, 409, 200]


async def test_one_of_several_failed_states_is_retried_by_hand(empty: Api) -> None:
    await register(empty, "Echo")
    never = {"max_retries": 0}
    await empty.ok("PUT", "/graph/g", graph(node("r", "a", "b"), node("a"), node("b"), retry_policy=never))
    run_id = await empty.run()
    await empty.ok("POST", f"/state/{await empty.lease()}/executed", DONE)
    failed = [await empty.lease() for _ in range(2)]
    for state_id in failed:
        await empty.ok("POST", f"/state/{state_id}/errored", {"error": "e"})
    for ended, state_id in enumerate(failed):
        await empty.ok("POST", f"/state/{state_id}/manual-retry", {"fanout_id": "f"})
        assert await empty.lease() == state_id
        await empty.ok("POST", f"/state/{state_id}/executed", DONE)
        [row] = (await empty.ok("GET", "/runs/1/10"))["runs"]
        assert (row["run_id"], row["status"]) == (run_id, ["FAILED", "SUCCESS"][ended])


async def test_a_manual_retry_of_the_same_name_is_a_duplicate(api: Api) -> None:
    body = {"fanout_id": "f"}
    await api.ok("POST", "/state/{failed}/manual-retry", body)
    await api.lease("Other")
    await api.ok("POST", "/state/{failed}/errored", {"error": "again"})
    answer = await api.call("POST", "/state/{failed}/manual-retry", body)
    assert (answer.status_code, answer.json()) == (409, {"detail": "Duplicate retry state detected"})
    await api.ok("POST", "/state/{failed}/manual-retry", {"fanout_id": "another"})


# --- graphs -----------------------------------------------------------------------------------------------------------


async def test_a_graph_keeps_what_it_was_given(api: Api) -> None:
    policy = {
        "max_retries": 1,
        "strategy": "LINEAR",
        "backoff_factor": 5,
        "exponent": 3,
        "max_delay": 9,
    }
    store = {"required_keys": ["k"], "default_values": {"k": "v"}}
    triggers = [{"type": "CRON", "value": {"expression": "0 9 * * 1-5"}}]
    asked = graph(node("a"), retry_policy=policy, store_config=store, triggers=triggers)
    await api.ok("PUT", "/graph/kept", {**asked, "secrets": {"token": "hidden"}})
    got = await api.ok("GET", "/graph/kept")
    assert (got["retry_policy"], got["store_config"], got["triggers"]) == (policy, store, triggers)
    assert got["secrets"] == {"token": True}
    assert got["validation_status"] == "VALID"
    [listed] = [one for one in (await api.ok("GET", "/graphs/"))["templates"] if one["name"] == "kept"]
    assert {**listed, **got} == listed
    assert "hidden" not in json.dumps(listed)
    [schedule] = await api.backend.schedules.list("ns", "kept")
    assert (schedule.cron, schedule.timezone) == ("0 9 * * 1-5", "UTC")
    assert await api.application.services.engine.fire(schedule, 1_700_000_000_000) is not None


async def test_errors_of_nodes_and_schemas_show_when_the_graph_is_asked_for(api: Api) -> None:
    await register(api, "Needy", secrets=("token",))
    bad = [node("a", "b", node_name="Needy"), node("b", "c", inputs={}), node("c", node_name="None")]
    await api.ok("PUT", "/graph/bad", graph(*bad))
    got = await api.ok("GET", "/graph/bad")
    assert got["validation_status"] == "INVALID"
    assert [error.split(":")[0] for error in sorted(got["validation_errors"])] == [
        "nodes[0].node_name",
        "nodes[1].inputs.text",
        "nodes[2].node_name",
    ]


# --- runs -------------------------------------------------------------------------------------------------------------


async def test_pages_of_runs_begin_at_one_with_the_newest(api: Api) -> None:
    pages = [await api.ok("GET", f"/runs/{page}/2") for page in (1, 2, 3)]
    assert [len(page["runs"]) for page in pages] == [2, 1, 0]
    rows = [row for page in pages for row in page["runs"]]
    ids = [api.ids[name] for name in ("run", "run_failed", "run_done")]
    assert [row["run_id"] for row in rows] == ids
    assert [row["status"] for row in rows] == ["PENDING", "FAILED", "SUCCESS"]
    assert [row["pending_count"] for row in rows] == [1, 0, 0]
    assert "Z" not in rows[0]["created_at"]


async def test_a_run_is_drawn_with_its_retries_and_its_joins(empty: Api) -> None:
    await register(empty, "Echo")
    join = node("j", unites={"identifier": "r", "strategy": "ALL_SUCCESS"})
    policy = {"max_retries": 1, "strategy": "FIXED", "backoff_factor": 1}
    await empty.ok("PUT", "/graph/g", graph(node("r", "a"), node("a", "j"), join, retry_policy=policy))
    run_id = await empty.run()
    root = await empty.lease()
    await empty.ok("POST", f"/state/{root}/executed", DONE)
    a = await empty.lease()
    await empty.ok("POST", f"/state/{a}/errored", {"error": "e"})
    assert await empty.lease() == a
    await empty.ok("POST", f"/state/{a}/executed", DONE)
    j = await empty.lease()
    drawn = await empty.ok("GET", f"/states/run/{run_id}/graph")
    assert [one["id"] for one in drawn["root_states"]] == [root]
    statuses = {one["id"]: (one["status"], one["error"]) for one in drawn["nodes"]}
    assert statuses == {
        root: ("SUCCESS", None),
        f"{a}~1": ("RETRY_CREATED", "e"),
        a: ("SUCCESS", None),
        j: ("QUEUED", None),
    }
    edges = [(edge["source"], edge["target"]) for edge in drawn["edges"]]
    assert edges == [(root, f"{a}~1"), (root, a), (root, j)]
    summary = {name: count for name, count in drawn["execution_summary"].items() if count}
    assert (len(drawn["execution_summary"]), summary) == (8, {"SUCCESS": 2, "RETRY_CREATED": 1, "QUEUED": 1})
    details = await empty.ok("GET", f"/graph/g/run/{run_id}/node/{a}~1")
    assert (details["status"], details["error"], details["parents"]) == ("RETRY_CREATED", "e", {"r": root})
    assert (await empty.ok("GET", f"/graph/g/run/{run_id}/node/{j}"))["parents"] == {"r": root}


# --- beside others ----------------------------------------------------------------------------------------------------


async def test_nothing_of_another_namespace_is_told(api: Api) -> None:
    other = await api.application.services.keys.issue("other", "all", [*Scope])
    here = "/v0/namespace/other"
    reads = {path: f"{here}{path}" for method, path, _ in SCOPES if method == "GET"}
    answers = {path: await api.call("GET", url, key=other.key) for path, url in reads.items()}
    assert {path: answer.status_code for path, answer in answers.items()} == {
        "/nodes/": 200,
        "/graph/g": 404,
        "/graphs/": 200,
        "/state/{leased}/secrets": 404,
        "/runs/1/10": 200,
        "/states/run/{run}/graph": 200,
        "/graph/g/run/{run}/node/{leased}": 404,
    }
    assert answers["/nodes/"].json()["nodes"] == answers["/graphs/"].json()["templates"] == []
    assert answers["/runs/1/10"].json()["total"] == 0
    assert answers["/states/run/{run}/graph"].json()["nodes"] == []
    for path, body in [("executed", DONE), ("errored", {"error": "e"}), ("prune", {"data": {}})]:
        answer = await api.call("POST", f"{here}/state/{{leased}}/{path}", body, key=other.key)
        assert (answer.status_code, answer.json()) == (404, {"detail": "State not found"})
    assert (await api.call("POST", f"{here}/states/enqueue", POLL, key=other.key)).json()["count"] == 0


async def test_nodes_of_karmans_own_workers_are_in_the_same_graph(empty: Api) -> None:
    await register(empty, "Echo")
    typed = {"name": "Typed", "inputs_schema": TEXT, "outputs_schema": TEXT}
    await empty.ok("PUT", "/v1/namespaces/ns/nodes", {"runtime": "own", "nodes": [typed]})
    given = {"text": "${{ a.outputs.text }}"}
    nodes = [node("a", "b"), node("b", "c", node_name="Typed", inputs=given), node("c")]
    await empty.ok("PUT", "/graph/g", graph(*nodes))
    await empty.run()
    await empty.ok("POST", f"/state/{await empty.lease()}/executed", {"outputs": [{"text": "from a"}]})
    engine = empty.application.services.engine
    [work] = await engine.poll("ns", ["Typed"])
    assert work.inputs == {"text": "from a"}
    await engine.report("ns", work.state_id, Succeeded(({"text": "from b"},)), lease=work.lease)
    await empty.ok("POST", f"/state/{await empty.lease()}/executed", DONE)
    [row] = (await empty.ok("GET", "/runs/1/10"))["runs"]
    assert (row["status"], row["success_count"]) == ("SUCCESS", 3)
    listed = {one["name"]: one["runtime_name"] for one in (await empty.ok("GET", "/nodes/"))["nodes"]}
    assert listed == {"Echo": "runtime", "Typed": "own"}
