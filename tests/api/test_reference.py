"""The description over HTTP, and the page that shows it."""

from karman_functions.api.openapi import document
from tests.api.client import Api, event


async def test_the_description_needs_no_key(api: Api) -> None:
    answer = await api.send(event("GET", "/v1/openapi.json", key=None))
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.body == document()


async def test_the_page_brings_all_along_and_may_load_nothing(api: Api) -> None:
    answer = await api.send(event("GET", "/v1/docs", key=None))
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "<title>Karman API</title>" in answer.text
    assert "start_run" in answer.text
    assert 'updateUrl("openapi.json")' in answer.text
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "http" not in policy
