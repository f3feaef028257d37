"""Cron triggers and their next firings."""

from __future__ import annotations

from collections.abc import Sequence

from karman_core.domain.cron import next_firing
from karman_core.engine.access import Scope
from karman_core.ports.timers import Schedule
from karman_functions.api.context import engine, services
from karman_functions.api.models import Trigger, Triggers
from karman_functions.api.parameters import GraphName, Namespace
from karman_functions.api.routing import Resource

FIRINGS = 5

resource = Resource("triggers")


@resource.route("GET", "/triggers", Scope.READ)
async def list_triggers(namespace: Namespace) -> Triggers:
    """The cron triggers of the namespace's graphs."""
    return _shown(await services().schedules.list(namespace))


@resource.route("GET", "/graphs/<name>/triggers", Scope.READ)
async def list_graph_triggers(namespace: Namespace, name: GraphName) -> Triggers:
    """The cron triggers of a graph."""
    await engine().get_graph(namespace, name)
    return _shown(await services().schedules.list(namespace, name))


def _shown(schedules: Sequence[Schedule]) -> Triggers:
    now = services().clock.now_ms()
    return Triggers(
        tuple(
            Trigger(
                each.graph, each.trigger, each.cron, each.timezone, each.enabled, tuple(_firings(each, now))
            )
            for each in schedules
        )
    )


def _firings(schedule: Schedule, after_ms: int) -> list[int]:
    found: list[int] = []
    while schedule.enabled and len(found) < FIRINGS:
        after_ms = next_firing(schedule.cron, schedule.timezone, after_ms)
        found.append(after_ms)
    return found
