"""Exosphere's routes under `/v0`, each with keys of every scope, of another namespace, and with none that counts."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from karman_core.engine.access import Scope
from karman_functions.exosphere.routes import ROUTES
from tests.exosphere.api import TEXT, Api, furnished, graph, node
from tests.exosphere.server import KEY

BODIES: dict[str, Any] = {
    "register_nodes": {
        "runtime_name": "r",
        "nodes": [{"name": "N", "inputs_schema": TEXT, "outputs_schema": TEXT}],
    },
    "upsert_graph": graph(node("a")),
    "trigger_graph": {},
    "enqueue_states": {"nodes": ["Echo"], "batch_size": 1},
    "report_executed": {"outputs": []},
    "report_errored": {"error": "e"},
    "report_pruned": {"data": {}},
    "report_requeued": {"enqueue_after": 50},
    "retry_state": {"fanout_id": "f"},
}
FILLED = {
    "graph_name": "g",
    "run_id": "{run}",
    "state_id": "{leased}",
    "node_id": "{leased}",
    "page": "1",
    "size": "10",
}
NOTHING = {
    "graph_name": "none",
    "run_id": "r0",
    "state_id": "r0--0",
    "node_id": "r0--0",
    "page": "1",
    "size": "1",
}
GUARDED = [route for route in ROUTES if route.scope is not None]
NAMED = [route for route in GUARDED if "namespace_name" in route.pattern.groupindex]


def path_of(route: Any, names: dict[str, str], namespace: str = "ns") -> str:
    text = route.pattern.pattern.removesuffix("/?")
    for name, value in {**names, "namespace_name": namespace}.items():
        text = text.replace(f"(?P<{name}>[^/]+)", value)
    assert "(?P" not in text, "a parameter that no test knows"
    return str(text)


def body_of(route: Any) -> Any:
    if route.body is None:
        return None
    return BODIES[route.handler.__name__]


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with furnished() as made:
        yield made


async def issue(api: Api, scope: str, namespace: str = "ns") -> dict[str, Any]:
    body = {"name": "k", "scopes": [scope]}
    answer = await api.call("POST", f"/v1/namespaces/{namespace}/keys", body)
    return dict(answer.json())


async def ask(
    api: Api, route: Any, key: str | None, names: dict[str, str] = FILLED, namespace: str = "ns"
) -> Any:
    return await api.call(route.method, path_of(route, names, namespace), body_of(route), key=key)


def test_one_route_is_for_everybody() -> None:
    assert [route.handler.__name__ for route in ROUTES if route.scope is None] == ["get_health"]


async def test_no_key_and_keys_that_are_none(api: Api) -> None:
    real = (await issue(api, "admin"))["key"]
    head, _, secret = real.rpartition(".")
    gone = await issue(api, "admin")
    keys = "/v1/namespaces/ns/keys"
    rotated = (await api.call("POST", f"{keys}/{gone['id']}/rotate", {"overlap_seconds": 0})).json()
    assert (await api.call("DELETE", f"{keys}/{gone['id']}")).status_code == 204
    wrong = [None, "x", real[:-1], real + "x", head, f"karman.other.{head.split('.')[2]}.{secret}", KEY[:-1]]
    wrong += [gone["key"], rotated["key"], real.upper(), "k" * 5_000, f"karman.ns#keys.{secret}.x"]
    for route in GUARDED:
        answers = [await ask(api, route, key, names) for key in wrong for names in (FILLED, NOTHING)]
        assert {(answer.status_code, answer.text) for answer in answers} == {(401, answers[0].text)}, route


@pytest.mark.parametrize("scope", list(Scope))
async def test_a_key_does_what_its_scope_says(api: Api, scope: Scope) -> None:
    key = (await issue(api, scope))["key"]
    for route in NAMED:
        there, nothing = await ask(api, route, key), await ask(api, route, key, NOTHING)
        if scope in {Scope.ADMIN, route.scope}:
            assert there.status_code not in {401, 403}, (route, there.text)
        else:
            assert (there.status_code, there.text) == (403, nothing.text), route


async def test_a_key_of_another_namespace_learns_nothing(api: Api) -> None:
    key = (await issue(api, "admin", "other"))["key"]
    for route in NAMED:
        answers = [
            await ask(api, route, key, names, namespace)
            for names in (FILLED, NOTHING)
            for namespace in ("ns", "never-used", "no%20name")
        ]
        assert {(answer.status_code, answer.text) for answer in answers} == {(403, answers[0].text)}, route
        # In its own namespace too, what is another's is not there.
        own, unheard = [await ask(api, route, key, names, "other") for names in (FILLED, NOTHING)]
        if route.handler.__name__ not in {"register_nodes", "upsert_graph"}:
            assert own.status_code == unheard.status_code, (route, own.text, unheard.text)


async def test_namespaces_are_listed_to_their_own_keys(api: Api) -> None:
    key = (await issue(api, "read", "other"))["key"]
    assert (await api.call("GET", "/v0/namespaces", key=key)).json() == {"namespaces": [], "count": 0}
    own = (await issue(api, "read"))["key"]
    assert (await api.call("GET", "/v0/namespaces", key=own)).json() == {"namespaces": ["ns"], "count": 1}
    worker = (await issue(api, "worker"))["key"]
    assert (await api.call("GET", "/v0/namespaces", key=worker)).status_code == 403
