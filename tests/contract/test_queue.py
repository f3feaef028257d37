"""Queues: delivery at least once, leases, delays, batches."""

from __future__ import annotations

import asyncio

import pytest

from karman_core.domain.errors import ItemTooLarge, NotFound
from karman_core.ports.queue import MAX_MESSAGE_BYTES, Depth, Incoming, Outgoing, Queue
from tests.contract.backends import BackendPorts, Faults, SuiteClock
from tests.contract.backends.clocks import in_time

NAME = "default/workers"


@pytest.fixture
async def created(queue: Queue) -> Queue:
    await queue.create(NAME)
    return queue


async def send(queue: Queue, *bodies: str, delay_seconds: int = 0, name: str = NAME) -> None:
    await queue.send(name, [Outgoing(body, delay_seconds=delay_seconds) for body in bodies])


async def receive(
    queue: Queue, clock: SuiteClock, count: int = 1, lease_seconds: int = 60, name: str = NAME
) -> list[Incoming]:
    """So many messages. A service may return fewer at once than there are."""
    messages: list[Incoming] = []
    for _ in range(400):
        messages += await queue.receive(
            name, limit=min(10, count - len(messages)), lease_seconds=lease_seconds
        )
        if len(messages) >= count:
            return messages
        await clock.advance(0.05)
    raise AssertionError(f"{len(messages)} of {count} messages arrived")


async def is_empty(queue: Queue, name: str = NAME) -> bool:
    return await queue.receive(name) == []


def bodies(messages: list[Incoming]) -> list[str]:
    return sorted(message.body for message in messages)


# --- sending and receiving --------------------------------------------------------------------------------------------


async def test_a_message_arrives(created: Queue, clock: SuiteClock) -> None:
    before = clock.now_ms()
    await send(created, '{"turn": 0, "text": "grüße \\u0000 😀"}')

    (message,) = await receive(created, clock)

    assert message.body == '{"turn": 0, "text": "grüße \\u0000 😀"}'
    assert message.id
    assert message.receipt
    assert message.receive_count == 1
    assert before - 1000 <= message.sent_ms <= clock.now_ms() + 1000


async def test_a_received_message_is_hidden(created: Queue, clock: SuiteClock) -> None:
    await send(created, "a")

    await receive(created, clock)

    assert await is_empty(created)


async def test_a_deleted_message_is_gone(created: Queue, clock: SuiteClock) -> None:
    await send(created, "a", "b")
    gone, kept = sorted(await receive(created, clock, 2), key=lambda message: message.body)

    await created.delete(NAME, [gone.receipt])
    await created.extend(NAME, [kept.receipt], 0)
    assert bodies(await receive(created, clock)) == ["b"]
    assert await created.depth(NAME) == Depth(ready=0, delayed=0, in_flight=1)


async def test_creating_again_keeps_what_is_in_it(created: Queue, clock: SuiteClock) -> None:
    await send(created, "a")

    await created.create(NAME)

    assert bodies(await receive(created, clock)) == ["a"]


async def test_queues_are_separate(created: Queue, clock: SuiteClock) -> None:
    for other in ("default/workers2", "other/workers", "default/Workers", "default-workers/x"):
        await created.create(other)
        await created.send(other, [Outgoing("other")])
    await send(created, "a")

    assert bodies(await receive(created, clock)) == ["a"]
    assert await is_empty(created)


async def test_a_queue_that_does_not_exist(queue: Queue) -> None:
    with pytest.raises(NotFound):
        await queue.send("default/none", [Outgoing("a")])
    with pytest.raises(NotFound):
        await queue.receive("default/none")
    with pytest.raises(NotFound):
        await queue.depth("default/none")


async def test_sending_nothing(created: Queue) -> None:
    await created.send(NAME, [])

    assert await is_empty(created)


async def test_a_batch_of_more_than_ten(created: Queue, clock: SuiteClock) -> None:
    sent = [f"message {number:02}" for number in range(35)]
    await send(created, *sent)

    messages = await receive(created, clock, 35)
    assert bodies(messages) == sent
    assert len({message.id for message in messages}) == 35

    assert await created.extend(NAME, [message.receipt for message in messages], 60) == []
    await created.delete(NAME, [message.receipt for message in messages])
    assert await created.depth(NAME) == Depth(ready=0, delayed=0, in_flight=0)


async def test_a_large_batch_of_large_messages(created: Queue, clock: SuiteClock) -> None:
    sent = [f"{number}" + "x" * 300_000 for number in range(9)]

    await send(created, *sent)

    assert bodies(await receive(created, clock, 9)) == sent


async def test_the_largest_message(created: Queue, clock: SuiteClock) -> None:
    body = "ä" * (MAX_MESSAGE_BYTES // 2)

    await send(created, body)

    assert bodies(await receive(created, clock)) == [body]


async def test_a_message_too_large_stops_the_whole_send(created: Queue) -> None:
    with pytest.raises(ItemTooLarge):
        await send(created, "a", "ä" * (MAX_MESSAGE_BYTES // 2) + "x")

    assert await is_empty(created)


@pytest.mark.parametrize("limit", [1, 3, 10])
async def test_no_more_than_the_limit(created: Queue, limit: int) -> None:
    await send(created, *"abcdefghijkl")

    assert 1 <= len(await created.receive(NAME, limit=limit)) <= limit


@pytest.mark.parametrize("limit", [0, 11, -1])
async def test_a_limit_that_no_service_takes(created: Queue, limit: int) -> None:
    with pytest.raises(ValueError, match=r".+"):
        await created.receive(NAME, limit=limit)


@pytest.mark.parametrize("delay_seconds", [-1, 901])
async def test_a_delay_that_no_service_takes(created: Queue, delay_seconds: int) -> None:
    with pytest.raises(ValueError, match=r".+"):
        await send(created, "a", delay_seconds=delay_seconds)


async def test_fair_groups_are_taken_with_and_without(created: Queue, clock: SuiteClock) -> None:
    await created.send(
        NAME, [Outgoing("a", fair_group="run-1"), Outgoing("b"), Outgoing("c", fair_group="run-2")]
    )

    assert bodies(await receive(created, clock, 3)) == ["a", "b", "c"]


# --- leases -----------------------------------------------------------------------------------------------------------


async def test_a_message_comes_again_when_its_lease_ends(created: Queue, clock: SuiteClock) -> None:
    await send(created, "a")

    (first,) = await receive(created, clock, lease_seconds=1)
    await clock.advance(1.3)
    (second,) = await receive(created, clock)

    assert (second.id, second.body, second.sent_ms) == (first.id, first.body, first.sent_ms)
    assert second.receive_count == 2
    assert second.receipt != first.receipt


async def test_an_extended_lease(created: Queue, clock: SuiteClock) -> None:
    await send(created, "a")
    (message,) = await receive(created, clock, lease_seconds=1)

    assert await created.extend(NAME, [message.receipt], 60) == []
    await clock.advance(1.3)

    assert await is_empty(created)


async def test_a_lease_can_be_shortened(queue: Queue, clock: SuiteClock) -> None:
    async def shorten(number: int) -> tuple[str, bool]:
        name = f"{NAME}-{number}"
        await queue.create(name)
        await send(queue, "a", name=name)
        (message,) = await receive(queue, clock, lease_seconds=600, name=name)
        assert await queue.extend(name, [message.receipt], 2) == []
        return name, await is_empty(queue, name)

    name, empty = await in_time(clock, 2, shorten)
    assert empty
    await clock.advance(2.3)

    assert bodies(await receive(queue, clock, name=name)) == ["a"]


async def test_a_message_can_be_given_back(created: Queue, clock: SuiteClock) -> None:
    await send(created, "a", "b")
    messages = await receive(created, clock, 2)

    assert await created.extend(NAME, [message.receipt for message in messages], 0) == []

    again = await receive(created, clock, 2)
    assert bodies(again) == ["a", "b"]
    assert [message.receive_count for message in again] == [2, 2]


async def test_a_stale_receipt_changes_nothing(created: Queue, clock: SuiteClock) -> None:
    await send(created, "a")
    (first,) = await receive(created, clock)
    await created.extend(NAME, [first.receipt], 0)
    (second,) = await receive(created, clock)

    assert await created.extend(NAME, [first.receipt], 0) == [first.receipt]
    await created.delete(NAME, [first.receipt])

    assert await is_empty(created)
    assert await created.extend(NAME, [second.receipt], 0) == []
    (third,) = await receive(created, clock)
    assert (third.id, third.receive_count) == (first.id, 3)


async def test_a_lease_that_ended_cannot_be_extended(created: Queue, clock: SuiteClock) -> None:
    await send(created, "a")
    (message,) = await receive(created, clock, lease_seconds=1)
    await clock.advance(1.3)

    assert await created.extend(NAME, [message.receipt], 60) == [message.receipt]
    assert bodies(await receive(created, clock)) == ["a"]


async def test_receipts_of_what_is_gone(created: Queue, clock: SuiteClock) -> None:
    await send(created, "a", "b")
    gone, kept = await receive(created, clock, 2)
    await created.delete(NAME, [gone.receipt])

    assert await created.extend(NAME, [gone.receipt, kept.receipt], 60) == [gone.receipt]
    await created.delete(NAME, [gone.receipt])
    await created.delete(NAME, [gone.receipt, kept.receipt])


# --- delays -----------------------------------------------------------------------------------------------------------


async def test_a_delayed_message(queue: Queue, clock: SuiteClock) -> None:
    async def delay(number: int) -> tuple[str, list[str], bool]:
        name = f"{NAME}-{number}"
        await queue.create(name)
        await send(queue, "later", delay_seconds=2, name=name)
        await send(queue, "now", name=name)
        return name, bodies(await receive(queue, clock, name=name)), await is_empty(queue, name)

    name, first, empty = await in_time(clock, 2, delay)
    assert first == ["now"]
    assert empty
    await clock.advance(2.3)

    (message,) = await receive(queue, clock, name=name)
    assert message.body == "later"
    assert message.receive_count == 1


async def test_depth(created: Queue, clock: SuiteClock) -> None:
    await send(created, "a", "b", "c")
    await send(created, "later", "later still", delay_seconds=600)
    await receive(created, clock, 1)

    depth = await created.depth(NAME)

    assert (depth.ready, depth.delayed, depth.in_flight) == (2, 2, 1)


# --- waiting ----------------------------------------------------------------------------------------------------------


async def test_waiting_ends_with_the_first_message(created: Queue, clock: SuiteClock) -> None:
    waiting = asyncio.create_task(created.receive(NAME, wait_seconds=20))
    await clock.advance(0.3)
    assert not waiting.done()

    await send(created, "a")

    async with asyncio.timeout(60):
        assert bodies(await waiting) == ["a"]


async def test_waiting_ends_when_a_delay_does(created: Queue, clock: SuiteClock) -> None:
    began_ms = clock.now_ms()
    await send(created, "a", delay_seconds=1)
    waiting = asyncio.create_task(created.receive(NAME, wait_seconds=20))
    await clock.advance(0.1)
    assert not waiting.done() or clock.now_ms() - began_ms >= 1_000  # the machine stood still for the delay

    await clock.advance(1.2)

    async with asyncio.timeout(60):
        assert bodies(await waiting) == ["a"]


async def test_waiting_in_vain(created: Queue, clock: SuiteClock) -> None:
    waiting = asyncio.create_task(created.receive(NAME, wait_seconds=1))

    await clock.advance(1.3)

    async with asyncio.timeout(60):
        assert await waiting == []


async def test_waiting_can_be_cancelled(created: Queue, clock: SuiteClock) -> None:
    waiting = asyncio.create_task(created.receive(NAME, wait_seconds=1, lease_seconds=1))
    await clock.advance(0.2)

    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await send(created, "a")
    await clock.advance(1.3)  # a service may have given the message to the receive that nobody waits for

    assert bodies(await receive(created, clock)) == ["a"]


# --- dead letters -----------------------------------------------------------------------------------------------------


async def test_a_buried_message_is_kept_for_people(created: Queue, ports: BackendPorts) -> None:
    await send(created, "{broken", "fine")
    fine, broken = sorted(await receive(created, ports.clock, 2), key=lambda message: message.body)

    await created.bury(NAME, broken, "not JSON: ä\n")
    await created.extend(NAME, [fine.receipt], 0)

    assert bodies(await receive(created, ports.clock)) == ["fine"]
    assert await created.depth(NAME) == Depth(ready=0, delayed=0, in_flight=1)
    assert ports.dead_letters is not None
    assert [(letter.body, letter.reason) for letter in await ports.dead_letters(NAME)] == [
        ("{broken", "not JSON: ä\n")
    ]


# --- faults -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("failing", [1, 4, 10])
async def test_entries_that_failed_are_sent_again(
    created: Queue, clock: SuiteClock, faults: Faults, failing: int
) -> None:
    sent = [f"message {number:02}" for number in range(23)]
    faults.fail_batch_entries(failing)

    await send(created, *sent)

    assert bodies(await receive(created, clock, 23)) == sent
    assert await is_empty(created)


async def test_entries_that_failed_are_deleted_again(
    created: Queue, clock: SuiteClock, faults: Faults
) -> None:
    await send(created, *"abcdefghijkl")
    messages = await receive(created, clock, 12)
    faults.fail_batch_entries(5)

    await created.delete(NAME, [message.receipt for message in messages])
    assert await created.depth(NAME) == Depth(ready=0, delayed=0, in_flight=0)


async def test_entries_that_failed_are_extended_again(
    created: Queue, clock: SuiteClock, faults: Faults
) -> None:
    await send(created, *"abcdefghijkl")
    messages = await receive(created, clock, 12, lease_seconds=600)
    faults.fail_batch_entries(5)

    assert await created.extend(NAME, [message.receipt for message in messages], 0) == []
    assert bodies(await receive(created, clock, 12)) == list("abcdefghijkl")
