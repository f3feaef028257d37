"""Rates, sizes, headers, compression, origins."""

import json
from dataclasses import replace
from typing import Any

import pytest

from karman_core.domain.errors import Throttled, Unavailable
from karman_functions.api import Limits
from karman_functions.api.app import SECURITY_HEADERS
from karman_functions.api.limits import MAX_NODES, MAX_PAGE, MAX_WORK, Limiter
from tests.api.client import DEFINITION, NS, Api, event
from tests.scenario.clock import ManualClock


async def test_a_key_has_a_rate_and_is_told_when_to_come_again() -> None:
    clock = ManualClock()
    api = Api(clock=clock, limits=Limits(requests_per_second=0.5, burst=3))
    key = await api.key("read")

    statuses = [(await api.call("GET", "/nodes", key=key)).status for _ in range(5)]
    assert statuses == [200, 200, 200, 429, 429]
    refused = await api.call("GET", "/nodes", key=key)
    assert (refused.code, refused.headers["retry-after"]) == ("rate_limited", "2")
    assert (await api.call("GET", "/nodes")).status == 200  # another key

    clock.advance(2)
    assert [(await api.call("GET", "/nodes", key=key)).status for _ in range(2)] == [200, 429]
    api.backend.close()


async def test_wrong_keys_of_an_address_have_a_rate() -> None:
    clock = ManualClock()
    api = Api(clock=clock, limits=Limits(failures_per_second=1, failure_burst=3))

    statuses = [(await api.call("GET", "/nodes", key="wrong")).status for _ in range(4)]

    assert statuses == [401, 401, 401, 429]
    clock.advance(1)
    assert (await api.call("GET", "/nodes", key="wrong")).status == 401
    elsewhere = event("GET", f"/v1/namespaces/{NS}/nodes", key="wrong")
    elsewhere["requestContext"]["http"]["sourceIp"] = "192.0.2.2"
    assert (await api.send(elsewhere)).status == 401
    api.backend.close()


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/nodes", 200), ("GET", "/nope", 404), ("PUT", "/nodes", 422)]
)
async def test_every_answer_has_the_headers(api: Api, method: str, path: str, status: int) -> None:
    answer = await api.call(method, path)

    assert answer.status == status
    assert answer.headers["x-request-id"] == "request-1"
    assert SECURITY_HEADERS.items() <= answer.headers.items()
    assert not [name for name in answer.headers if name.startswith("access-control")]


NODES = f"/v1/namespaces/{NS}/nodes"
TEXT = {"content-type": "text/plain"}
STATE = "r0--0"


@pytest.mark.parametrize(
    ("status", "code", "sent"),
    [
        (400, "malformed_request", event("PUT", NODES, "{")),
        (401, "unauthorized", event("GET", NODES, key=None)),
        (403, "forbidden", event("GET", f"/v1/namespaces/{NS}/keys", key="{read}")),
        (404, "not_found", event("GET", "/")),
        (404, "not_found", event("GET", "/v1/nowhere")),
        (404, "not_found", event("GET", f"{NODES}/unheard_of")),
        (404, "not_found", event("GET", "/v1/namespaces/no name/nodes")),
        (405, "method_not_allowed", event("PATCH", NODES)),
        (409, "conflict", event("POST", f"/v1/namespaces/{NS}/runs/{{ended}}/cancel")),
        (413, "payload_too_large", event("PUT", NODES, "x" * 5_000_000)),
        (415, "unsupported_media_type", event("PUT", NODES, "{}", headers=TEXT)),
        (415, "unsupported_media_type", event("PUT", NODES, "{}", headers={"content-encoding": "gzip"})),
        (422, "invalid_request", event("PUT", NODES, "{}")),
        (429, "rate_limited", event("GET", NODES, key="{limited}")),
        (500, "internal_error", event("GET", f"/v1/namespaces/{NS}/graphs")),
    ],
)
async def test_every_refusal_is_a_problem_with_all_headers(
    api: Api, monkeypatch: pytest.MonkeyPatch, status: int, code: str, sent: dict[str, Any]
) -> None:
    async def fail(namespace: str) -> None:
        raise RuntimeError

    monkeypatch.setattr(api.engine, "list_graphs", fail)
    refused = await api.send(await _filled(api, monkeypatch, sent))

    assert (refused.status, refused.code) == (status, code), refused.text
    assert refused.body.keys() == {"type", "title", "status", "detail", "code", "request_id", "problems"}
    assert refused.body["request_id"] == refused.headers["x-request-id"] == "request-1"
    assert SECURITY_HEADERS.items() <= refused.headers.items()
    assert not [name for name in refused.headers if name.startswith("access-control")]


async def _filled(api: Api, monkeypatch: pytest.MonkeyPatch, sent: dict[str, Any]) -> dict[str, Any]:
    """The event with a real key, or a run that has ended, where it asks for one."""
    await api.graph()
    match sent["headers"].get("x-api-key"):
        case "{read}":
            sent["headers"]["x-api-key"] = await api.key("read")
        case "{limited}":
            sent["headers"]["x-api-key"] = await api.key("read")
            limiter = Limiter(Limits(requests_per_second=1, burst=1), api.clock)
            monkeypatch.setattr(limiter, "take", lambda _: Limiter.take(limiter, "the same"))
            limiter.take("")
            api.app.services = replace(api.app.services, limiter=limiter)
    if "{ended}" in sent["rawPath"]:
        run, work = await api.run(), await api.work()
        await api.call("POST", f"/work/{work['state_id']}/outputs", {"outputs": [{}]})
        sent["rawPath"] = sent["rawPath"].format(ended=run)
    return sent


async def test_no_page_may_ask_before_it_calls_unless_it_is_configured(api: Api) -> None:
    headers = {"origin": "https://a.example", "access-control-request-method": "GET"}

    asked = await api.call("OPTIONS", "/nodes", key=None, headers=headers)

    assert asked.status == 405
    assert not [name for name in asked.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/nodes", {"runtime": "rt", "nodes": [{"name": f"n{n}"} for n in range(MAX_NODES + 1)]}),
        ("PUT", "/nodes", {"runtime": "rt", "nodes": [{"name": "a", "secrets": ["s"] * 101}]}),
        ("PUT", "/graphs/g", {"definition": DEFINITION, "secrets": {f"s{n}": "x" for n in range(101)}}),
        ("POST", "/graphs/g/runs", {"tags": {f"t{n}": "x" for n in range(51)}}),
        ("POST", "/runs/bulk", {"action": "cancel", "limit": MAX_PAGE + 1}),
        ("POST", "/work/poll", {"nodes": ["a"] * (MAX_NODES + 1)}),
        ("POST", "/work/poll", {"nodes": ["a"], "limit": MAX_WORK + 1}),
        ("POST", f"/work/{STATE}/outputs", {"outputs": [], "store": [{"op": "delete", "key": "k"}] * 81}),
        ("POST", f"/work/{STATE}/outputs", {"outputs": [], "signals": [{"name": "n"}] * 20}),
        ("POST", f"/work/{STATE}/error", {"kind": "E", "bases": ["B"] * 101}),
        ("GET", f"/runs?limit={MAX_PAGE + 1}", None),
        ("GET", f"/nodes?limit={MAX_PAGE + 1}", None),
    ],
)
async def test_batches_and_pages_have_limits(api: Api, method: str, path: str, body: object) -> None:
    await api.graph()
    path, _, query = path.partition("?")

    answer = await api.call(method, path, body, query=dict([query.split("=")]) if query else None)

    assert answer.status == 422, answer.text
    assert answer.problems


@pytest.mark.parametrize(
    ("accepted", "compressed"),
    [
        ("gzip", True),
        ("br, GZIP;q=0.5", True),
        ("gzip;q=1", True),
        ("gzip; q=0", False),
        ("gzip;q=0.0", False),
        ("br", False),
        ("", False),
    ],
)
async def test_large_answers_are_compressed_for_who_takes_it(
    api: Api, accepted: str, *, compressed: bool
) -> None:
    await api.graph()
    large = {**DEFINITION, "description": "x" * 2_000}
    await api.call("PUT", "/graphs/g", {"definition": large})

    answer = await api.call("GET", "/graphs/g", headers={"Accept-Encoding": accepted})
    small = await api.call("GET", "/v1/health", headers={"accept-encoding": accepted})

    assert answer.body["definition"]["description"] == "x" * 2_000
    assert answer.headers.get("content-encoding") == ("gzip" if compressed else None)
    assert answer.headers["vary"] == "accept-encoding"
    assert "content-encoding" not in small.headers


async def test_an_answer_that_could_not_be_given_back_is_refused() -> None:
    api = Api(limits=Limits(answer_bytes=3_000))
    await api.graph()
    description = "".join(f"{n:x}" for n in range(2_000))
    body = {"definition": {**DEFINITION, "description": description}}

    stored = await api.call("PUT", "/graphs/g", body)

    assert (stored.status, stored.code) == (413, "payload_too_large")
    assert (await api.call("GET", "/graphs")).status == 200
    api.backend.close()


@pytest.mark.parametrize("character", ["a", '"', "長", "\N{GRINNING FACE}"])
async def test_an_answer_is_measured_as_lambda_sends_it(character: str) -> None:
    """In UTF-8, and as a text in JSON: what has fewer characters than the limit may be too much all the same."""
    characters = 2_000
    room = len(
        json.dumps(json.dumps(character * characters, ensure_ascii=False), ensure_ascii=False).encode()
    )
    body = {"definition": {**DEFINITION, "description": character * characters}}
    for spare, status in ((3_000, 200), (-1, 413)):
        api = Api(limits=Limits(answer_bytes=room + spare))
        await api.graph()
        stored = await api.call("PUT", "/graphs/g", body, headers={"accept-encoding": "identity"})
        assert stored.status == status
        api.backend.close()


async def test_work_that_an_answer_does_not_hold_is_left_to_the_next_poll() -> None:
    api = Api(limits=Limits(answer_bytes=9_000))
    await api.graph()
    for _ in range(4):
        started = await api.call("POST", "/graphs/g/runs", {"inputs": {"n": "x" * 3_000}})
        assert started.status == 201
    polled: list[Any] = []
    while len(polled) < 4:
        body = {"nodes": ["a"], "wait_seconds": 20, "limit": 10}
        answer = await api.call("POST", "/work/poll", body)
        assert answer.status == 200
        assert 1 <= len(answer.body["work"]) <= 2
        polled += answer.body["work"]

    assert len({each["state_id"] for each in polled}) == 4
    assert {each["attempt"] for each in polled} == {1}
    api.backend.close()


async def test_pages_of_configured_origins_may_call() -> None:
    api = Api(cors_origins=("https://a.example", "https://b.example"))
    for origin, allowed in (
        ("https://a.example", True),
        ("https://b.example", True),
        ("https://c.example", False),
    ):
        asked = await api.call("OPTIONS", "/nodes", key=None, headers={"origin": origin})
        called = await api.call("GET", "/nodes", headers={"origin": origin})
        refused = await api.call("GET", "/nodes", key="wrong", headers={"origin": origin})
        assert (asked.status, called.status, refused.status) == (204, 200, 401)
        for answer in (asked, called, refused):
            assert answer.headers.get("access-control-allow-origin") == (origin if allowed else None)
    api.backend.close()


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Throttled("table secret-name is busy"), 503, "throttled"),
        (Unavailable("secret-name did not answer"), 503, "unavailable"),
        (RuntimeError("secret-name"), 500, "internal_error"),
    ],
)
async def test_what_goes_wrong_inside_stays_inside(
    api: Api, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, code: str
) -> None:
    async def fail(namespace: str) -> None:
        raise error

    monkeypatch.setattr(api.engine, "list_graphs", fail)

    answer = await api.call("GET", "/graphs")

    assert (answer.status, answer.code) == (status, code)
    assert "secret-name" not in answer.text
    assert ("retry-after" in answer.headers) == (status == 503)


async def test_an_answer_that_is_not_as_documented_is_an_error_of_ours(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def wrong(namespace: str) -> list[object]:
        return [object()]

    monkeypatch.setattr(api.engine, "list_graphs", wrong)

    assert (await api.call("GET", "/graphs")).code == "internal_error"


async def test_an_event_that_is_none_is_answered(api: Api) -> None:
    answer = await api.send({"requestContext": {}, "body": None})

    assert answer.code == "internal_error"
    assert len(answer.headers["x-request-id"]) == 26
