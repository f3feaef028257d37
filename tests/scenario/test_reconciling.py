"""Schedules are compared with the graphs' triggers, and mended."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from karman_core.engine.reconciling import Drift
from karman_core.ports.timers import Schedule
from tests.scenario.harness import NS, World, graph, node, world
from tests.scenario.nodes import give

HOURLY, DAILY = "0 * * * *", "0 4 * * *"


def crons(**expressions: str) -> list[dict[str, Any]]:
    return [{"name": name, "value": {"expression": each}} for name, each in expressions.items()]


async def define(w: World, name: str, **expressions: str) -> None:
    view = await w.engine.put_graph(NS, graph(node("a"), name=name, triggers=crons(**expressions)))
    assert view.valid, view.problems


async def listed(w: World) -> dict[tuple[str, str], str]:
    return {(each.graph, each.trigger): each.cron for each in await w.backend.schedules.list(NS)}


async def told(w: World) -> dict[tuple[str, str], Drift]:
    return {(each.graph, each.trigger): each.drift for each in await w.engine.reconciler.differences(NS)}


async def test_what_graphs_wrote_themselves_is_as_they_want_it() -> None:
    async with world({"a": give()}) as w:
        await w.define(node("a"))
        await define(w, "one", hourly=HOURLY, daily=DAILY)
        assert await told(w) == {}
        assert await w.engine.reconciler.reconcile(NS) == []


async def test_missing_orphaned_and_different_schedules_are_told_and_mended() -> None:
    async with world({"a": give()}) as w:
        await w.define(node("a"))
        await define(w, "one", hourly=HOURLY, daily=DAILY, off=DAILY)
        await define(w, "two", hourly=HOURLY)
        schedules, right = w.backend.schedules, await listed(w)
        await schedules.delete(NS, "one", "hourly")
        await schedules.put(Schedule(NS, "one", "daily", HOURLY))
        await schedules.put(Schedule(NS, "one", "off", DAILY, enabled=False))
        await schedules.put(Schedule(NS, "two", "old", DAILY))
        await schedules.put(Schedule(NS, "gone", "daily", DAILY))
        await schedules.put(Schedule("other", "gone", "daily", DAILY))
        before = await listed(w)

        expected = {
            ("one", "hourly"): Drift.MISSING,
            ("one", "daily"): Drift.DIFFERENT,
            ("one", "off"): Drift.DIFFERENT,
            ("two", "old"): Drift.ORPHANED,
            ("gone", "daily"): Drift.ORPHANED,
        }
        assert await told(w) == expected
        assert await listed(w) == before

        mended = await w.engine.operator("test").reconcile(NS)
        assert {(each.graph, each.trigger): each.drift for each in mended} == expected
        assert await listed(w) == right
        assert await told(w) == {}
        assert len(await w.backend.schedules.list("other")) == 1
        (entry,) = (await w.engine.audit.page(NS, limit=10)).entries
        assert (entry.action, entry.by) == ("reconcile_triggers", "test")


async def test_a_graph_that_is_deleted_or_not_valid_wants_none() -> None:
    async with world({"a": give()}) as w:
        await w.define(node("a"))
        await define(w, "gone", daily=DAILY)
        await define(w, "broken", daily=DAILY)
        kept = await w.backend.schedules.list(NS)
        await w.engine.delete_graph(NS, "gone")
        await w.engine.put_graph(NS, graph(node("a", "nowhere"), name="broken", triggers=crons(daily=DAILY)))
        for schedule in kept:
            await w.backend.schedules.put(schedule)

        assert set((await told(w)).values()) == {Drift.ORPHANED}
        await w.engine.reconciler.reconcile(NS)
        assert await listed(w) == {}


async def test_it_mends_by_the_version_that_is_current_when_it_mends() -> None:
    async with world({"a": give()}) as w:
        await w.define(node("a"))
        await define(w, "one", hourly=HOURLY)
        await w.backend.schedules.delete(NS, "one", "hourly")
        reconciler = w.engine.reconciler
        compare = reconciler.differences

        class Slow(type(reconciler)):  # type: ignore[misc]
            async def differences(self, namespace: str) -> Any:
                found = await compare(namespace)
                await define(w, "one", daily=DAILY)
                return found

        slow = Slow(reconciler._services, reconciler._graphs)  # noqa: SLF001  to have something happen in between
        await slow.reconcile(NS)
        assert await listed(w) == {("one", "daily"): DAILY}


async def test_rewriting_writes_what_is_right_already() -> None:
    async with world({"a": give()}) as w:
        await w.define(node("a"))
        await define(w, "one", hourly=HOURLY)
        written = []
        schedules = w.backend.schedules
        put = schedules.put

        class Noting(type(schedules)):  # type: ignore[misc]
            async def put(self, schedule: Schedule) -> None:
                written.append(schedule.trigger)
                await put(schedule)

        reconciler = w.engine.reconciler
        noting = replace(w.backend, schedules=Noting(w.backend.database))
        services = replace(reconciler._services, backend=noting)  # noqa: SLF001  to see what is written
        other = type(reconciler)(services, reconciler._graphs)  # noqa: SLF001
        assert await other.reconcile(NS) == []
        assert written == []
        assert await other.reconcile(NS, rewrite=True) == []
        assert written == ["hourly"]
