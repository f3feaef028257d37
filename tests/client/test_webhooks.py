"""Webhooks by the client, and what receivers use."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from karman import AsyncClient, webhooks
from karman.errors import Conflict, InvalidInput, InvalidRequest, InvalidSignature, NotFound
from karman_core.domain.events import EventKind
from karman_core.domain.totals import Totals
from karman_core.domain.webhooks import headers, new_secret, payload
from tests.scenario.clock import ManualClock

URL = "https://hooks.example.com/in?token=t"


async def test_webhooks_are_made_changed_tried_and_deleted(karman: AsyncClient) -> None:
    made = await karman.create_webhook(URL, events=["run.failed", "run.paused"], graphs=["g"])
    assert made.secret.startswith("whsec_")
    assert made.secret not in repr(made)
    assert (made.url, made.graphs, made.enabled) == (URL, ("g",), True)
    assert made.events == (EventKind.PAUSED, EventKind.FAILED)
    assert [each.id async for each in karman.webhooks(page_size=1)] == [made.id]
    changed = await karman.update_webhook(made.id, events=["run.succeeded"], graphs=[], enabled=True)
    assert (changed.events, changed.graphs) == ((EventKind.SUCCEEDED,), ())
    assert (await karman.webhook(made.id)) == changed

    tried = await karman.test_webhook(made.id)
    assert (tried.event, tried.status, tried.response_status, tried.attempts) == (
        "webhook.test",
        "DELIVERED",
        204,
        1,
    )
    assert [each.id async for each in karman.deliveries(made.id)] == [tried.id]
    assert (await karman.retry_delivery(made.id, tried.id)).status == "PENDING"
    with pytest.raises(NotFound):
        await karman.retry_delivery(made.id, f"{'0' * 15}-other")

    rotated = await karman.rotate_webhook(made.id, overlap_seconds=60)
    assert rotated.secret != made.secret
    assert rotated.overlap_until_ms is not None
    assert (await karman.rotate_webhook(made.id, overlap_seconds=0)).overlap_until_ms is None


async def test_one_text_is_no_list_of_names(karman: AsyncClient) -> None:
    with pytest.raises(InvalidInput, match=r"graphs is a text; give a list: graphs=\['orders'\]"):
        await karman.create_webhook(URL, graphs="orders")
    with pytest.raises(InvalidInput, match=r"events=\['run.failed'\]"):
        await karman.create_webhook(URL, events=EventKind.FAILED)
    made = await karman.create_webhook(URL)
    with pytest.raises(InvalidInput, match="give a list"):
        await karman.update_webhook(made.id, graphs="orders")
    with pytest.raises(InvalidInput, match="give a list"):
        await karman.update_webhook(made.id, events="run.failed")


async def test_the_end_of_a_webhook_and_what_the_audit_says(karman: AsyncClient) -> None:
    made = await karman.create_webhook(URL)
    await karman.rotate_webhook(made.id)
    assert not (await karman.update_webhook(made.id, enabled=False)).enabled
    with pytest.raises(Conflict, match="disabled"):
        await karman.test_webhook(made.id)
    await karman.delete_webhook(made.id)
    with pytest.raises(NotFound):
        await karman.webhook(made.id)
    with pytest.raises(NotFound):
        await karman.delete_webhook(made.id)
    entries = [entry async for entry in karman.audit()]
    assert {entry.action for entry in entries} >= {"create_webhook", "rotate_webhook", "delete_webhook"}
    assert "hooks.example.com" in str(entries)
    assert "token" not in str(entries)
    assert made.secret not in str(entries)


async def test_webhooks_that_cannot_be(karman: AsyncClient) -> None:
    with pytest.raises(InvalidRequest, match="https"):
        await karman.create_webhook("https://user:password@hooks.example.com/")
    with pytest.raises(InvalidRequest):
        await karman.create_webhook(URL, events=["run.odd"])
    with pytest.raises(InvalidRequest, match="not published here"):
        await karman.create_webhook(URL, events=["run.started"])
    for _ in range(20):
        await karman.create_webhook(URL)
    with pytest.raises(Conflict, match="at most 20"):
        await karman.create_webhook(URL)


# --- receivers --------------------------------------------------------------------------------------------------------

SECRET = new_secret("a" * 26, "b" * 26)
DETAIL = {
    "id": "r1-0-FAILED",
    "namespace": "ns",
    "at_ms": 1_700_000_000_000,
    "run_id": "r1",
    "graph": "g",
    "version": 3,
    "status": "FAILED",
    "epoch": 0,
    "created_ms": 1,
    "starts_ms": 2,
    "ended_ms": 3,
    "totals": Totals(1, 2)._asdict(),
    "tags": {"shop": "berlin"},
    "trigger": None,
    "of a later version": 1,
}


def request(clock: ManualClock, body: bytes | None = None) -> tuple[bytes, dict[str, str]]:
    sent = payload("run.failed", 1_700_000_000_000, DETAIL) if body is None else body
    signed = headers([SECRET], "r1-0-FAILED", clock.now_ms() // 1000, sent)
    return sent, {name.title(): value for name, value in signed.items()}


def test_a_receiver_learns_what_happened() -> None:
    clock = ManualClock()
    body, given = request(clock)
    event = webhooks.verify(body, given, SECRET, clock=clock)

    assert (event.id, event.type) == ("r1-0-FAILED", "run.failed")
    assert event.timestamp == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert (event.run.run_id, event.run.status, event.run.totals.failed) == ("r1", "FAILED", 2)
    assert event.data["tags"] == {"shop": "berlin"}
    assert webhooks.verify(body.decode(), given, [new_secret("c", "d"), SECRET], clock=clock) == event


def test_what_is_not_signed_is_not_believed() -> None:
    clock = ManualClock()
    body, given = request(clock)
    for changed, secret in ((body + b" ", SECRET), (body, new_secret("c", "d"))):
        with pytest.raises(InvalidSignature, match="No signature"):
            webhooks.verify(changed, given, secret, clock=clock)
    clock.advance(301)
    with pytest.raises(InvalidSignature, match="too old"):
        webhooks.verify(body, given, SECRET, clock=clock)
    webhooks.verify(body, given, SECRET, clock=clock, tolerance=timedelta(minutes=10))
    with pytest.raises(InvalidSignature, match="too old"):
        webhooks.verify(body, given, SECRET)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", json.dumps({"type": "x", "data": {}}).encode()])
def test_what_is_signed_and_no_event(body: bytes) -> None:
    clock = ManualClock()
    body, given = request(clock, body)
    with pytest.raises(InvalidSignature, match="no event"):
        webhooks.verify(body, given, SECRET, clock=clock)


def test_an_event_that_is_about_no_run() -> None:
    clock = ManualClock()
    body, given = request(clock, payload("webhook.test", 1, {"webhook_id": "w"}))
    event = webhooks.verify(body, given, SECRET, clock=clock)
    with pytest.raises(InvalidInput, match="about no run"):
        _ = event.run
