"""Cron triggers and their next firings."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Body

from karman_core.domain.cron import next_firing
from karman_core.domain.errors import InvalidRequest, NotFound
from karman_core.engine.access import Scope
from karman_core.engine.reconciling import Reconciliation
from karman_core.engine.views import Started
from karman_core.ports.timers import Schedule
from karman_functions.api.context import engine, operator, services
from karman_functions.api.limits import MAX_PAGE
from karman_functions.api.models import SchedulesToReconcile, Trigger, Triggers
from karman_functions.api.paging import page_of
from karman_functions.api.parameters import Cursor, GraphName, Limit, Namespace, TriggerName
from karman_functions.api.routing import Resource

FIRINGS = 5

resource = Resource("triggers")


@resource.route("GET", "/triggers", Scope.READ)
async def list_triggers(namespace: Namespace, limit: Limit = MAX_PAGE, cursor: Cursor = None) -> Triggers:
    """The cron triggers of the namespace's graphs."""
    return _page(await services().schedules.list(namespace), limit, cursor)


@resource.route("GET", "/graphs/<name>/triggers", Scope.READ)
async def list_graph_triggers(
    namespace: Namespace, name: GraphName, limit: Limit = MAX_PAGE, cursor: Cursor = None
) -> Triggers:
    """The cron triggers of a graph."""
    await engine().get_graph(namespace, name)
    return _page(await services().schedules.list(namespace, name), limit, cursor)


@resource.route("POST", "/graphs/<name>/triggers/<trigger>/fire", Scope.TRIGGER, status=201)
async def fire_trigger(namespace: Namespace, name: GraphName, trigger: TriggerName) -> Started:
    """Begin a run as the trigger would now: with its inputs, its store, and its way with overlaps."""
    for schedule in await services().schedules.list(namespace, name):
        if schedule.trigger == trigger:
            return await operator().fire(schedule, services().clock.now_ms())
    raise NotFound(f"Graph '{name}' has no trigger '{trigger}'.")


@resource.route("POST", "/graphs/<name>/triggers/<trigger>/enable", Scope.ADMIN)
async def enable_trigger(namespace: Namespace, name: GraphName, trigger: TriggerName) -> Trigger:
    """Let a trigger fire, by a new version of its graph; nothing changes if it does already."""
    return await _set(namespace, name, trigger, enabled=True)


@resource.route("POST", "/graphs/<name>/triggers/<trigger>/disable", Scope.ADMIN)
async def disable_trigger(namespace: Namespace, name: GraphName, trigger: TriggerName) -> Trigger:
    """Keep a trigger from firing, by a new version of its graph; nothing changes if it does not anyway."""
    return await _set(namespace, name, trigger, enabled=False)


@resource.route("POST", "/triggers/reconcile", Scope.ADMIN)
async def reconcile_triggers(
    namespace: Namespace,
    body: Annotated[SchedulesToReconcile, Body()] = SchedulesToReconcile(),  # noqa: B008  frozen
) -> Reconciliation:
    """Compare the schedules with the graphs' triggers, and mend what is missing, orphaned or different."""
    if body.dry_run:
        return Reconciliation(tuple(await engine().reconciler.differences(namespace)), mended=False)
    told = await operator().reconcile(namespace, rewrite=body.rewrite)
    return Reconciliation(tuple(told), mended=True)


async def _set(namespace: str, graph: str, trigger: str, *, enabled: bool) -> Trigger:
    value = (await operator().set_trigger(namespace, graph, trigger, enabled=enabled)).value
    schedule = Schedule(namespace, graph, trigger, value.expression, value.timezone, enabled=value.enabled)
    return _shown(schedule, services().clock.now_ms())


def _page(schedules: Sequence[Schedule], limit: int, cursor: str | None) -> Triggers:
    now = services().clock.now_ms()
    # '#' is in no name and sorts before all that is, so texts sort as pairs would.
    found, after = page_of(schedules, lambda each: f"{each.graph}#{each.trigger}", limit, cursor)
    return Triggers(tuple(_shown(each, now) for each in found), after)


def _shown(schedule: Schedule, now: int) -> Trigger:
    return Trigger(
        graph=schedule.graph,
        trigger=schedule.trigger,
        cron=schedule.cron,
        timezone=schedule.timezone,
        enabled=schedule.enabled,
        next_ms=tuple(_firings(schedule, now)),
    )


def _firings(schedule: Schedule, after_ms: int) -> list[int]:
    found: list[int] = []
    with suppress(InvalidRequest):  # of a graph that was stored with problems
        while schedule.enabled and len(found) < FIRINGS:
            after_ms = next_firing(schedule.cron, schedule.timezone, after_ms)
            found.append(after_ms)
    return found
