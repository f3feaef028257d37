"""What is sent again, when, and what is not."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import httpx
import pytest

from karman import Client
from karman.client import Backoff
from karman.errors import (
    ConditionFailed,
    Conflict,
    Forbidden,
    InvalidGraph,
    InvalidInput,
    InvalidRequest,
    KarmanError,
    NotFound,
    Problem,
    QuotaExceeded,
    RateLimited,
    Throttled,
    Unauthorized,
    Unavailable,
    UnexpectedAnswer,
)

Answer = httpx.Response | Exception
HEALTH = {"status": "ok", "version": "1", "of_a_newer_server": True}
STARTED = {"run_id": "r1", "created": False}


class Server:
    """Gives prepared answers, the last one for ever."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def client(self, backoff: Backoff = Backoff(first_seconds=0)) -> Client:  # noqa: B008 - frozen
        return Client(
            "http://karman.test/base/", api_key="k", backoff=backoff, transport=httpx.MockTransport(self)
        )


def problem(status: int, code: str, **more: object) -> httpx.Response:
    body = {
        "status": status,
        "code": code,
        "detail": f"about {code}",
        "request_id": "q1",
        "problems": [],
        **more,
    }
    return httpx.Response(status, json=body, headers={"content-type": "application/problem+json"})


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    return pauses


@pytest.mark.parametrize(
    "failure",
    [
        problem(500, "internal_error"),
        problem(503, "throttled"),
        problem(429, "rate_limited"),
        httpx.Response(502, text="<html>bad gateway</html>"),
        httpx.Response(504),
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("closed"),
    ],
)
def test_what_may_pass_is_tried_again(failure: Answer) -> None:
    server = Server(failure, failure, httpx.Response(200, json=HEALTH))
    assert server.client().health().version == "1"
    assert len(server.requests) == 3


def test_tries_end() -> None:
    server = Server(problem(503, "unavailable"))
    with pytest.raises(Unavailable) as caught:
        server.client(Backoff(retries=2, first_seconds=0)).health()
    assert (len(server.requests), caught.value.code) == (3, "unavailable")
    assert caught.value.__notes__ == ["request id: q1"]


def test_a_trigger_is_one_run_however_often_it_is_sent() -> None:
    server = Server(httpx.ReadTimeout("slow"), problem(500, "x"), httpx.Response(200, json=STARTED))
    started = server.client().trigger("g")
    assert (started.run_id, started.created) == ("r1", True)
    keys = {request.headers["idempotency-key"] for request in server.requests}
    assert (len(server.requests), len(keys)) == (3, 1)
    assert len(keys.pop()) == 26


def test_a_signal_is_one_however_often_it_is_sent() -> None:
    server = Server(httpx.ReadTimeout("slow"), httpx.Response(202, json={"accepted": True}))
    server.client().signal("r1", "go")
    assert len({json.loads(request.content)["id"] for request in server.requests}) == 1


HARMFUL: list[Callable[[Client], object]] = [
    lambda client: client.retry("r1"),
    lambda client: client.fire("g", "t"),
    lambda client: client.issue_key("k", ["read"]),
    lambda client: client.rotate_key("k"),
    lambda client: client.revoke_key("k"),
]


@pytest.mark.parametrize("call", HARMFUL)
def test_what_could_be_done_twice_is_not_sent_again(call: Callable[[Client], object]) -> None:
    for failure in (httpx.ReadTimeout("slow"), problem(503, "unavailable")):
        server = Server(failure)
        with pytest.raises(Unavailable):
            call(server.client())
        assert len(server.requests) == 1


@pytest.mark.parametrize("call", HARMFUL)
def test_unless_the_server_did_nothing(call: Callable[[Client], object]) -> None:
    server = Server(httpx.ConnectError("refused"), problem(429, "rate_limited"), problem(404, "not_found"))
    with pytest.raises(NotFound):
        call(server.client())
    assert len(server.requests) == 3


def test_the_server_says_when(slept: list[float]) -> None:
    limited = httpx.Response(429, json={"code": "rate_limited"}, headers={"retry-after": "7"})
    Server(limited, httpx.Response(200, json=HEALTH)).client().health()
    assert slept == [7.0]
    late = httpx.Response(429, json={"code": "rate_limited"}, headers={"retry-after": "3600"})
    with pytest.raises(RateLimited) as caught:
        Server(late).client().health()
    assert (caught.value.retry_after_seconds, slept) == (3600.0, [7.0])


def test_pauses_double_and_are_drawn(slept: list[float]) -> None:
    backoff = Backoff(retries=6, first_seconds=1, longest_seconds=8)
    with pytest.raises(Unavailable):
        Server(httpx.ConnectError("refused")).client(backoff).health()
    assert all(0 <= pause < most for pause, most in zip(slept, [1, 2, 4, 8, 8, 8], strict=True))
    assert [backoff.pause(number, 0.5) for number in (1, 2, 5, 5_000)] == [0.5, 1.0, 4.0, 4.0]


@pytest.mark.parametrize(
    ("answer", "kind", "code", "status"),
    [
        (problem(401, "unauthorized"), Unauthorized, "unauthorized", 401),
        (problem(403, "forbidden"), Forbidden, "forbidden", 403),
        (problem(404, "not_found"), NotFound, "not_found", 404),
        (problem(409, "conflict"), Conflict, "conflict", 409),
        (problem(409, "condition_failed"), ConditionFailed, "condition_failed", 409),
        (problem(422, "invalid_input"), InvalidInput, "invalid_input", 422),
        (problem(400, "malformed_request"), InvalidRequest, "malformed_request", 400),
        (problem(409, "of_a_newer_server"), Conflict, "of_a_newer_server", 409),
        (problem(503, "throttled"), Throttled, "throttled", 503),
        (problem(500, "internal_error"), KarmanError, "internal_error", 500),
        (problem(408, "still_running"), UnexpectedAnswer, "still_running", 408),
        (httpx.Response(403, json={"message": "Forbidden"}), Forbidden, "forbidden", 403),
        (httpx.Response(404, text="nginx"), NotFound, "not_found", 404),
        (
            httpx.Response(301, headers={"location": "http://evil"}),
            UnexpectedAnswer,
            "unexpected_answer",
            301,
        ),
        (httpx.Response(200, text="<html>"), UnexpectedAnswer, "unexpected_answer", 502),
        (httpx.Response(200, json=[]), UnexpectedAnswer, "unexpected_answer", 502),
    ],
)
def test_errors_are_made_again(answer: Answer, kind: type[KarmanError], code: str, status: int) -> None:
    with pytest.raises(KarmanError) as caught:
        Server(answer).client(Backoff(retries=0)).health()
    assert (type(caught.value), caught.value.code, caught.value.status) == (kind, code, status)


def test_problems_are_made_again() -> None:
    found = {"path": "nodes[0]", "code": "unknown_node", "message": "No such node."}
    with pytest.raises(InvalidGraph) as caught:
        Server(problem(422, "invalid_graph", problems=[found, "odd"])).client().put_graph({"name": "g"})
    assert caught.value.problems == (Problem("nodes[0]", "unknown_node", "No such node."),)


def test_what_came_instead_is_not_shown() -> None:
    work = {"work": [{"secrets": {"key": "s3cret"}, "state_id": 5}]}
    with pytest.raises(UnexpectedAnswer) as caught:
        Server(httpx.Response(200, json=work)).client().poll(["a"])
    assert "s3cret" not in f"{caught.value}{caught.value.__cause__}"
    assert "state_id" in str(caught.value)


def test_requests() -> None:
    server = Server(httpx.Response(200, json=HEALTH))
    server.client().health()
    (request,) = server.requests
    assert str(request.url) == "http://karman.test/base/v1/health"
    assert request.headers["x-api-key"] == "k"
    assert request.headers["user-agent"].startswith("karman/")


def test_a_long_poll_has_the_time_that_it_asks_for() -> None:
    server = Server(httpx.Response(200, json={"work": []}))
    server.client().poll(["a"], wait_seconds=20)
    assert server.requests[0].extensions["timeout"]["read"] == 50


@pytest.mark.parametrize(("headers", "seconds"), [({}, None), ({"retry-after": "30"}, 30.0)])
def test_what_a_quota_refuses_is_told_at_once(headers: dict[str, str], seconds: float | None) -> None:
    answer = problem(429, "quota_exceeded")
    answer.headers.update(headers)
    server = Server(answer)

    with pytest.raises(QuotaExceeded, match="about quota_exceeded") as refused:
        server.client().trigger("g")

    assert refused.value.retry_after_seconds == seconds
    assert len(server.requests) == 1
