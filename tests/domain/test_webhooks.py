"""Signatures, URLs and delays of webhooks."""

from __future__ import annotations

import base64
import json

import pytest

from karman_core.domain.errors import InvalidRequest
from karman_core.domain.events import EventKind
from karman_core.domain.webhooks import (
    DELAYS_MS,
    MAX_ATTEMPTS,
    SECRET_PREFIX,
    Answer,
    Target,
    headers,
    kinds_of,
    mismatch,
    new_secret,
    parse_url,
    payload,
    retry_delay_ms,
    sign,
    wants,
)

# The vector that the libraries of Standard Webhooks test their signing with.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
AT = 1_614_265_330
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
OTHER = new_secret("a" * 26, "b" * 26)


def given(**changes: str | None) -> dict[str, str]:
    found = {"Webhook-Id": ID, "WEBHOOK-TIMESTAMP": str(AT), "webhook-signature": SIGNATURE}
    names = {name.lower(): name for name in found}
    for name, value in changes.items():
        key = names[f"webhook-{name}"]
        if value is None:
            del found[key]
        else:
            found[key] = value
    return found


# --- signatures -------------------------------------------------------------------------------------------------------


def test_the_standards_own_vector() -> None:
    assert sign(SECRET, ID, str(AT), BODY) == SIGNATURE
    assert sign(SECRET.removeprefix(SECRET_PREFIX), ID, str(AT), BODY) == SIGNATURE
    assert headers([SECRET], ID, AT, BODY)["webhook-signature"] == SIGNATURE


@pytest.mark.parametrize("now", [AT, AT - 300, AT + 300])
def test_a_request_that_is_believed(now: int) -> None:
    assert mismatch([SECRET], given(), BODY, now) is None


def test_during_a_rotation_either_secret_counts() -> None:
    both = headers([OTHER, SECRET], ID, AT, BODY)
    assert len(both["webhook-signature"].split(" ")) == 2
    assert mismatch([SECRET], both, BODY, AT) is None
    assert mismatch([OTHER], both, BODY, AT) is None
    assert mismatch([OTHER, SECRET], headers([SECRET], ID, AT, BODY), BODY, AT) is None


@pytest.mark.parametrize(
    ("changes", "body", "now", "why"),
    [
        ({"id": None}, BODY, AT, "not all there"),
        ({"timestamp": None}, BODY, AT, "not all there"),
        ({"signature": ""}, BODY, AT, "not all there"),
        ({"timestamp": "hello"}, BODY, AT, "is no time"),
        ({"timestamp": "1e9"}, BODY, AT, "is no time"),
        ({"timestamp": "٣"}, BODY, AT, "is no time"),
        ({}, BODY, AT + 301, "too old"),
        ({}, BODY, AT - 301, "from the future"),
        ({"id": "other"}, BODY, AT, "No signature"),
        ({"timestamp": str(AT + 1)}, BODY, AT, "No signature"),
        ({}, BODY + b" ", AT, "No signature"),
        ({"signature": SIGNATURE[:-4]}, BODY, AT, "No signature"),
        ({"signature": "v2" + SIGNATURE[2:]}, BODY, AT, "No signature"),
        ({"signature": "v1,"}, BODY, AT, "No signature"),
        ({"signature": "ö"}, BODY, AT, "No signature"),
    ],
)
def test_a_request_that_is_not(changes: dict[str, str | None], body: bytes, now: int, why: str) -> None:
    found = mismatch([SECRET], given(**changes), body, now)
    assert found is not None
    assert why in found


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_not base64", "whsec_abc", "whsec_ö"])
def test_a_secret_that_is_none(secret: str) -> None:
    with pytest.raises(InvalidRequest, match="base64"):
        sign(secret, ID, str(AT), BODY)


def test_a_new_secret_is_as_long_as_the_standard_wants_it() -> None:
    assert OTHER.startswith(SECRET_PREFIX)
    assert 24 <= len(base64.b64decode(OTHER.removeprefix(SECRET_PREFIX))) <= 64


def test_the_payload() -> None:
    body = payload("run.failed", 1_700_000_000_123, {"run_id": "r", "tags": {"ü": "ö"}})
    assert json.loads(body) == {
        "type": "run.failed",
        "timestamp": "2023-11-14T22:13:20.123Z",
        "data": {"run_id": "r", "tags": {"ü": "ö"}},
    }
    assert body.isascii()


# --- URLs -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "target", "authority"),
    [
        ("https://example.com", Target("https", "example.com", 443, "/"), "example.com"),
        ("https://example.com:443/", Target("https", "example.com", 443, "/"), "example.com"),
        (
            "https://example.com:8443/a/b?c=d%20e@",
            Target("https", "example.com", 8443, "/a/b?c=d%20e@"),
            None,
        ),
        ("https://example.com?x=1", Target("https", "example.com", 443, "/?x=1"), "example.com"),
        ("http://127.0.0.1:8000/x", Target("http", "127.0.0.1", 8000, "/x"), None),
        ("http://localhost:80/", Target("http", "localhost", 80, "/"), "localhost"),
        ("https://[2600::1]:8/x", Target("https", "2600::1", 8, "/x"), "[2600::1]:8"),
    ],
)
def test_urls_that_a_webhook_can_have(url: str, target: Target, authority: str | None) -> None:
    assert parse_url(url) == target
    assert target.authority == (authority or f"{target.host}:{target.port}")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "//example.com/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "javascript:alert(1)",
        "HTTPS://example.com/",
        "https:///path",
        "https://user@example.com/",
        "https://user:password@example.com/",
        "https://example.com@127.0.0.1/",
        "https://example.com#@127.0.0.1/",
        "https://example.com/#fragment",
        "https://example.com\\@127.0.0.1/",
        "https://example.com\\.evil.example/",
        "https://exa mple.com/",
        "https://example.com/a b",
        "https://example.com/\r\nHost: other",
        "https://example.com/\n",
        " https://example.com/",
        "https://exämple.com/",
        "https://example.com/ä",
        "https://①②⑦.⓪.⓪.①/",
        "https://[fe80::1%25eth0]/",
        "https://[::1/",
        "https://example.com:0/",
        "https://example.com:65536/",
        "https://example.com:-1/",
        "https://example.com:/",
        "https://.example.com/",
        "https://example.com/\x00",
        "https://example.com/<>",
        f"https://example.com/{'a' * 2_048}",
    ],
)
def test_urls_that_it_cannot(url: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_url(url)
    assert [(problem.path, problem.code) for problem in caught.value.problems] == [("url", "invalid_url")]


# --- answers and delays -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "delivered", "gone"),
    [
        (Answer(200), True, False),
        (Answer(299), True, False),
        (Answer(199), False, False),
        (Answer(301), False, False),
        (Answer(410), False, True),
        (Answer(500), False, False),
        (Answer(None, "No connection."), False, False),
    ],
)
def test_what_an_answer_means(answer: Answer, *, delivered: bool, gone: bool) -> None:
    assert (answer.delivered, answer.gone, answer.problem is None) == (delivered, gone, delivered)


def test_the_problem_of_an_answer() -> None:
    assert Answer(503).problem == "The receiver answered with status 503."
    assert Answer(None, "No connection.").problem == "No connection."


def test_delays_grow_with_some_jitter_and_end() -> None:
    least = [retry_delay_ms(attempts, 0.0) for attempts in range(1, MAX_ATTEMPTS)]
    most = [retry_delay_ms(attempts, 0.999_999) for attempts in range(1, MAX_ATTEMPTS)]
    assert least == list(DELAYS_MS)
    assert all(a < b <= a * 1.2 for a, b in zip(DELAYS_MS, most, strict=True) if b)
    assert retry_delay_ms(MAX_ATTEMPTS, 0.5) is None


def test_a_receiver_may_ask_for_more_time_but_not_for_ever() -> None:
    assert retry_delay_ms(1, 0.0, 30) == 30_000
    assert retry_delay_ms(2, 0.0, 30) == 60_000
    assert retry_delay_ms(1, 0.0, 10**9) == 86_400_000


def test_which_events_a_webhook_takes() -> None:
    assert wants(["run.failed"], [], "run.failed", "g")
    assert wants(["run.failed"], ["g"], "run.failed", "g")
    assert not wants(["run.failed"], ["h"], "run.failed", "g")
    assert not wants(["run.failed"], [], "run.succeeded", "g")


def test_kinds_by_name() -> None:
    assert kinds_of(["run.failed", "run.paused", "run.failed"]) == (EventKind.PAUSED, EventKind.FAILED)
    with pytest.raises(InvalidRequest, match=r"no events odd, run.odd; there are run.started, run.paused"):
        kinds_of(["run.odd", "odd"])
