"""Webhooks over HTTP, with the network that a deployment has around them."""

from __future__ import annotations

import pytest

from karman_core.backends.system import SystemEntropy
from karman_functions.api import application
from tests.api.client import ADMIN_KEY, UNLIMITED, Api


@pytest.fixture
def networked() -> Api:
    api = Api()
    api.app = application(
        api.backend,
        api.engine,
        clock=api.clock,
        entropy=SystemEntropy(),
        admin_key=ADMIN_KEY,
        limits=UNLIMITED,
    )
    return api


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("https://169.254.169.254/latest/meta-data/", "refused_address"),
        ("https://2852039166/", "refused_address"),
        ("https://localhost:8700/v1/health", "refused_address"),
        ("https://[::ffff:10.0.0.1]/", "refused_address"),
        ("http://127.0.0.1/", "refused_address"),
        ("http://93.184.216.34/", "insecure_url"),
        ("https://name.invalid/", "unresolved_host"),
        ("https://user:password@93.184.216.34/", "invalid_url"),
        ("file:///etc/passwd", "invalid_url"),
    ],
)
async def test_a_url_that_no_request_may_be_sent_to(networked: Api, url: str, code: str) -> None:
    made = await networked.call("POST", "/webhooks", {"url": "https://93.184.216.34/"})
    assert made.status == 201
    place = f"/webhooks/{made.body['id']}"
    for answer in (
        await networked.call("POST", "/webhooks", {"url": url}),
        await networked.call("PATCH", place, {"url": url}),
    ):
        assert (answer.status, answer.problems) == (422, [("url", code)])
    assert (await networked.call("GET", place)).body["url"] == "https://93.184.216.34/"
    (only,) = (await networked.call("GET", "/webhooks")).body["webhooks"]
    assert "secret" not in only
    entries = (await networked.call("GET", "/audit")).body["entries"]
    assert [entry["result"] for entry in entries] == ["invalid_request", "invalid_request", "done"]
    assert "password" not in str(entries)


async def test_the_secret_is_in_one_answer_alone(networked: Api) -> None:
    made = await networked.call("POST", "/webhooks", {"url": "https://93.184.216.34/?token=t"})
    rotated = await networked.call("POST", f"/webhooks/{made.body['id']}/rotate")
    changed = await networked.call("PATCH", f"/webhooks/{made.body['id']}", {"graphs": ["g"]})
    rest = [
        await networked.call("GET", path) for path in ("/webhooks", f"/webhooks/{made.body['id']}", "/audit")
    ]
    assert made.body["secret"] != rotated.body["secret"]
    assert changed.body["graphs"] == ["g"]
    for answer in (changed, *rest):
        assert "whsec_" not in answer.text
    assert "token" not in rest[-1].text
