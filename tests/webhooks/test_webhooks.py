"""Webhooks: made, changed, rotated; and that their secrets are nowhere to be found."""

from __future__ import annotations

import asyncio
import logging
import threading
from pathlib import Path

import pytest

from karman_core.backends.embedded import EmbeddedBackend
from karman_core.backends.posting import HttpxPoster
from karman_core.backends.system import SystemClock, SystemEntropy
from karman_core.domain.errors import Conflict, InvalidRequest, NotFound
from karman_core.domain.webhooks import Answer, DeliveryStatus
from karman_core.engine import EngineSettings
from karman_core.engine.webhooks import Changes, Webhooks
from karman_core.ports.events import Event
from karman_runtime.webhooks import WebhookLoop
from tests.webhooks.receiver import receiving
from tests.webhooks.world import NS, URL, Hooks


async def test_for_the_overlap_requests_are_signed_with_both_secrets() -> None:
    hooks = Hooks()
    first = await hooks.prepare()
    second = await hooks.webhooks.rotate(NS, first.id, overlap_seconds=60)
    await hooks.happen(0)
    await hooks.drive()
    hooks.clock.advance(60)
    await hooks.happen(1)
    await hooks.drive()
    third = await hooks.webhooks.rotate(NS, first.id, overlap_seconds=0)
    await hooks.happen(2)
    await hooks.drive()

    secrets = (first.secret, second.secret, third.secret)
    assert len(set(secrets)) == 3
    assert [[post.is_signed_with(secret) for secret in secrets] for post in hooks.poster.posts] == [
        [True, True, False],
        [False, True, False],
        [False, False, True],
    ]
    left = await hooks.backend.secrets.names("@webhooks/ns")
    assert len(left) == 1


async def test_of_two_rotations_at_one_time_one_is_refused() -> None:
    hooks = Hooks()
    webhook = await hooks.prepare()
    put = hooks.backend.secrets.put

    async def rotated_meanwhile(scope: str, values: dict[str, str]) -> None:
        object.__setattr__(hooks.backend.secrets, "put", put)
        await hooks.webhooks.rotate(NS, webhook.id)
        await put(scope, values)

    object.__setattr__(hooks.backend.secrets, "put", rotated_meanwhile)
    with pytest.raises(Conflict, match="at the same time"):
        await hooks.webhooks.rotate(NS, webhook.id)
    await hooks.happen()
    await hooks.drive()
    assert (await hooks.delivery(webhook.id)).status is DeliveryStatus.DELIVERED


async def test_what_is_changed_holds_for_the_next_event() -> None:
    hooks = Hooks()
    webhook = await hooks.prepare()
    other = "https://other.example.com/"
    await hooks.webhooks.update(
        NS, webhook.id, Changes(url=other, events=("run.failed",), graphs=("h", "g"), enabled=True)
    )
    await hooks.happen(0)
    await hooks.happen(1, "run.failed")
    await hooks.drive()
    assert [(post.url, post.id) for post in hooks.poster.posts] == [(other, "r1-0-FAILED")]
    view = await hooks.webhooks.update(NS, webhook.id, Changes())
    assert (view.graphs, view.url) == (("g", "h"), other)
    with pytest.raises(InvalidRequest):
        await hooks.webhooks.update(NS, webhook.id, Changes(url="https://inside.example.com/"))
    with pytest.raises(InvalidRequest, match="at least one"):
        await hooks.webhooks.update(NS, webhook.id, Changes(events=()))
    with pytest.raises(InvalidRequest, match="'a graph' is no name of a graph"):
        await hooks.webhooks.update(NS, webhook.id, Changes(graphs=("g", "a graph")))
    with pytest.raises(NotFound):
        await hooks.webhooks.update(NS, "other", Changes(enabled=True))


async def test_the_start_of_runs_is_for_webhooks_where_it_is_published() -> None:
    hooks = Hooks(EngineSettings(publish_started=True))
    await hooks.prepare(events=["run.started"])
    with pytest.raises(InvalidRequest, match="not published here"):
        await Hooks().prepare(events=["run.started"])


async def test_a_test_is_made_once_and_a_redelivery_as_often_as_an_event() -> None:
    hooks = Hooks()
    webhook = await hooks.prepare(503, 503, 503, 200)
    tried = await hooks.webhooks.test(NS, webhook.id)
    await hooks.drive()
    assert (tried.status, tried.event, tried.run_id) == (DeliveryStatus.FAILED, "webhook.test", None)
    assert len(hooks.poster.posts) == 1

    await hooks.happen()
    await hooks.drive()
    (delivered, _) = await hooks.deliveries(webhook.id)
    assert (delivered.status, delivered.attempts) == (DeliveryStatus.DELIVERED, 3)
    hooks.poster.answers[URL] = [Answer(error="No connection."), 200]
    again = await hooks.webhooks.redeliver(NS, webhook.id, delivered.id)
    assert (again.status, again.attempts) == (DeliveryStatus.PENDING, 0)
    await hooks.drive()
    (delivered, _) = await hooks.deliveries(webhook.id)
    assert (delivered.status, delivered.attempts, len(hooks.poster.posts)) == (DeliveryStatus.DELIVERED, 2, 6)
    with pytest.raises(NotFound):
        await hooks.webhooks.redeliver(NS, webhook.id, "other")


async def test_pages_of_deliveries() -> None:
    hooks = Hooks()
    webhook = await hooks.prepare()
    for number in range(5):
        await hooks.happen(number)
    await hooks.drive()
    first = await hooks.webhooks.page(NS, webhook.id, limit=3)
    second = await hooks.webhooks.page(NS, webhook.id, limit=3, cursor=first.cursor)
    found = [each.run_id for each in (*first.deliveries, *second.deliveries)]
    assert (found, second.cursor) == (["r4", "r3", "r2", "r1", "r0"], None)
    with pytest.raises(InvalidRequest):
        await hooks.webhooks.page(NS, webhook.id, cursor="odd")
    with pytest.raises(NotFound):
        await hooks.webhooks.page(NS, "other")


async def test_the_loop_as_it_runs_and_secrets_that_are_nowhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    clock, entropy = SystemClock(), SystemEntropy()
    backend = EmbeddedBackend.open(tmp_path / "k.db", clock=clock, entropy=entropy)
    poster = HttpxPoster(loopback=True, seconds=200)  # that one is under way when it is cancelled
    webhooks = Webhooks.over(backend, clock, entropy, EngineSettings(), poster)
    with receiving() as receiver:
        url = f"{receiver.url}/the-token-in-the-url"
        webhook = await webhooks.create(NS, url)
        loop = WebhookLoop(backend.events, backend.queue, backend.table, webhooks.deliveries, clock)
        running = asyncio.create_task(loop.run())
        event = Event("r1-0-SUCCEEDED", "run.succeeded", NS, clock.now_ms(), {"run_id": "r1", "graph": "g"})
        await backend.events.publish([event])
        async with asyncio.timeout(90):
            while not receiver.received:  # noqa: ASYNC110  its thread tells nobody
                await asyncio.sleep(0.02)
            await loop.settle()
        receiver.held = threading.Event()
        await webhooks.redeliver(NS, webhook.id, (await webhooks.page(NS, webhook.id)).deliveries[0].id)
        async with asyncio.timeout(90):
            while len(receiver.received) == 1:  # noqa: ASYNC110  (same)
                await asyncio.sleep(0.02)
        running.cancel()  # in mid-delivery
        with pytest.raises(asyncio.CancelledError):
            await running
    (view,) = (await webhooks.page(NS, webhook.id)).deliveries
    assert (view.status, view.attempts) == (DeliveryStatus.PENDING, 0)
    assert receiver.received[0].is_signed_with(webhook.secret)
    backend.close()

    for text in (caplog.text, repr(webhook), repr(webhooks)):
        assert webhook.secret not in text
        assert "the-token" not in caplog.text
    assert b"whsec_" not in b"".join(files(tmp_path))
    assert b"the-token" in b"".join(files(tmp_path))  # else nothing was looked at


def files(folder: Path) -> list[bytes]:
    """The database with all that lies beside it."""
    return [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
