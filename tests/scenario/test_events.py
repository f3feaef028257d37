"""Events of runs: which are published, and that each is what the model of their detail says."""

from __future__ import annotations

from dataclasses import asdict

from karman_core.domain.events import EventKind, RunEvent
from karman_core.engine import EngineSettings
from karman_core.ports.events import Event
from tests.scenario.epochs import broken_until, retry
from tests.scenario.harness import NS, World, node, world
from tests.scenario.nodes import give_inputs


def told(w: World) -> list[Event]:
    return [each.event for each in w.backend.events.read()]


def checked(event: Event) -> RunEvent:
    """As the bus and webhooks have it. Nothing is in it that the model does not name."""
    detail = {**event.detail, "id": event.id, "namespace": event.namespace, "at_ms": event.at_ms}
    assert set(detail) == set(RunEvent.model_fields)
    return RunEvent.model_validate(detail, strict=False)


async def test_a_run_that_is_paused_resumed_failed_retried_and_succeeds() -> None:
    async with world({"a": broken_until(1)}, settings=EngineSettings(publish_started=True)) as w:
        await w.define(node("a"))
        run_id = await w.start(tags={"shop": "berlin"}, start_delay_ms=1_000)
        for operation in (w.engine.pause, w.engine.resume):
            await operation(NS, run_id)
            await w.work()
        await w.drive()
        await retry(w, run_id)
        published = told(w)
        events = [checked(event) for event in published]
        run = await w.view(run_id)

    assert [event.kind for event in published] == [
        EventKind.PAUSED,
        EventKind.RESUMED,
        EventKind.STARTED,
        EventKind.FAILED,
        EventKind.RETRIED,
        EventKind.SUCCEEDED,
    ]
    assert [event.status for event in events] == [
        "PAUSED",
        "RUNNING",
        "RUNNING",
        "FAILED",
        "RUNNING",
        "SUCCEEDED",
    ]
    assert [event.epoch for event in events] == [0, 0, 0, 0, 1, 1]
    assert [event.ended_ms is None for event in events] == [True, True, True, False, True, False]
    assert {event.tags["shop"] for event in events} == {"berlin"}
    assert events[2].at_ms == events[2].starts_ms == events[2].created_ms + 1_000
    assert len({event.id for event in events}) == 6
    assert all(event.at_ms >= event.created_ms for event in events)
    assert events[-1].totals.model_dump() == asdict(run.totals)


async def test_by_default_a_start_is_no_event() -> None:
    async with world({"a": give_inputs}) as w:
        await w.define(node("a"))
        await w.finish()
        assert [event.kind for event in told(w)] == [EventKind.SUCCEEDED]
