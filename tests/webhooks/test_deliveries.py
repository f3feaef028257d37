"""Deliveries: at least once, in time, and to whom they are for."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress

import pytest

from karman_core.domain.errors import Unavailable
from karman_core.domain.webhooks import DELAYS_MS, MAX_ATTEMPTS, Answer, DeliveryStatus
from karman_core.engine.deliveries import Deliveries
from karman_core.engine.services import Services
from karman_core.engine.webhook_items import Due, read_due
from karman_core.engine.webhooks import Changes
from karman_core.ports.queue import Outgoing
from karman_core.ports.timers import Timer
from tests.scenario.faults import Crashed, Process, once
from tests.webhooks.world import NS, URL, Hooks

OTHER = "https://other.example.com/in"


async def test_a_delivery_as_it_arrives() -> None:
    hooks = Hooks()
    webhook = await hooks.prepare()
    event = await hooks.happen()
    await hooks.drive()

    (post,) = hooks.poster.posts
    assert (post.url, post.id) == (URL, event.id)
    assert post.is_signed_with(webhook.secret)
    assert json.loads(post.body) == {
        "type": "run.succeeded",
        "timestamp": "2026-01-01T00:00:00.001Z",
        "data": {
            "run_id": "r0",
            "graph": "g",
            "tags": {},
            "id": event.id,
            "namespace": NS,
            "at_ms": event.at_ms,
        },
    }
    view = await hooks.delivery(webhook.id)
    assert (view.status, view.attempts, view.response_status) == (DeliveryStatus.DELIVERED, 1, 200)
    assert (view.run_id, view.event, view.event_id, view.at_ms) == (
        "r0",
        "run.succeeded",
        event.id,
        event.at_ms,
    )
    assert (view.error, view.next_ms) == (None, None)


async def test_each_webhook_gets_what_it_is_for() -> None:
    hooks = Hooks()
    ends = await hooks.prepare()
    failures = await hooks.prepare(events=["run.failed"])
    of_graph = await hooks.prepare(graphs=["h"])
    off = await hooks.prepare(enabled=False)
    await hooks.happen(0)
    await hooks.happen(1, "run.failed")
    await hooks.happen(2, "run.cancelled", "h")
    await hooks.happen(3, "run.paused")
    late = await hooks.prepare()
    await hooks.drive()

    found = {
        view.id: [each.run_id for each in await hooks.deliveries(view.id)]
        for view in (ends, failures, of_graph, off, late)
    }
    assert found == {
        ends.id: ["r2", "r1", "r0"],
        failures.id: ["r1"],
        of_graph.id: ["r2"],
        off.id: [],
        late.id: [],
    }


async def test_attempts_follow_the_schedule_until_the_receiver_takes_it() -> None:
    hooks = Hooks()
    webhook = await hooks.prepare(
        500, Answer(error="No connection."), Answer(429, retry_after_seconds=900), 302, 204
    )
    await hooks.happen()
    await hooks.drive()

    posts = hooks.poster.posts
    assert len({post.id for post in posts}) == 1
    assert len({post.headers["webhook-timestamp"] for post in posts}) == 5
    assert all(post.is_signed_with(webhook.secret) for post in posts)
    waits = [after.at_ms - before.at_ms for before, after in itertools.pairwise(posts)]
    least = [DELAYS_MS[0], DELAYS_MS[1], 900_000, DELAYS_MS[3]]
    assert all(base <= wait <= base * 1.2 + 2_000 for base, wait in zip(least, waits, strict=True)), waits
    view = await hooks.delivery(webhook.id)
    assert (view.status, view.attempts, view.response_status, view.error) == (
        DeliveryStatus.DELIVERED,
        5,
        204,
        None,
    )


async def test_it_comes_to_an_end_that_is_seen(caplog: pytest.LogCaptureFixture) -> None:
    hooks = Hooks()
    webhook = await hooks.prepare(503)
    await hooks.happen()
    await hooks.drive()

    view = await hooks.delivery(webhook.id)
    assert (view.status, view.attempts) == (DeliveryStatus.FAILED, MAX_ATTEMPTS)
    assert view.error == "The receiver answered with status 503."
    assert len(hooks.poster.posts) == MAX_ATTEMPTS
    assert [each.getMessage() for each in caplog.records if each.levelname == "WARNING"] == [
        "webhook not delivered"
    ]


async def test_one_receiver_that_is_down_delays_no_other() -> None:
    hooks = Hooks()
    await hooks.prepare(503)
    await hooks.prepare(200, url=OTHER)
    event = await hooks.happen()
    await hooks.loop.follow()
    await hooks.loop.deliver()
    await hooks.loop.settle()

    assert sorted(post.url for post in hooks.poster.posts) == [URL, OTHER]
    assert {post.at_ms for post in hooks.poster.posts} == {event.at_ms}


async def test_410_disables_the_webhook() -> None:
    hooks = Hooks()
    webhook = await hooks.prepare(410)
    await hooks.happen(0)
    await hooks.drive()
    await hooks.happen(1)
    await hooks.drive()

    view = await hooks.webhooks.get(NS, webhook.id)
    assert (view.enabled, view.disabled_because) == (False, "The receiver answered 410: it wants no more.")
    (delivery,) = await hooks.deliveries(webhook.id)
    assert (delivery.run_id, delivery.status, delivery.attempts) == ("r0", DeliveryStatus.FAILED, 1)


async def test_410_of_the_receiver_before_disables_no_webhook_that_leads_elsewhere_by_now() -> None:
    hooks = Hooks()
    webhook = await hooks.prepare(410)
    await hooks.happen()
    post = hooks.loop._deliveries._poster.post  # noqa: SLF001  the receiver of the scenario

    async def change_before_the_answer(url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        answer: Answer = await post(url, headers, body)
        await hooks.webhooks.update(NS, webhook.id, Changes(url=OTHER))
        return answer

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(hooks.loop._deliveries._poster, "post", change_before_the_answer)  # noqa: SLF001  (same)
        await hooks.drive()
    await hooks.happen(1)
    await hooks.drive()

    assert (await hooks.webhooks.get(NS, webhook.id)).enabled
    assert [post.url for post in hooks.poster.posts] == [URL, OTHER]


async def test_no_timer_has_the_name_of_one_that_has_just_fired(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scheduler deletes what has fired a while later, and with it what was set under its name meanwhile."""
    hooks = Hooks()
    webhook = await hooks.prepare(503)
    names: list[str] = []
    timers = hooks.backend.timers
    set_timer = timers.set

    async def note(timer: Timer) -> None:
        names.append(timer.name)
        await set_timer(timer)

    monkeypatch.setattr(timers, "set", note)
    await hooks.happen()
    await hooks.drive()
    assert len(names) == MAX_ATTEMPTS - 1
    for _ in range(2):
        view = await hooks.delivery(webhook.id)
        await hooks.webhooks.redeliver(NS, webhook.id, view.id)
        await hooks.drive()
    assert len(set(names)) == len(names) == 3 * MAX_ATTEMPTS - 1


@pytest.mark.parametrize("end", ["disable", "delete"])
async def test_what_is_under_way_is_dropped_with_its_webhook(end: str) -> None:
    hooks = Hooks()
    webhook = await hooks.prepare(503)
    await hooks.happen()
    await hooks.loop.follow()
    await hooks.loop.deliver()
    await hooks.loop.settle()
    if end == "delete":
        await hooks.webhooks.delete(NS, webhook.id)
    else:
        await hooks.webhooks.update(NS, webhook.id, Changes(enabled=False))
    await hooks.drive()

    assert len(hooks.poster.posts) == 1
    if end == "disable":
        assert (await hooks.delivery(webhook.id)).status is DeliveryStatus.DROPPED


async def test_an_event_that_is_told_twice_is_one_delivery() -> None:
    hooks = Hooks()
    await hooks.prepare(500, 200)
    event = await hooks.happen()
    deliveries = hooks.webhooks.deliveries
    (due,) = await deliveries.take(event)
    assert await deliveries.take(event) == [due]
    assert await deliveries.attempt(due) is DeliveryStatus.PENDING
    assert await deliveries.take(event) == []
    assert await deliveries.attempt(due) is None  # it is on its way: the timer is set once more
    await hooks.drive()
    assert await deliveries.take(event) == []
    assert await deliveries.attempt(due) is None
    assert len(hooks.poster.posts) == 2


async def test_a_timer_that_was_not_set_is_set_when_the_event_is_told_again() -> None:
    """On AWS an invocation that fails is made again with its event."""
    hooks = Hooks()
    webhook = await hooks.prepare(500, 200)
    event = await hooks.happen()
    process = Process(hooks.backend, hooks.faults)
    dying = Deliveries(Services(process, hooks.clock, hooks.entropy, hooks.settings), hooks.poster)
    (due,) = await dying.take(event)

    async def fails() -> None:
        raise Unavailable("for a moment")

    once(hooks.faults.before, "timers.set", fails)
    with pytest.raises(Unavailable):
        await dying.attempt(due)
    assert (await hooks.delivery(webhook.id)).attempts == 1
    assert await dying.take(event) == []
    hooks.clock.advance(3_600)
    while await hooks.loop.deliver():
        await hooks.loop.settle()
    assert (await hooks.delivery(webhook.id)).status is DeliveryStatus.DELIVERED


async def test_of_two_attempts_at_one_time_one_is_recorded() -> None:
    hooks = Hooks()
    webhook = await hooks.prepare(500)
    (due,) = await hooks.webhooks.deliveries.take(await hooks.happen())
    post = hooks.poster.post

    async def post_twice(*arguments: object) -> Answer:
        hooks.poster.post = post  # type: ignore[method-assign]
        assert await hooks.webhooks.deliveries.attempt(due) is DeliveryStatus.PENDING
        return await post(*arguments)  # type: ignore[arg-type]

    hooks.poster.post = post_twice  # type: ignore[method-assign,assignment]
    assert await hooks.webhooks.deliveries.attempt(due) is None
    assert (await hooks.delivery(webhook.id)).attempts == 1


async def test_a_secret_that_is_lost_is_said() -> None:
    hooks = Hooks()
    webhook = await hooks.prepare()
    secrets = hooks.backend.secrets
    await secrets.delete("@webhooks/ns", await secrets.names("@webhooks/ns"))
    await hooks.happen()
    await hooks.drive()
    view = await hooks.delivery(webhook.id)
    assert (view.status, view.error) == (
        DeliveryStatus.FAILED,
        "The webhook's secret is not there; rotate it.",
    )
    assert hooks.poster.posts == []


async def test_a_message_that_is_no_delivery_is_kept_apart() -> None:
    hooks = Hooks()
    await hooks.prepare()
    await hooks.backend.queue.send("@webhooks", [Outgoing("foreign")])
    await hooks.drive()
    assert [letter.body for letter in hooks.backend.queue.dead_letters("@webhooks")] == ["foreign"]


# --- crashes ----------------------------------------------------------------------------------------------------------


async def scenario(hooks: Hooks) -> tuple[str, str]:
    """Two webhooks, one of whose receivers fails first, and two events, before anything is delivered."""
    first = await hooks.prepare(500, 200)
    second = await hooks.prepare(200, url=OTHER)
    for number in range(2):
        await hooks.happen(number)
    return first.id, second.id


async def test_a_crash_at_any_call_loses_no_delivery() -> None:
    hooks = Hooks()
    await scenario(hooks)
    hooks.faults.count = 0
    await hooks.drive()
    calls = hooks.faults.count
    assert calls > 30

    for number, after in itertools.product(range(calls), (False, True)):
        hooks = Hooks()
        ids = await scenario(hooks)
        hooks.faults.count, hooks.faults.crash_at = 0, (number, after)
        for _ in range(3):
            with suppress(Crashed):
                await hooks.drive()
            hooks.restart()
        assert hooks.faults.crashes == 1, (number, after)
        for webhook_id in ids:
            views = await hooks.deliveries(webhook_id)
            assert [view.status for view in views] == [DeliveryStatus.DELIVERED] * 2, (number, after, views)
        sent = Counter((post.url, post.id) for post in hooks.poster.posts)
        assert len(sent) == 4
        assert sum(sent.values()) <= 7, (number, after, sent)  # five, and what the crash has repeated


# --- timers' bodies ---------------------------------------------------------------------------------------------------


def test_a_due_attempt_as_text() -> None:
    due = Due("ns", "w", "d", 3)
    assert read_due(due.body()) == due
    assert read_due(json.loads(due.body())) == due


@pytest.mark.parametrize(
    "value",
    [
        "",
        "null",
        "[]",
        "{}",
        '{"kind": "karman.cron"}',
        '{"kind": "karman.webhook"}',
        '{"kind": "karman.webhook", "namespace": "ns", "webhook": "", "delivery": "d", "made": 0}',
        '{"kind": "karman.webhook", "namespace": "ns", "webhook": 1, "delivery": "d", "made": 0}',
        '{"kind": "karman.webhook", "namespace": "ns", "webhook": "w", "delivery": "d", "made": "0"}',
    ],
)
def test_what_is_none(value: str) -> None:
    assert read_due(value) is None
