"""Who may do what: every route with every wrong key, and the life of a key."""

import hmac
from collections import Counter
from dataclasses import fields
from types import SimpleNamespace
from typing import Any

import pytest

from karman_core.domain.errors import NotFound, Unauthorized
from karman_core.engine import access
from karman_core.engine.access import BELIEVED_MS, USED_MS, AccessKeys, Scope
from karman_core.ports.table import Query
from karman_functions.api.routing import access_of
from tests.api.client import ADMIN_KEY, DEFINITION, NS, OTHER, UNLIMITED, Answer, Api
from tests.api.routes import CALLS, Call, World, prepare
from tests.scenario.clock import ManualClock, SeededEntropy

SCOPES = ("admin", "trigger", "worker", "read")
NOT_THERE = World("r0", "r0", "r0--0", "l", "k0", "r0")
PUBLIC = {"get_health", "get_description", "get_reference"}
OF_THE_SERVER = {"list_namespaces", "set_quotas"}


async def ask(api: Api, call: Call, world: World, key: str | None, namespace: str = NS) -> Answer:
    path = f"/v1/namespaces/{namespace}{world.path(call)}"
    return await api.call(call.method, path, world.body(call), key=key)


@pytest.mark.parametrize("call", CALLS, ids=str)
async def test_no_key_and_wrong_keys_are_401(api: Api, call: Call) -> None:
    world = await prepare(api)
    real = await api.key("admin")
    head, _, secret = real.rpartition(".")
    wrong = [None, "", "x", ADMIN_KEY + "x", ADMIN_KEY[:-1], "é", "k" * 10_000, real + "x", real[:-1], head]
    wrong += [f"{head}.", f"karman.{OTHER}.{head.split('.')[2]}.{secret}", f"karman...{secret}"]
    wrong += [f" {real}", f"{real}\n", f"{real}\0", real.upper(), f"{real},{real}", await revoked(api)]
    said = set()

    for key in wrong:
        for about in (world, NOT_THERE):
            answer = await ask(api, call, about, key)
            assert (answer.status, answer.code) == (401, "unauthorized"), key
            assert "x-api-key" in answer.headers["www-authenticate"]
            said.add(answer.text)
    assert len(said) == 1  # whatever the key and whatever exists


async def revoked(api: Api) -> str:
    """A key that was good, and believed, a moment ago."""
    issued = (await api.call("POST", "/keys", {"name": "gone", "scopes": ["admin"]})).body
    assert (await api.call("GET", "/nodes", key=issued["key"])).status == 200
    assert (await api.call("DELETE", f"/keys/{issued['id']}")).status == 204
    return str(issued["key"])


def test_every_route_of_the_application_is_tried(api: Api) -> None:
    scopes = {
        route.func.__name__: asked.scopes
        for route in api.app.resolver.routes
        if (asked := access_of(route)) is not None
    }

    assert {name for name, wanted in scopes.items() if not wanted} == PUBLIC
    assert scopes.keys() - PUBLIC - OF_THE_SERVER == {call.operation for call in CALLS}
    assert {scopes[name] for name in OF_THE_SERVER} == {(Scope.ADMIN,)}


async def test_what_belongs_to_the_server_takes_its_own_key(api: Api) -> None:
    await api.graph(OTHER)
    assert (await api.call("GET", "/v1/namespaces")).body["namespaces"] == [OTHER]
    for key, status in ((await api.key("admin"), 403), ("x", 401), (None, 401)):
        answer = await api.call("GET", "/v1/namespaces", key=key)
        assert answer.status == status
        assert OTHER not in answer.text


@pytest.mark.parametrize(
    "part", ["ns#graph.v#00000001", "ns#graphs.g", "ns#nodes.a", "ns#namespace.about", "ns#run.x"]
)
async def test_no_key_can_be_spelled_to_lead_elsewhere(api: Api, part: str) -> None:
    """A graph called `keys` has its versions in a partition whose name ends as that of the keys does."""
    await api.graph()
    assert (await api.call("PUT", "/graphs/keys", {"definition": DEFINITION})).status == 200

    answer = await api.call("GET", "/graphs", key=f"karman.{part}.secret")

    assert (answer.status, answer.code) == (401, "unauthorized")


async def test_a_wrong_secret_takes_the_same_way_as_an_unknown_key(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many reads and comparisons, none of which stops at the first difference."""
    key = await api.key("read")
    head, _, secret = key.rpartition(".")
    _, namespace, key_id = head.split(".")
    compared = []

    def compare(one: str, other: str) -> bool:
        compared.append(len(one))
        return hmac.compare_digest(one, other)

    monkeypatch.setattr(access, "hmac", SimpleNamespace(compare_digest=compare))
    ways = set()
    for presented in (
        f"{head}.{'y' if secret[0] == 'x' else 'x'}{secret[1:]}",
        f"karman.{namespace}.{key_id[::-1]}.{secret}",
        f"karman.none.a.{secret}",
    ):
        compared.clear()
        before = Counter(api.backend.table.consumed.calls)
        with pytest.raises(Unauthorized):
            await api.app.services.keys.verify(presented)
        ways.add((tuple(compared), tuple((Counter(api.backend.table.consumed.calls) - before).items())))
    assert len(ways) == 1
    assert len(next(iter(ways))[0]) == 3  # the configured key, the secret, and the one before a rotation


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("call", CALLS, ids=str)
async def test_a_key_does_what_its_scope_says(api: Api, call: Call, scope: str) -> None:
    world = await prepare(api)
    key = await api.key(scope)

    answer = await ask(api, call, world, key)

    if scope in {"admin", call.scope, call.also}:
        assert answer.status == call.status, answer.text
    else:
        assert (answer.status, answer.code) == (403, "forbidden")
        assert answer.text == (await ask(api, call, NOT_THERE, key)).text


@pytest.mark.parametrize("call", CALLS, ids=str)
async def test_another_namespaces_key_learns_nothing(api: Api, call: Call) -> None:
    """The same answer, word for word, whether the thing exists there or not, and however bad the request is."""
    world = await prepare(api)
    theirs = await prepare(api, OTHER)
    key = await api.key("admin", namespace=OTHER)

    there = await ask(api, call, world, key)
    not_there = await ask(api, call, NOT_THERE, key)
    nowhere = await ask(api, call, world, key, namespace="never-used")
    odd = await ask(api, call, world, key, namespace="no%20name")

    assert (there.status, there.code) == (403, "forbidden")
    assert {there.text, not_there.text, nowhere.text, odd.text} == {there.text}
    own = await ask(api, call, theirs, key, namespace=OTHER)
    assert own.status == call.status


@pytest.mark.parametrize("call", [call for call in CALLS if "{" in call.path], ids=str)
async def test_ids_of_another_namespace_are_not_found_in_ones_own(api: Api, call: Call) -> None:
    theirs = await prepare(api, OTHER)
    key = await api.key("admin")

    answer = await ask(api, call, theirs, key)

    assert answer.status == 404
    assert OTHER not in answer.text


async def test_namespaces_with_the_same_names_see_nothing_of_each_other(api: Api) -> None:
    mine, theirs = await prepare(api), await prepare(api, OTHER)
    keys = {NS: await api.key("admin"), OTHER: await api.key("admin", namespace=OTHER)}

    for namespace, world in ((NS, mine), (OTHER, theirs)):
        base = f"/v1/namespaces/{namespace}"
        listed = await api.call("GET", f"{base}/runs", key=keys[namespace])
        assert {run["run_id"] for run in listed.body["runs"]} == {world.run, world.failed, world.fan}
        polled = await api.call("POST", f"{base}/work/poll", {"nodes": ["a"]}, key=keys[namespace])
        assert polled.body == {"work": []}


@pytest.mark.parametrize("call", [call for call in CALLS if call.method == "GET"], ids=str)
async def test_nothing_of_another_namespace_is_in_any_answer(api: Api, call: Call) -> None:
    """Graphs, nodes and runs have the same names in both; what only the other has must not be seen."""
    world, theirs = await prepare(api), await prepare(api, OTHER)
    base = f"/v1/namespaces/{OTHER}"
    await api.call("PUT", f"{base}/nodes", {"runtime": "theirs", "nodes": [{"name": "theirs"}]})
    await api.call("PUT", f"{base}/graphs/theirs", {"definition": DEFINITION})
    await api.call("POST", f"{base}/graphs/g/runs", {"tags": {"whose": "theirs"}, "store": {"theirs": 1}})
    await api.call("POST", f"{base}/keys", {"name": "theirs", "scopes": ["read"]})
    await api.call("POST", f"{base}/work/{theirs.state}/wait", {"signal": "theirs"})
    hidden = {OTHER, "theirs", *(getattr(theirs, field.name) for field in fields(World))}

    answer = await ask(api, call, world, await api.key("read", "admin"))

    assert answer.status == 200, answer.text
    assert not [each for each in hidden if each in answer.text]


@pytest.mark.parametrize("node", ["a", "unheard_of"])
async def test_a_graph_cannot_ask_for_nodes_of_another_namespace(api: Api, node: str) -> None:
    await api.graph(OTHER)
    key = await api.key("admin")
    definition = {"nodes": [{"identifier": "x", "node_name": node, "namespace": OTHER}]}

    for query in ({}, {"validate_only": "true"}):
        answer = await api.call("PUT", "/graphs/g", {"definition": definition}, query=query, key=key)
        assert (answer.status, answer.code) == (403, "forbidden")
    allowed = await api.call("PUT", "/graphs/g", {"definition": definition})
    assert allowed.status == 200
    own = {"nodes": [{**DEFINITION["nodes"][0], "namespace": NS}]}
    assert (await api.call("PUT", "/graphs/g", {"definition": own}, key=key)).status == 200


async def test_the_admin_key_serves_every_namespace_that_can_be(api: Api) -> None:
    assert (await api.call("GET", "/v1/namespaces/brand_new/graphs")).status == 200
    assert (await api.call("GET", "/v1/namespaces/no name/graphs")).status == 404
    assert (await api.call("GET", "/v1/namespaces/ns\n/graphs")).status == 404


async def test_a_secret_is_shown_once_and_stored_nowhere(api: Api) -> None:
    key = await api.key("read", "worker")
    secret = key.rpartition(".")[2]

    listed = await api.call("GET", "/keys")
    page = await api.backend.table.query(Query(f"{NS}#keys"))

    (view,) = listed.body["keys"]
    assert (view["name"], view["scopes"]) == ("a key", ["read", "worker"])
    assert secret not in listed.text + repr(page.items)


async def test_a_rotated_key_has_two_secrets_for_the_overlap() -> None:
    clock = ManualClock()
    api = Api(clock=clock, limits=UNLIMITED)
    first = await api.key("read")
    (view,) = (await api.call("GET", "/keys")).body["keys"]
    path = f"/keys/{view['id']}/rotate"

    async def works(key: str) -> bool:
        api.restart()  # what another process believes does not count
        return (await api.call("GET", "/nodes", key=key)).status == 200

    second = (await api.call("POST", path, {"overlap_seconds": 60})).body["key"]
    assert [await works(first), await works(second)] == [True, True]
    clock.advance(60)
    assert [await works(first), await works(second)] == [False, True]

    third = (await api.call("POST", path)).body["key"]
    fourth = (await api.call("POST", path, {"overlap_seconds": 0})).body["key"]
    assert [await works(key) for key in (first, second, third, fourth)] == [False, False, False, True]
    api.backend.close()


async def test_a_revoked_key_ends_here_at_once_and_elsewhere_in_seconds() -> None:
    clock = ManualClock()
    api = Api(clock=clock, limits=UNLIMITED)
    keys = api.app.services.keys
    elsewhere = AccessKeys(api.backend.table, clock, SeededEntropy())
    issued = await keys.issue(NS, "k", [Scope.READ])
    assert await keys.verify(issued.key) == await elsewhere.verify(issued.key)

    await keys.revoke(NS, issued.id)

    with pytest.raises(Unauthorized):
        await keys.verify(issued.key)
    assert (await elsewhere.verify(issued.key)).key_id == issued.id
    clock.advance(BELIEVED_MS / 1000)
    with pytest.raises(Unauthorized):
        await elsewhere.verify(issued.key)
    with pytest.raises(NotFound):
        await keys.revoke(NS, issued.id)
    with pytest.raises(NotFound):
        await keys.rotate(NS, issued.id)
    assert await keys.list(NS) == []
    api.backend.close()


async def test_use_is_written_at_most_once_an_hour() -> None:
    clock = ManualClock()
    api = Api(clock=clock, limits=UNLIMITED)
    issued = await api.app.services.keys.issue(NS, "k", [Scope.READ])

    async def used() -> Any:
        api.restart()
        await api.app.services.keys.verify(issued.key)
        (view,) = await api.app.services.keys.list(NS)
        return view.used_ms

    start = clock.now_ms()
    assert await used() == start
    clock.advance(USED_MS / 1000 - 1)
    assert await used() == start
    clock.advance(1)
    assert await used() == start + USED_MS
    api.backend.close()


async def test_verified_keys_are_believed_for_a_while(api: Api) -> None:
    key = await api.key("read")
    await api.call("GET", "/v1/health", key=key)
    keys = api.app.services.keys
    await keys.verify(key)
    before = dict(api.backend.table.consumed.calls)

    for _ in range(10):
        await keys.verify(key)

    assert dict(api.backend.table.consumed.calls) == before
