"""The embedded queue's own promises: order, fairness, waking up, and the same again from the same seed."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from karman_core.backends.embedded import MEMORY, EmbeddedBackend
from karman_core.backends.system import SystemClock, SystemEntropy
from karman_core.ports.events import Event
from karman_core.ports.queue import Outgoing
from karman_core.ports.table import Add, Key
from karman_core.ports.timers import Timer
from tests.contract.backends.clocks import START_MS, ManualClock
from tests.contract.backends.embedded_memory import SeededEntropy

NAME = "default/workers"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def backend(clock: ManualClock) -> Iterator[EmbeddedBackend]:
    opened = EmbeddedBackend.open(MEMORY, clock=clock, entropy=SeededEntropy())
    asyncio.run(opened.queue.create(NAME))
    yield opened
    opened.close()


async def send(
    backend: EmbeddedBackend, *bodies: str, group: str | None = None, delay_seconds: int = 0
) -> None:
    messages = [Outgoing(body, fair_group=group, delay_seconds=delay_seconds) for body in bodies]
    await backend.queue.send(NAME, messages)


async def receive(backend: EmbeddedBackend, limit: int = 10) -> list[str]:
    return [message.body for message in await backend.queue.receive(NAME, limit=limit)]


# --- order and fairness -----------------------------------------------------------------------------------------------


async def test_messages_come_in_the_order_of_sending(backend: EmbeddedBackend) -> None:
    bodies = [f"{number:02}" for number in range(30)]
    for body in bodies:
        await send(backend, body)

    assert [await receive(backend), await receive(backend), await receive(backend)] == [
        bodies[:10],
        bodies[10:20],
        bodies[20:],
    ]


async def test_a_run_with_many_messages_does_not_keep_others_waiting(backend: EmbeddedBackend) -> None:
    await send(backend, *(f"large {number}" for number in range(1000)), group="large")
    await send(backend, "small 0", "small 1", group="small")
    await send(backend, "alone")

    first, second = await receive(backend), await receive(backend)

    assert {"small 0", "small 1", "alone"} <= {*first}
    assert [body for body in first + second if body.startswith("large")] == [f"large {n}" for n in range(17)]


async def test_a_run_with_a_hundred_thousand_messages_keeps_nobody_waiting(backend: EmbeddedBackend) -> None:
    await send(backend, *map(str, range(100_000)), group="large")
    for _ in range(5):
        await receive(backend)
    await send(backend, "small", group="small")

    assert "small" in await receive(backend)


async def test_runs_with_many_messages_take_turns(backend: EmbeddedBackend) -> None:
    for group in "abc":
        await send(backend, *(f"{group}{number:03}" for number in range(100)), group=group)

    received = [body for _ in range(6) for body in await receive(backend)]

    assert [sum(body.startswith(group) for body in received) for group in "abc"] == [20, 20, 20]


async def test_a_run_that_was_served_does_not_wait_for_those_that_were_not(backend: EmbeddedBackend) -> None:
    await send(backend, *(f"a{number}" for number in range(50)), group="a")
    while await receive(backend):
        pass
    await send(backend, *(f"b{number}" for number in range(50)), group="b")

    await send(backend, "a again", group="a")

    assert "a again" in await receive(backend)


async def test_what_comes_back_and_what_is_new_share(backend: EmbeddedBackend, clock: ManualClock) -> None:
    await send(backend, *(f"retry {number}" for number in range(20)), delay_seconds=5)
    await send(backend, *(f"new {number}" for number in range(20)))
    await clock.advance(5)

    received = await receive(backend)

    assert received == [f"retry {number}" for number in range(5)] + [f"new {number}" for number in range(5)]
    assert len([body for _ in range(3) for body in await receive(backend)]) == 30


async def test_delayed_messages_and_timers_come_in_the_order_of_their_times(
    backend: EmbeddedBackend, clock: ManualClock
) -> None:
    await send(backend, "third", delay_seconds=3)
    await backend.timers.set(Timer("timer", START_MS + 2000, NAME, "second"))
    await send(backend, "first", delay_seconds=1)
    await clock.advance(10)

    assert await receive(backend) == ["first", "second", "third"]


# --- waking up --------------------------------------------------------------------------------------------------------


async def test_a_send_wakes_who_waits_at_once(backend: EmbeddedBackend) -> None:
    waiting = [asyncio.create_task(backend.queue.receive(NAME, limit=1, wait_seconds=20)) for _ in range(3)]
    await asyncio.sleep(0)

    await send(backend, "a", "b", "c")  # the clock stands still: only the send can wake them

    async with asyncio.timeout(60):
        received = [message.body for messages in await asyncio.gather(*waiting) for message in messages]
    assert sorted(received) == ["a", "b", "c"]


def test_a_send_of_another_thread_wakes_who_waits(backend: EmbeddedBackend) -> None:
    ready = threading.Event()
    received: list[str] = []

    async def wait() -> None:
        receiving = asyncio.create_task(backend.queue.receive(NAME, wait_seconds=20))
        await asyncio.sleep(0.01)
        ready.set()
        async with asyncio.timeout(60):
            received.extend(message.body for message in await receiving)

    thread = threading.Thread(target=lambda: asyncio.run(wait()))
    thread.start()
    assert ready.wait(60)
    asyncio.run(send(backend, "a"))
    thread.join(60)

    assert received == ["a"]


def test_a_loop_that_was_closed_while_it_listened_does_no_harm(backend: EmbeddedBackend) -> None:
    loop = asyncio.new_event_loop()
    waiting = loop.create_task(backend.queue.receive(NAME, wait_seconds=20))
    loop.run_until_complete(asyncio.sleep(0.01))
    waiting.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()

    asyncio.run(send(backend, "a"))

    assert asyncio.run(receive(backend)) == ["a"]


async def test_a_worker_that_always_finds_messages_lets_others_run(backend: EmbeddedBackend) -> None:
    await send(backend, *(str(number) for number in range(100)))
    turns: list[int] = []

    async def heartbeat() -> None:
        while True:
            turns.append(1)
            await asyncio.sleep(0)

    beating = asyncio.create_task(heartbeat())
    while await receive(backend):
        pass
    beating.cancel()

    assert len(turns) >= 10


# --- refused ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", ["", "a\x00", "\x1b[0m", "\ufffe", "\ud800"], ids=range(5))
async def test_bodies_that_sqs_refuses(backend: EmbeddedBackend, body: str) -> None:
    with pytest.raises(ValueError, match="control characters"):
        await send(backend, "fine", body)

    assert await receive(backend) == []


@pytest.mark.parametrize(
    "receipt", ["", "x", "1", "1.1", "1.1.", "9" * 40 + ".1.a", "1.-1.a", "²,1.a", "1' OR 1=1"]
)
async def test_texts_that_are_no_receipts(backend: EmbeddedBackend, receipt: str) -> None:
    await send(backend, "a")
    await receive(backend)

    assert await backend.queue.extend(NAME, [receipt], 60) == [receipt]
    await backend.queue.delete(NAME, [receipt])

    assert (await backend.queue.depth(NAME)).in_flight == 1


# --- keeping house ----------------------------------------------------------------------------------------------------


async def test_dead_letters_are_kept_until_they_are_purged(
    backend: EmbeddedBackend, clock: ManualClock
) -> None:
    await send(backend, "a", "b")
    messages = await backend.queue.receive(NAME)
    await clock.advance(1)
    for message in messages:
        await backend.queue.bury(NAME, message, f"reason {message.body}")
        await backend.queue.bury(NAME, message, "again")

    letters = backend.queue.dead_letters(NAME)
    assert [(letter.body, letter.reason, letter.receive_count) for letter in letters] == [
        ("a", "reason a", 1),
        ("b", "reason b", 1),
    ]
    assert {(letter.sent_ms, letter.buried_ms) for letter in letters} == {(START_MS, START_MS + 1000)}
    assert backend.queue.purge_dead_letters(NAME) == 2
    assert backend.queue.dead_letters(NAME) == []
    assert backend.queue.queues() == [NAME]


async def test_burying_a_message_that_was_delivered_again_leaves_it(
    backend: EmbeddedBackend, clock: ManualClock
) -> None:
    await send(backend, "a")
    (first,) = await backend.queue.receive(NAME, lease_seconds=1)
    await clock.advance(2)
    await backend.queue.receive(NAME)

    await backend.queue.bury(NAME, first, "too late")

    assert backend.queue.dead_letters(NAME) == []
    assert (await backend.queue.depth(NAME)).in_flight == 1


async def test_events_are_read_from_where_one_stopped(backend: EmbeddedBackend) -> None:
    events = [Event(str(number), "run.succeeded", "default", START_MS + number, {}) for number in range(5)]
    await backend.events.publish(events[:3])
    seen = backend.events.read(limit=2)
    await backend.events.publish(events)

    assert [entry.event for entry in seen] == events[:2]
    assert [entry.event for entry in backend.events.read(after=seen[-1].position)] == events[2:]
    assert backend.events.purge(START_MS + 3) == 3
    assert [entry.event for entry in backend.events.read()] == events[3:]


async def test_fair_groups_are_forgotten_once_served(backend: EmbeddedBackend) -> None:
    for number in range(20):
        await send(backend, *"abc", group=f"run-{number}")
        await receive(backend, limit=2)  # more comes than goes, so the queue is never empty

    backend.purge(START_MS)
    with backend.database.read() as connection:
        kept = connection.execute("SELECT count(*) FROM fair_groups").fetchone()[0]
        waiting = connection.execute("SELECT count(*) FROM messages WHERE hidden_until IS NULL").fetchone()[0]

    assert 0 < kept <= 20
    assert waiting == 20
    while await receive(backend):
        pass
    backend.purge(START_MS)
    with backend.database.read() as connection:
        assert connection.execute("SELECT count(*) FROM fair_groups").fetchone()[0] == 0


# --- determinism ------------------------------------------------------------------------------------------------------


async def history(seed: int) -> list[Any]:
    """What a backend in memory answers to the same calls, ids and receipts included."""
    clock = ManualClock()
    backend = EmbeddedBackend.open(MEMORY, clock=clock, entropy=SeededEntropy(seed))
    await backend.queue.create(NAME)
    answers: list[Any] = []
    for number in range(20):
        await send(backend, f"a{number}", f"b{number}", group=f"run-{number % 3}", delay_seconds=number % 4)
        await backend.timers.set(Timer(f"timer-{number}", clock.now_ms() + 700 * number, NAME, "ring"))
        await clock.advance(0.7)
        answers.append(await backend.queue.receive(NAME, limit=2, lease_seconds=2))
        answers.append(await backend.table.update(Key("p", "s"), [Add("members", frozenset({str(number)}))]))
        answers.append(await backend.queue.depth(NAME))
    backend.close()
    return answers


async def test_in_memory_everything_follows_from_clock_and_entropy() -> None:
    first = await history(1)

    assert first == await history(1)
    assert first != await history(2)


async def test_the_system_clock_and_entropy() -> None:
    clock, entropy = SystemClock(), SystemEntropy()
    before = clock.now_ms()
    await clock.sleep(0.01)
    tokens = {entropy.token() for _ in range(1000)}

    assert clock.now_ms() - before >= 10
    assert abs(before / 1000 - time.time()) < 300
    assert len(tokens) == 1000
    assert {len(token) for token in tokens} == {26}
    assert set("".join(tokens)) <= set("0123456789abcdefghijklmnopqrstuvwxyz")
    assert all(0 <= entropy.uniform() < 1 for _ in range(1000))
