"""Timers: a message at a time, once."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from karman_core.ports.queue import Incoming
from karman_core.ports.timers import Timer, Timers
from tests.contract.backends import BackendPorts
from tests.contract.backends.clocks import in_time

NAME = "default/workers"


def timer(ports: BackendPorts, seconds: float, name: str = "timer-1", body: str = "ring") -> Timer:
    return Timer(name, ports.clock.now_ms() + round(seconds * 1000), NAME, body)


async def arrived(ports: BackendPorts, queue: str = NAME) -> list[str]:
    """The bodies of the messages that are there, once there is one."""
    assert ports.queue is not None
    for _ in range(1 + round(ports.timer_slack_seconds / 0.1)):
        if messages := await ports.queue.receive(queue):
            return sorted(message.body for message in messages)
        await ports.clock.advance(0.1)
    return []


@pytest.fixture(autouse=True)
async def created(ports: BackendPorts) -> None:
    if ports.queue is not None:
        await ports.queue.create(NAME)


async def test_a_timer_sends_its_message_when_its_time_has_come(ports: BackendPorts, timers: Timers) -> None:
    assert ports.queue is not None
    queue = ports.queue

    async def set_one(number: int) -> tuple[str, list[Incoming]]:
        name = f"{NAME}-{number}"
        await queue.create(name)
        await timers.set(replace(timer(ports, 2, name=f"timer-{number}"), queue=name))
        return name, await queue.receive(name)

    name, early = await in_time(ports.clock, 2, set_one)
    assert early == []
    await ports.clock.advance(2.2)

    assert await arrived(ports, name) == ["ring"]
    assert await queue.receive(name) == []


async def test_a_time_in_the_past_means_now(ports: BackendPorts, timers: Timers) -> None:
    await timers.set(timer(ports, -60))

    assert await arrived(ports) == ["ring"]


async def test_setting_a_timer_again_replaces_it(ports: BackendPorts, timers: Timers) -> None:
    await timers.set(timer(ports, 600, body="old"))
    await timers.set(timer(ports, 1, body="new"))
    await timers.set(replace(timer(ports, 600, body="later"), name="timer-2"))

    await ports.clock.advance(1.2)

    assert await arrived(ports) == ["new"]


async def test_a_timer_set_again_after_it_fired_fires_again(ports: BackendPorts, timers: Timers) -> None:
    for body in ("first", "second"):
        await timers.set(timer(ports, 1, body=body))
        await ports.clock.advance(1.2)
        assert await arrived(ports) == [body]


async def test_a_cancelled_timer_does_not_fire(ports: BackendPorts, timers: Timers) -> None:
    assert ports.queue is not None
    queue = ports.queue

    async def set_two(number: int) -> str:
        name = f"{NAME}-{number}"
        await queue.create(name)
        await timers.set(replace(timer(ports, 2, name=f"cancelled-{number}"), queue=name))
        await timers.set(replace(timer(ports, 2, name=f"other-{number}", body="other"), queue=name))
        await timers.cancel(f"cancelled-{number}")
        return name

    name = await in_time(ports.clock, 2, set_two)
    await ports.clock.advance(2.2)

    assert await arrived(ports, name) == ["other"]
    await ports.clock.advance(1.2)
    assert await queue.receive(name) == []


async def test_cancelling_what_is_not_there(ports: BackendPorts, timers: Timers) -> None:
    await timers.cancel("never-set")
    await timers.set(timer(ports, 600))
    await timers.cancel("timer-1")

    await timers.cancel("timer-1")


async def test_waiting_for_a_message_ends_with_a_timer(ports: BackendPorts, timers: Timers) -> None:
    assert ports.queue is not None
    await timers.set(timer(ports, 1))
    waiting = asyncio.create_task(ports.queue.receive(NAME, wait_seconds=15))

    await ports.clock.advance(1.2)

    async with asyncio.timeout(2 + ports.timer_slack_seconds):
        assert [message.body for message in await waiting] == ["ring"]


async def test_names_and_bodies_of_any_permitted_kind(ports: BackendPorts, timers: Timers) -> None:
    body = '{"text": "grüße, <b>&amp;</b> \\"q\\" {{x}} <aws.scheduler.execution-id>"}' + " " * 10_000
    await timers.set(timer(ports, -1, name="aZ0_.-" + "x" * 58, body=body))

    assert await arrived(ports) == [body]


@pytest.mark.parametrize(
    "name", ["", "x" * 65, "a b", "a/b", "ä"], ids=["empty", "long", "space", "slash", "letter"]
)
async def test_names_that_no_service_takes(ports: BackendPorts, timers: Timers, name: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        await timers.set(timer(ports, 1, name=name))
