"""Events: published at least once, durable on return."""

from __future__ import annotations

import time

import pytest

from karman_core.ports.events import Event, Events
from tests.contract.backends import BackendPorts, Faults

EVENTS = [
    Event(
        f"run-{number}#succeeded",
        "run.succeeded",
        "default",
        1_767_225_600_000 + number,
        {"run_id": f"run-{number}"},
    )
    for number in range(25)
]


async def published(ports: BackendPorts, count: int) -> list[Event]:
    """What arrived, each once, by time, as soon as there are so many; what is published may arrive a moment later."""
    if ports.published is None:
        pytest.skip(f"what is published on {ports.name} cannot be read")
    end = time.monotonic() + 60
    while True:
        by_id = {event.id: event for event in await ports.published()}
        if len(by_id) >= count or time.monotonic() > end:
            return sorted(by_id.values(), key=lambda event: event.at_ms)


async def test_events_arrive(ports: BackendPorts, events: Events) -> None:
    detail = {"text": "grüße", "number": 5, "float": 0.5, "nested": {"list": [1, None, True]}}
    event = Event("id", "run.failed", "team", 1_767_225_600_000, detail)

    await events.publish([event])

    assert await published(ports, 1) == [event]


async def test_more_events_than_a_service_takes_at_once(ports: BackendPorts, events: Events) -> None:
    await events.publish(EVENTS)
    await events.publish([])

    assert await published(ports, len(EVENTS)) == EVENTS


async def test_publishing_again_is_no_error(ports: BackendPorts, events: Events) -> None:
    await events.publish(EVENTS[:2])
    await events.publish(EVENTS[1:3])

    assert await published(ports, 3) == EVENTS[:3]


async def test_entries_that_failed_are_published_again(
    ports: BackendPorts, events: Events, faults: Faults
) -> None:
    faults.fail_batch_entries(3)

    await events.publish(EVENTS[:12])

    assert await published(ports, 12) == EVENTS[:12]
