"""Each bad request gets a clear answer with a stable code, and nothing changes."""

import base64
import random
from typing import Any

import pytest

from tests.api.client import ADMIN_KEY, DEFINITION, NS, Api, event
from tests.api.routes import CALLS, NODES, Call, World, prepare

WITH_BODY = [call for call in CALLS if call.body is not None]
DEEP = "[" * 100 + "]" * 100


async def everything(api: Api) -> str:
    """What the database holds, but for when keys were used, and the audit log: it has what was refused too."""
    rows = api.backend.database
    with rows.read() as connection:
        tables = [
            name
            for (name,) in connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
            )
        ]
        rows_of = ((table, row) for table in tables for row in connection.execute(f"SELECT * FROM {table}"))
        return "\n".join(f"{table}: {row!r}" for table, row in rows_of if "#audit" not in str(row[0]))


@pytest.mark.parametrize("call", WITH_BODY, ids=str)
@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ('{"a": ', 400, "malformed_request"),
        ("not json", 400, "malformed_request"),
        ('{"a": NaN}', 400, "malformed_request"),
        ('{"a": 1, "a": 2}', 400, "malformed_request"),
        (b"\xff\xfe{}", 400, "malformed_request"),
        ('{"unheard_of": 1}', 422, "invalid_request"),
        ("[]", 422, "invalid_request"),
        ('[{"runtime": "rt"}]', 422, "invalid_request"),
        ("null", 422, "invalid_request"),
        ("7", 422, "invalid_request"),
        (f'{{"a": {DEEP}}}', 422, "invalid_request"),
        ('{"a": "\\ud800"}', 422, "invalid_request"),
        ('{"a": 1e999}', 422, "invalid_request"),
    ],
)
async def test_a_bad_body(api: Api, call: Call, body: object, status: int, code: str) -> None:
    path = World("r0", "r0", "r0--0", "l", "k0").path(call)
    before = await everything(api)

    answer = await api.call(call.method, path, body)

    assert (answer.status, answer.code) == (status, code), answer.text
    assert await everything(api) == before


@pytest.mark.parametrize("call", WITH_BODY, ids=str)
async def test_an_unknown_field(api: Api, call: Call) -> None:
    path = World("r0", "r0", "r0--0", "l", "k0").path(call)

    answer = await api.call(call.method, path, {**call.body, "unheard_of": 1})

    assert answer.status == 422
    assert ("unheard_of", "unknown_field") in answer.problems


@pytest.mark.parametrize("call", CALLS, ids=str)
async def test_an_unknown_parameter(api: Api, call: Call) -> None:
    path = World("r0", "r0", "r0--0", "l", "k0").path(call)

    answer = await api.call(call.method, path, call.body, query={"unheard_of": 1})

    assert (answer.status, answer.problems) == (422, [("query.unheard_of", "unknown_field")])


@pytest.mark.parametrize("call", [call for call in CALLS if "{" in call.path], ids=str)
@pytest.mark.parametrize("unknown", ["r0", "R", "a b", "x#store", "x%23store", "é", "a" * 2_000])
async def test_an_unknown_thing(api: Api, call: Call, unknown: str) -> None:
    state = f"{unknown}--0"
    path = World(unknown, unknown, state, "l", unknown, unknown, unknown, f"{'0' * 15}-{unknown}").path(call)
    body = {"lease": "l"} if call.operation == "extend_lease" else call.body
    before = await everything(api)

    answer = await api.call(call.method, path, body)

    assert (answer.status, answer.code) == (404, "not_found"), answer.text
    assert await everything(api) == before


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("PUT", "/nodes", {"runtime": "rt"}, ("nodes", "missing_field")),
        ("PUT", "/nodes", {"runtime": "rt", "nodes": []}, ("nodes", "invalid_value")),
        ("PUT", "/nodes", {**NODES, "runtime": "r t"}, ("runtime", "invalid_value")),
        (
            "PUT",
            "/nodes",
            {"runtime": "rt", "nodes": [{"name": "b", "x": 1}]},
            ("nodes[0].x", "unknown_field"),
        ),
        (
            "PUT",
            "/nodes",
            {"runtime": "rt", "nodes": [{"name": "b"}, {"name": "b"}]},
            ("nodes[1].name", "duplicate_name"),
        ),
        (
            "PUT",
            "/nodes",
            {"runtime": "rt", "nodes": [{"name": "b", "inputs_schema": {"type": 5}}]},
            ("nodes[0].inputs_schema", "invalid_schema"),
        ),
        ("PUT", "/graphs/g", {"definition": {}}, ("nodes", "missing_field")),
        ("PUT", "/graphs/g", {"definition": {**DEFINITION, "name": "h"}}, ("name", "invalid_value")),
        ("PUT", "/graphs/a b", {"definition": DEFINITION}, ("name", "invalid_value")),
        ("PUT", "/graphs/g", {"definition": DEFINITION, "secrets": {"s": 5}}, ("secrets.s", "wrong_type")),
        ("POST", "/graphs/g/runs", {"inputs": []}, ("inputs", "wrong_type")),
        ("POST", "/graphs/g/runs", {"start_delay_ms": -1}, ("start_delay_ms", "invalid_value")),
        ("POST", "/graphs/g/runs", {"start_delay_ms": "5"}, ("start_delay_ms", "wrong_type")),
        ("POST", "/graphs/g/runs", {"timeout_ms": 0}, ("timeout_ms", "invalid_value")),
        ("POST", "/graphs/g/runs", {"tags": {"a": 1}}, ("tags.a", "wrong_type")),
        ("POST", "/runs/r0/signals", {"name": ""}, ("name", "invalid_value")),
        ("POST", "/work/poll", {"nodes": ["a"], "limit": 11}, ("limit", "invalid_value")),
        ("POST", "/work/poll", {"nodes": ["a"], "wait_seconds": 21}, ("wait_seconds", "invalid_value")),
        ("POST", "/work/poll", {"nodes": ["a"], "lease_seconds": 9}, ("lease_seconds", "invalid_value")),
        ("POST", "/keys", {"name": "k", "scopes": []}, ("scopes", "invalid_value")),
        ("POST", "/keys", {"name": "k", "scopes": ["root"]}, ("scopes[0]", "invalid_value")),
        ("POST", "/keys/k0/rotate", {"overlap_seconds": -1}, ("overlap_seconds", "invalid_value")),
    ],
)
async def test_a_bad_value(
    api: Api, method: str, path: str, body: dict[str, Any], expected: tuple[str, str]
) -> None:
    before = await everything(api)

    answer = await api.call(method, path, body)

    assert answer.status == 422, answer.text
    assert expected in answer.problems
    assert await everything(api) == before


@pytest.mark.parametrize(
    ("path", "query", "place"),
    [
        ("/runs", {"limit": 0}, "query.limit"),
        ("/runs", {"limit": 1001}, "query.limit"),
        ("/runs", {"limit": "1,2"}, "query.limit"),
        ("/runs", {"status": "failed"}, "query.status"),
        ("/runs", {"since_ms": -1}, "query.since_ms"),
        ("/runs/r0", {"wait_seconds": 21}, "query.wait_seconds"),
        ("/runs/r0", {"wait_seconds": "nan"}, "query.wait_seconds"),
        ("/runs/r0/states", {"status": "RUN"}, "query.status"),
        ("/graphs/g", {"version": "one"}, "query.version"),
    ],
)
async def test_a_bad_parameter(api: Api, path: str, query: dict[str, Any], place: str) -> None:
    answer = await api.call("GET", path, query=query)

    assert answer.status == 422
    assert [path for path, _ in answer.problems] == [place]


@pytest.mark.parametrize(
    "path", ["/", "/v2/health", "/v1", "/v1/namespaces/", "/v1/namespaces/ns/runs/", "/v1/health/"]
)
async def test_an_unknown_route(api: Api, path: str) -> None:
    answer = await api.send(event("GET", path))

    assert (answer.status, answer.code) == (404, "not_found")


@pytest.mark.parametrize("method", ["DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "WEIRD"])
async def test_a_method_that_a_route_has_not(api: Api, method: str) -> None:
    answer = await api.call(method, "/nodes")

    assert (answer.status, answer.code) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, PUT"
    assert (await api.call(method, "/runs/r0/retry")).headers["allow"] == "POST"
    if method != "DELETE":  # That takes it for a run's id.
        assert (await api.call(method, "/runs/bulk")).headers["allow"] == "POST"


@pytest.mark.parametrize(
    "media_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "x"]
)
async def test_a_body_that_is_not_said_to_be_json(api: Api, media_type: str) -> None:
    answer = await api.call("PUT", "/nodes", NODES, headers={"content-type": media_type})

    assert (answer.status, answer.code) == (415, "unsupported_media_type")


async def test_a_body_that_is_not_base64_although_it_should(api: Api) -> None:
    sent = event("PUT", f"/v1/namespaces/{NS}/nodes", "%%%") | {"isBase64Encoded": True}

    answer = await api.send(sent)

    assert (answer.status, answer.code) == (400, "malformed_request")


@pytest.mark.parametrize("extra", [0, 1])
@pytest.mark.parametrize("encoded", [False, True])
async def test_a_body_over_the_limit(api: Api, extra: int, *, encoded: bool) -> None:
    limit = api.app.services.limits.body_bytes
    body = b'{"runtime": "' + b"x" * (limit + extra - 15) + b'"}'

    answer = await api.call("PUT", "/nodes", body if encoded else body.decode())

    assert len(body) == limit + extra
    assert (answer.status, answer.code) == ((413, "payload_too_large") if extra else (422, "invalid_request"))


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "é",
        "W10=",
        "WzEsMl0=",
        "W251bGwsbnVsbF0=",
        "W3t9LCAxXQ==",
        "WzFlOTk5LCAxXQ==",
        "WyJhIiwgIngiXQ==",
    ],
)
@pytest.mark.parametrize("path", ["/runs", "/runs/{run}/states"])
async def test_a_made_up_cursor(api: Api, path: str, cursor: str) -> None:
    world = await prepare(api)

    answer = await api.call("GET", path.format(run=world.run), query={"cursor": cursor})

    assert answer.status in {200, 422}, answer.text


async def test_a_cursor_that_was_changed_a_little(api: Api) -> None:
    world = await prepare(api)
    real = (await api.call("GET", "/runs", query={"limit": 1})).body["cursor"]
    text = base64.urlsafe_b64decode(real).decode()
    draw = random.Random(7)
    for _ in range(200):
        at = draw.randrange(len(text))
        changed = text[:at] + draw.choice('09az"[]{},') + text[at + 1 :]
        cursor = base64.urlsafe_b64encode(changed.encode()).decode()
        for path in ("/runs", f"/runs/{world.run}/states"):
            answer = await api.call("GET", path, query={"cursor": cursor})
            assert answer.status in {200, 422}, (changed, answer.text)


@pytest.mark.parametrize("call", CALLS, ids=str)
async def test_hostile_requests_change_nothing(api: Api, call: Call) -> None:
    """Broken in one place, each: no server error, and what is refused leaves the database as it was."""
    world = await prepare(api)
    draw = random.Random(str(call))
    path = world.path(call)
    for _ in range(25):
        before = await everything(api)
        answer = await api.send(_broken(draw, call, f"/v1/namespaces/{NS}{path}", world.body(call)))
        assert answer.status < 500, answer.text
        if answer.status >= 400:
            assert await everything(api) == before


JUNK: tuple[Any, ...] = (
    None,
    True,
    -1,
    1e300,
    2**70,
    "",
    "\0",
    "x" * 3_000,
    "é#/%",
    [],
    [[]],
    {},
    {"": 1},
    ["a", 1],
)


def _broken(draw: random.Random, call: Call, path: str, body: Any) -> dict[str, Any]:
    headers, query = {}, {}
    match draw.randrange(4):
        case 0 if isinstance(body, dict):
            body = {**body, draw.choice([*body, "more"]): draw.choice(JUNK)}
        case 1:
            query = {draw.choice(["limit", "cursor", "status", "version", "wait_seconds"]): draw.choice(JUNK)}
            query.pop("wait_seconds", None)
        case 2:
            name = draw.choice(
                ["content-type", "idempotency-key", "if-none-match", "accept-encoding", "cookie"]
            )
            headers = {name: str(draw.choice(JUNK))}
        case _:
            at = draw.randrange(path.rindex("/"), len(path))
            path = path[:at] + draw.choice(["\0", "%", "#", "..", "/", "é", " ", "\n"]) + path[at + 1 :]
    return event(call.method, path, body, query=query, headers=headers, key=ADMIN_KEY)
