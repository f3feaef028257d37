"""Graphs that are deleted, and triggers that are enabled and disabled."""

from __future__ import annotations

import pytest

from karman_core.domain.errors import Conflict, NotFound
from karman_core.domain.outcome import Awaiting
from karman_core.engine import keys
from karman_core.ports.timers import Schedule
from tests.scenario.clock import START_MS
from tests.scenario.faults import Crashed, once
from tests.scenario.harness import NS, World, graph, node, world
from tests.scenario.nodes import give

CRON = {"name": "hourly", "value": {"expression": "0 * * * *"}}
SCHEDULE = Schedule(NS, "g", "hourly", "0 * * * *")


async def deletable(w: World) -> None:
    await w.define(node("a"), secrets=["TOKEN"], triggers=[CRON], secret_values={"TOKEN": "x", "OTHER": "y"})
    await w.define(node("a"), name="h", secrets=["TOKEN"], triggers=[CRON], secret_values={"TOKEN": "z"})


async def gone(w: World) -> bool:
    """Whether nothing is left of `g` that could start a run; of `h` everything must be."""
    left = [
        await w.engine.list_graphs(NS) != ["h"],
        [schedule.graph for schedule in await w.backend.schedules.list(NS)] != ["h"],
        await w.backend.secrets.names(f"{NS}/g") != [],
        await w.backend.table.get(keys.cron(NS, "g", "hourly")) is not None,
    ]
    assert await w.backend.secrets.get(f"{NS}/h", ["TOKEN"]) == {"TOKEN": "z"}
    return not any(left)


async def test_a_deleted_graph_leaves_nothing_that_could_start_a_run() -> None:
    async with world({"a": give()}) as w:
        await deletable(w)
        assert await w.engine.fire(SCHEDULE, START_MS) is not None
        await w.engine.delete_graph(NS, "g")
        assert await gone(w)
        for engine in (w.engine, w.api()):
            with pytest.raises(NotFound):
                await engine.get_graph(NS, "g")
            with pytest.raises(NotFound):
                await engine.trigger(NS, "g")
            with pytest.raises(NotFound):
                await engine.set_trigger(NS, "g", "hourly", enabled=False)
            assert await engine.fire(SCHEDULE, START_MS + 3_600_000) is None
        with pytest.raises(NotFound):
            await w.engine.delete_graph(NS, "g")
        with pytest.raises(NotFound):
            await w.engine.delete_graph(NS, "never")
        assert (await w.engine.register_nodes(NS, [])).broken == {}


async def test_a_run_that_goes_on_keeps_its_version() -> None:
    async with world({"a": lambda e: {"x": 1} if e.resumed else Awaiting("go"), "b": give(y=2)}) as w:
        await w.define(node("a", "b"), node("b"))
        run_id = await w.start()
        await w.work()
        await w.engine.delete_graph(NS, "g")
        w.restart()
        await w.engine.signal(NS, run_id, "go")
        await w.drive()
        assert (await w.view(run_id)).result == {"y": 2}
        assert [state.identifier for state in await w.states(run_id)] == ["a", "b"]
        assert (await w.engine.get_graph(NS, "g", 1)).version == 1


async def test_a_graph_that_comes_back_goes_on_counting() -> None:
    async with world({"a": give(), "b": give()}) as w:
        await w.define(node("a"))
        await w.define(node("b"))
        await w.engine.delete_graph(NS, "g")
        assert (await w.define(node("b"))).version == 3  # though it is what the last one said
        assert await w.engine.list_graphs(NS) == ["g"]
        assert (await w.finish()).graph_version == 3
        assert not (await w.define(node("b"))).changed
        await w.engine.delete_graph(NS, "g")
        with pytest.raises(NotFound):
            await w.start()


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("call", ["table.update", "schedules.delete", "table.delete", "secrets.delete"])
async def test_a_deletion_that_was_cut_off_is_finished_by_the_next_one(call: str, moment: str) -> None:
    async with world({"a": give()}) as w:
        await deletable(w)
        await w.engine.fire(SCHEDULE, START_MS)
        api = w.api()

        async def die() -> None:
            raise Crashed

        once(w.faults.after if moment == "after" else w.faults.before, call, die)
        with pytest.raises(Crashed):
            await api.delete_graph(NS, "g")
        try:
            await w.engine.delete_graph(NS, "g")
        except NotFound:
            assert (call, moment) != ("table.update", "before")
        assert await gone(w)


async def test_a_version_whose_writer_died_does_not_come_back_by_itself() -> None:
    async with world({"a": give()}) as w:
        await w.define(node("a"))
        view = await w.engine.get_graph(NS, "g")
        api = w.api()

        async def die() -> None:
            raise Crashed

        once(w.faults.after, "table.put", die)
        with pytest.raises(Crashed):
            await api.put_graph(NS, view.definition.model_copy(update={"description": "two"}))
        await w.engine.delete_graph(NS, "g")
        assert await w.engine.list_graphs(NS) == []
        assert (await w.define(node("a"))).version == 3


async def test_a_trigger_is_enabled_and_disabled_by_new_versions() -> None:
    async with world({"a": give()}) as w:
        await w.define(node("a"), triggers=[CRON, {"value": {"expression": "5 * * * *"}}])
        changed = await w.engine.set_trigger(NS, "g", "hourly", enabled=False)
        assert (changed.name, changed.value.enabled) == ("hourly", False)
        view = await w.engine.get_graph(NS, "g")
        assert (view.version, [each.value.enabled for each in view.definition.triggers]) == (2, [False, True])
        schedules = {each.trigger: each.enabled for each in await w.backend.schedules.list(NS, "g")}
        assert schedules == {"hourly": False, "cron-1": True}
        assert await w.engine.fire(SCHEDULE, START_MS) is None
        await w.engine.set_trigger(NS, "g", "hourly", enabled=False)
        assert (await w.engine.get_graph(NS, "g")).version == 2
        assert (await w.engine.set_trigger(NS, "g", "hourly", enabled=True)).value.enabled
        assert (await w.engine.get_graph(NS, "g")).version == 3
        assert await w.engine.fire(SCHEDULE, START_MS) is not None
        await w.engine.set_trigger(NS, "g", "cron-1", enabled=False)
        assert (await w.engine.get_graph(NS, "g")).definition.triggers[1].value.enabled is False
        for name, trigger in (("g", "other"), ("other", "hourly")):
            with pytest.raises(NotFound):
                await w.engine.set_trigger(NS, name, trigger, enabled=True)


async def test_a_change_at_the_same_time_is_not_lost() -> None:
    async with world({"a": give()}) as w:
        await w.define(node("a"), triggers=[CRON])

        async def other() -> None:
            await w.define(node("a"), triggers=[CRON], description="changed")

        once(w.faults.before, "table.put", other)
        await w.engine.set_trigger(NS, "g", "hourly", enabled=False)
        view = await w.engine.get_graph(NS, "g")
        assert (view.version, view.definition.description) == (3, "changed")
        assert not view.definition.triggers[0].value.enabled


async def test_a_graph_that_changes_all_the_time_is_a_conflict() -> None:
    async with world({"a": give()}) as w:
        await w.define(node("a"), triggers=[CRON])
        changes = 0

        async def change(call: object) -> None:
            nonlocal changes
            if getattr(call, "name", "") == "table.put" and changes < 100:
                w.faults.before.clear()
                changes += 1
                await w.define(node("a"), triggers=[CRON], description=str(changes))
                w.faults.before.append(change)

        w.faults.before.append(change)
        with pytest.raises(Conflict):
            await w.engine.set_trigger(NS, "g", "hourly", enabled=False)
        assert 5 <= changes < 100


async def test_a_disabled_trigger_whose_schedule_was_not_written_is_made_so_again() -> None:
    async with world({"a": give()}) as w:
        await w.define(node("a"), triggers=[CRON])
        api = w.api()

        async def die() -> None:
            raise Crashed

        once(w.faults.before, "schedules.put", die)
        with pytest.raises(Crashed):
            await api.set_trigger(NS, "g", "hourly", enabled=False)
        assert [each.enabled for each in await w.backend.schedules.list(NS, "g")] == [True]
        await w.engine.set_trigger(NS, "g", "hourly", enabled=False)
        assert [each.enabled for each in await w.backend.schedules.list(NS, "g")] == [False]


async def test_a_graph_with_problems_keeps_them() -> None:
    async with world({"a": give()}) as w:
        await w.engine.put_graph(NS, graph(node("gone"), triggers=[CRON]))
        await w.engine.set_trigger(NS, "g", "hourly", enabled=False)
        view = await w.engine.get_graph(NS, "g")
        assert (view.version, view.valid) == (2, False)
        assert await w.backend.schedules.list(NS) == []
