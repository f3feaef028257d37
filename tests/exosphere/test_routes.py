"""Every route of `/v0`, with requests that are good and such that are not: status and JSON."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.exosphere.api import TEXT, Api, furnished, graph, node

NODE = {"name": "New", "inputs_schema": TEXT, "outputs_schema": TEXT, "secrets": ["token"]}
LONG = "x" * 200
NO_STATE = {"detail": "State not found"}
NOT_QUEUED = {"detail": "State is not queued"}
OK = 200


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with furnished() as made:
        yield made


def upsert(*nodes: Any, **more: Any) -> tuple[str, str, Any]:
    return "PUT", "/graph/new", graph(*nodes, **more)


def policy(**values: Any) -> tuple[str, str, Any]:
    return upsert(node("a"), retry_policy=values)


def store(**values: Any) -> tuple[str, str, Any]:
    return upsert(node("a"), store_config=values)


def cron(expression: Any) -> tuple[str, str, Any]:
    return upsert(node("a"), triggers=[{"type": "CRON", "value": {"expression": expression}}])


GOOD: list[tuple[tuple[str, str, Any], int, Any]] = [
    (("GET", "/health", None), OK, {"message": "OK"}),
    (("GET", "/v0/namespaces", None), OK, {"namespaces": ["ns"], "count": 1}),
    (
        ("PUT", "/nodes/", {"runtime_name": "r 1", "runtime_namespace": "ns", "nodes": [NODE]}),
        OK,
        {"runtime_name": "r 1", "registered_nodes": [NODE]},
    ),
    (("PUT", "/nodes", {"runtime_name": "r", "nodes": []}), OK, {"registered_nodes": []}),
    (("GET", "/nodes/", None), OK, {"namespace": "ns", "count": 2}),
    (("GET", "/nodes", None), OK, {"count": 2}),
    (upsert(node("a")), 201, {"validation_status": "PENDING", "validation_errors": None, "triggers": []}),
    (upsert(node(" a ", next_nodes=None)), 201, {"nodes": [node("a")]}),
    (upsert(node("a", inputs={"text": "x", "more": "y"})), 201, {"nodes": [node("a")]}),
    (upsert(node("a", node_name="Unknown")), 201, {"validation_status": "PENDING"}),
    (store(required_keys=["k"], default_values={"n": 5}), 201, {}),
    (cron("*/5 * * * *"), 201, {"triggers": [{"type": "CRON", "value": {"expression": "*/5 * * * *"}}]}),
    (("GET", "/graph/g", None), OK, {"validation_status": "VALID", "validation_errors": None}),
    (("GET", "/graph/invalid/", None), OK, {"validation_status": "INVALID"}),
    (("GET", "/graphs/", None), OK, {"namespace": "ns", "count": 4}),
    (("GET", "/graphs", None), OK, {"count": 4}),
    (("POST", "/graph/g/trigger", {}), OK, {"status": "CREATED"}),
    (("POST", "/graph/g/trigger", {"inputs": {"strange": "x"}, "unknown": 1}), OK, {"status": "CREATED"}),
    (("POST", "/graph/needy/trigger", {"store": {"k": "v", "more": "w"}}), OK, {"status": "CREATED"}),
    (
        ("POST", "/states/enqueue", {"nodes": ["Nobody"], "batch_size": 5}),
        OK,
        {"count": 0, "namespace": "ns", "status": "QUEUED", "states": []},
    ),
    (("POST", "/states/enqueue", {"nodes": ["Echo"], "batch_size": 0}), OK, {"count": 0}),
    (("POST", "/states/enqueue", {"nodes": ["Echo"], "batch_size": -3}), OK, {"count": 0}),
    (("POST", "/states/enqueue", {"nodes": [], "batch_size": 3}), OK, {"count": 0}),
    (("POST", "/state/{leased}/executed", {"outputs": [{"text": "y"}]}), OK, {"status": "EXECUTED"}),
    (("POST", "/state/{leased}/executed", {"outputs": []}), OK, {"status": "EXECUTED"}),
    (("POST", "/state/{done}/executed", {"outputs": [{"text": "x"}]}), OK, {"status": "EXECUTED"}),
    (("POST", "/state/{leased}/errored", {"error": "e"}), OK, {"status": "ERRORED", "retry_created": True}),
    (("POST", "/state/{failed}/errored", {"error": "bad"}), OK, {"retry_created": False}),
    (("POST", "/state/{leased}/prune", {"data": {"a": [1]}}), OK, {"status": "PRUNED"}),
    (("POST", "/state/{leased}/re-enqueue-after", {"enqueue_after": 50}), OK, {"status": "CREATED"}),
    (("POST", "/state/{failed}/manual-retry", {"fanout_id": "f"}), OK, {"status": "CREATED"}),
    (("GET", "/state/{leased}/secrets", None), OK, {"secrets": {}}),
    (("GET", "/runs/1/10", None), OK, {"namespace": "ns", "total": 3, "page": 1, "size": 10}),
    (("GET", "/runs/7/10/", None), OK, {"total": 3, "runs": []}),
    (("GET", "/states/run/{run}/graph", None), OK, {"graph_name": "g", "node_count": 1, "edge_count": 0}),
    (("GET", "/states/run/unknown/graph", None), OK, {"graph_name": "", "nodes": [], "node_count": 0}),
    (("GET", "/states/run/%C3%A9/graph", None), OK, {"nodes": []}),
    (("GET", "/graph/g/run/{run}/node/{leased}", None), OK, {"status": "QUEUED", "error": None}),
    (("GET", "/graph/other/run/{run_done}/node/{done}", None), OK, {"outputs": {"text": "x"}}),
    (("GET", "/graph/other/run/{run_failed}/node/{failed}", None), OK, {"status": "ERRORED", "error": "bad"}),
]

BAD: list[tuple[tuple[str, str, Any], int, Any]] = [
    (("GET", "/v0/nothing", None), 404, {"detail": "Not Found"}),
    (("DELETE", "/graph/g", None), 405, {"detail": "Method Not Allowed"}),
    (("PUT", "/nodes/", None), 422, ["body"]),
    (("PUT", "/nodes/", b"{"), 422, ["body", 0]),
    (("PUT", "/nodes/", b"\xff"), 422, ["body", 0]),
    (("PUT", "/nodes/", []), 422, ["body"]),
    (("PUT", "/nodes/", {"nodes": []}), 422, ["body", "runtime_name"]),
    (("PUT", "/nodes/", {"runtime_name": "r", "nodes": [{**NODE, "name": "a b"}]}), 422, None),
    (("PUT", "/nodes/", {"runtime_name": "r", "nodes": [{**NODE, "inputs_schema": {"type": 5}}]}), 422, None),
    (
        ("PUT", "/v0/namespace/a b/nodes/", {"runtime_name": "r", "nodes": []}),
        422,
        ["path", "namespace_name"],
    ),
    (("PUT", "/graph/a%23b", graph(node("a"))), 422, ["path", "graph_name"]),
    (("PUT", "/graph/new", {"nodes": [node("a")]}), 422, ["body", "secrets"]),
    (("PUT", "/graph/new", {"secrets": {}}), 422, ["body", "nodes"]),
    (upsert(node("")), 422, ["body", "nodes", 0, "identifier"]),
    (upsert(node("store")), 422, ["body", "nodes", 0, "identifier"]),
    (upsert(node("a", node_name=" ")), 422, ["body", "nodes", 0, "node_name"]),
    (upsert(node("a", "b", "b"), node("b")), 422, ["body", "nodes", 0, "next_nodes"]),
    (upsert(node("a", unites={"identifier": " "})), 422, ["body", "nodes", 0, "unites", "identifier"]),
    (upsert(node("a", inputs=None)), 422, ["body", "nodes", 0, "inputs"]),
    (policy(max_retries=-1), 422, ["body", "retry_policy", "max_retries"]),
    (policy(strategy="NONE"), 422, ["body", "retry_policy", "strategy"]),
    (policy(backoff_factor=0), 422, ["body", "retry_policy", "backoff_factor"]),
    (store(required_keys=["a", "a"]), 422, ["body", "store_config", "required_keys"]),
    (store(required_keys=["a.b"]), 422, ["body", "store_config", "required_keys", 0]),
    (cron("never"), 422, ["body", "triggers", 0, "value", "expression"]),
    (upsert(), 400, None),
    (upsert(node("a", "b")), 400, None),
    (upsert(node("a"), node("a")), 400, None),
    (upsert(node("a"), node("b")), 400, None),
    (upsert(node("a", "b"), node("b", "a")), 400, None),
    (upsert(node("a", inputs={"text": 5})), 400, {"detail": "Input 'text' of 'a' is not a string"}),
    (upsert(node("a", inputs={"text": "${{ b.outputs.text }}"})), 400, None),
    (upsert(node("a", inputs={"text": "${{ store.k }}"})), 400, None),
    (upsert(node("a", inputs={"text": "${{ oops"})), 400, None),
    (upsert(node("a", "b"), node("b", unites={"identifier": "b"})), 400, None),
    (("GET", "/graph/none", None), 404, {"detail": "Graph template none not found in namespace ns"}),
    (("GET", "/graph/a%23b", None), 404, {"detail": "Graph template a#b not found in namespace ns"}),
    (
        ("POST", "/graph/none/trigger", {}),
        404,
        {"detail": "Graph template not found for namespace ns and graph none"},
    ),
    (("POST", "/graph/invalid/trigger", {}), 400, {"detail": "Graph template is not valid"}),
    (("POST", "/graph/needy/trigger", {}), 400, {"detail": "Missing store keys: {'k'}"}),
    (("POST", "/graph/g/trigger", {"inputs": {"text": 5}}), 422, ["body", "inputs", "text"]),
    (("POST", "/graph/g/trigger", {"store": {"k": None}}), 422, ["body", "store", "k"]),
    (("POST", "/graph/g/trigger", {"start_delay": -1}), 422, ["body", "start_delay"]),
    (("POST", "/graph/g/trigger", {"store": {"a b": "v"}}), 400, None),
    (("POST", "/states/enqueue", {"nodes": ["Echo"]}), 422, ["body", "batch_size"]),
    (("POST", "/states/enqueue", {"batch_size": 1}), 422, ["body", "nodes"]),
    (("POST", "/states/enqueue", {"nodes": ["a"] * 201, "batch_size": 1}), 422, ["body", "nodes"]),
    (("POST", "/state/{leased}/executed", {}), 422, ["body", "outputs"]),
    (("POST", "/state/{leased}/executed", {"outputs": ["x"]}), 422, ["body", "outputs", 0]),
    (("POST", "/state/{done}/executed", {"outputs": [{"text": "other"}]}), 409, None),
    (("POST", "/state/{waiting}/executed", {"outputs": []}), 404, NO_STATE),
    (("POST", "/state/{unknown}/executed", {"outputs": []}), 404, NO_STATE),
    (("POST", "/state/x/executed", {"outputs": []}), 404, NO_STATE),
    (("POST", "/state/{done}~1/executed", {"outputs": []}), 404, NO_STATE),
    (("POST", f"/state/{LONG}/executed", {"outputs": []}), 404, NO_STATE),
    (("POST", "/v0/namespace/other/state/{leased}/executed", {"outputs": []}), 404, NO_STATE),
    (("POST", "/state/{done}/errored", {"error": "late"}), 409, None),
    (("POST", "/state/{leased}/errored", {"error": 5}), 422, ["body", "error"]),
    (("POST", "/state/{unknown}/errored", {"error": "e"}), 404, NO_STATE),
    (("POST", "/state/{done}/prune", {"data": {}}), 409, None),
    (("POST", "/state/{leased}/prune", {"data": []}), 422, ["body", "data"]),
    (("POST", "/state/{unknown}/prune", {"data": {}}), 404, NO_STATE),
    (("POST", "/state/{done}/re-enqueue-after", {"enqueue_after": 5}), 409, None),
    (("POST", "/state/{leased}/re-enqueue-after", {"enqueue_after": 0}), 422, ["body", "enqueue_after"]),
    (("POST", "/state/x/re-enqueue-after", {"enqueue_after": 5}), 404, NO_STATE),
    (("POST", "/state/{done}/manual-retry", {"fanout_id": "f"}), 409, None),
    (("POST", "/state/{leased}/manual-retry", {"fanout_id": "f"}), 409, None),
    (("POST", "/state/{unknown}/manual-retry", {"fanout_id": "f"}), 404, NO_STATE),
    (("POST", "/state/{failed}/manual-retry", {}), 422, ["body", "fanout_id"]),
    (("GET", "/state/{unknown}/secrets", None), 404, NO_STATE),
    (("GET", "/state/x/secrets", None), 404, NO_STATE),
    (("GET", "/v0/namespace/other/state/{leased}/secrets", None), 404, NO_STATE),
    (("GET", "/runs/0/10", None), 422, ["path", "page"]),
    (("GET", "/runs/x/10", None), 422, ["path", "page"]),
    (("GET", "/runs/1/0", None), 422, ["path", "size"]),
    (("GET", "/runs/1/1001", None), 422, ["path", "size"]),
    (("GET", "/graph/g/run/{run}/node/x", None), 400, {"detail": "Invalid node ID format: x"}),
    (("GET", "/graph/g/run/{run}/node/{unknown}", None), 404, None),
    (("GET", "/graph/g/run/{run}/node/{leased}~1", None), 404, None),
    (("GET", "/graph/needy/run/{run}/node/{leased}", None), 404, None),
    (("GET", "/graph/g/run/{run_done}/node/{leased}", None), 404, None),
]


def name(case: Any) -> str:
    return " ".join(map(str, case[:2])) if isinstance(case, tuple) else ""


def stored(api: Api) -> list[str]:
    """All that the database holds."""
    with api.backend.database.read() as connection:
        return list(connection.iterdump())


@pytest.mark.parametrize(("request_", "status", "said"), GOOD, ids=name)
async def test_a_good_request(api: Api, request_: tuple[str, str, Any], status: int, said: Any) -> None:
    answer = await api.call(*request_)
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert {key: body[key] for key in said} == said


@pytest.mark.parametrize(("request_", "status", "said"), BAD, ids=name)
async def test_a_bad_request(api: Api, request_: tuple[str, str, Any], status: int, said: Any) -> None:
    before = stored(api)
    answer = await api.call(*request_)
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert list(body) == ["detail"]
    if isinstance(said, dict):
        assert body == said
    elif isinstance(said, list):
        assert said in [entry["loc"] for entry in body["detail"]]
        assert all({"type", "loc", "msg", "input"} <= entry.keys() for entry in body["detail"])
    assert stored(api) == before
