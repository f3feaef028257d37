"""Triggers: idempotency keys, what is refused, and cron firings."""

from __future__ import annotations

import json
from typing import Any

import pytest

from karman_core.domain.definition import RegisteredNode
from karman_core.domain.errors import Conflict, InvalidGraph, InvalidInput, NotFound, PayloadTooLarge
from karman_core.domain.outcome import Awaiting, Requeued
from karman_core.engine import EngineSettings
from karman_core.ports.timers import Schedule
from tests.scenario.clock import START_MS
from tests.scenario.faults import Crashed, once
from tests.scenario.harness import NS, World, graph, node, world
from tests.scenario.invariants import check
from tests.scenario.nodes import give, give_inputs


async def test_one_key_is_one_run() -> None:
    async with world({"a": give_inputs}) as w:
        await w.define(node("a"))
        options: dict[str, Any] = {
            "idempotency_key": "k",
            "inputs": {"x": 1, "y": {"b": 1, "a": 2}},
            "tags": {"t": "1"},
        }
        first = await w.engine.trigger(NS, "g", **options)
        again = await w.engine.trigger(NS, "g", **{**options, "inputs": {"y": {"a": 2, "b": 1}, "x": 1}})
        assert (first.created, again.created) == (True, False)
        assert first.run_id == again.run_id
        await w.drive()
        late = await w.engine.trigger(NS, "g", **options)
        assert late == again
        await w.drive()
        assert w.executor.executed == {"a": 1}
        assert (await check(w, first.run_id)).idempotency_key == "k"


@pytest.mark.parametrize(
    "other",
    [
        {"inputs": {"x": 2}},
        {"store": {"k": 1}},
        {"start_delay_ms": 5},
        {"timeout_ms": 5000},
        {"tags": {"t": "2"}},
    ],
)
async def test_one_key_for_another_request_is_refused(other: dict[str, Any]) -> None:
    async with world({"a": give_inputs}) as w:
        await w.define(node("a"))
        run_id = await w.start(idempotency_key="k", inputs={"x": 1})
        with pytest.raises(Conflict):
            await w.start(idempotency_key="k", **{"inputs": {"x": 1}, **other})
        await w.drive()
        assert (await check(w, run_id)).result == {"x": 1}


async def test_a_key_belongs_to_its_graph() -> None:
    async with world({"a": give_inputs}) as w:
        await w.define(node("a"))
        await w.define(node("a"), name="h")
        assert await w.start("g", idempotency_key="k") != await w.start("h", idempotency_key="k")


@pytest.mark.parametrize("name", ["queue.send", "table.put"])
@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_trigger_that_died_is_told_again_and_begins_one_run(name: str, moment: str) -> None:
    async with world({"a": give_inputs}) as w:
        await w.define(node("a"))
        api = w.api()

        async def die() -> None:
            raise Crashed

        once(w.faults.after if moment == "after" else w.faults.before, name, die)
        with pytest.raises(Crashed):
            await api.trigger(
                NS, "g", inputs={"x": 1}, store={"k": 1}, idempotency_key="k", timeout_ms=60_000
            )
        again = await w.engine.trigger(
            NS, "g", inputs={"x": 1}, store={"k": 1}, idempotency_key="k", timeout_ms=60_000
        )
        await w.drive()
        run = await check(w, again.run_id)
        assert (run.result, await w.store(run.run_id)) == ({"x": 1}, {"k": 1})
        assert w.executor.executed["a"] <= 2  # each trigger has sent a message
        assert (await w.state(run.run_id, "a")).turns == 1


async def test_two_requests_under_one_key_at_once_begin_one_run() -> None:
    async with world({"a": give_inputs}) as w:
        await w.define(node("a"))

        async def other() -> None:
            await w.engine.trigger(NS, "g", inputs={"x": 2}, idempotency_key="k")

        once(w.faults.before, "queue.send", other)
        with pytest.raises(Conflict):
            await w.start(inputs={"x": 1}, idempotency_key="k")
        await w.drive()
        (run,) = (await w.engine.list_runs(NS)).runs
        assert (await check(w, run.run_id)).result == {"x": 2}
        assert w.executor.executed == {"a": 1}


async def test_a_key_s_run_stays_on_its_version_when_the_graph_changes_between_two_triggers_at_once() -> None:
    async with world({"a": give_inputs, "b": give(v=1), "c": give(v=2)}) as w:
        await w.define(node("a", "b"), node("b"))

        async def change_and_trigger() -> None:
            await w.define(node("a", "c"), node("c"))
            await w.engine.trigger(NS, "g", idempotency_key="k")

        once(w.faults.before, "queue.send", change_and_trigger)
        run_id = await w.start(idempotency_key="k")
        await w.drive()
        run = await check(w, run_id)
        assert run.result == {"v": run.graph_version}
        assert sum(w.executor.executed[name] for name in "bc") == 1


async def test_what_cannot_work_is_refused_and_nothing_begins() -> None:
    async with world({"a": give_inputs}, settings=EngineSettings(max_inputs_bytes=100)) as w:
        await w.define(node("a"), store_config={"required_keys": ["k"]})
        with pytest.raises(InvalidInput) as refused:
            await w.start(start_delay_ms=-1, timeout_ms=0, tags={str(n): "" for n in range(51)})
        assert {problem.code for problem in refused.value.problems} == {
            "missing_store_key",
            "invalid_value",
            "too_many_tags",
        }
        with pytest.raises(InvalidInput):
            await w.start(store={"k": 1, "a.b": 2})
        with pytest.raises(PayloadTooLarge):
            await w.start(store={"k": "x" * 100})
        with pytest.raises(NotFound):
            await w.start("none")
        await w.engine.put_graph(NS, graph(node("a", "nowhere"), name="bad"))
        with pytest.raises(InvalidGraph):
            await w.start("bad")
        assert w.messages_left() == 0
        assert (await w.engine.list_runs(NS)).runs == ()


@pytest.mark.parametrize("character", ["x", "é", "語", "😀", '"', "\\"])
async def test_inputs_up_to_the_limit_are_taken_whatever_they_are_written_in(character: str) -> None:
    size = len(json.dumps(character, ensure_ascii=False).encode()) - 2
    count = 262_000 // size
    async with world({"a": lambda e: {"n": len(e.inputs["x"])} if e.turn else Requeued(1000)}) as w:
        await w.define(node("a"))
        run = await w.finish(inputs={"x": character * count})
        assert run.result == {"n": count}
        with pytest.raises(PayloadTooLarge):
            await w.start(inputs={"x": character * (count + 200)})
        assert w.messages_left() == 0


# --- cron -------------------------------------------------------------------------------------------------------------


def cron(**value: Any) -> list[dict[str, Any]]:
    return [{"name": "hourly", "value": {"expression": "0 * * * *", **value}}]


SCHEDULE = Schedule(NS, "g", "hourly", "0 * * * *")


async def test_one_firing_is_one_run_with_the_trigger_s_inputs() -> None:
    async with world({"a": give_inputs}) as w:
        await w.define(
            node("a", k="${{ store.k }}"),
            triggers=cron(inputs={"x": 1}, store={"k": 2}),
            store_config={"required_keys": ["k"]},
        )
        first = await w.engine.fire(SCHEDULE, START_MS)
        again = await w.engine.fire(SCHEDULE, START_MS)
        assert first is not None
        assert again is not None
        assert (first.created, again.created) == (True, False)
        await w.drive()
        third = await w.engine.fire(SCHEDULE, START_MS)
        assert third == again
        await w.drive()
        assert w.executor.executed == {"a": 1}
        assert (await check(w, first.run_id)).result == {"x": 1, "k": 2}
        other = await w.engine.fire(SCHEDULE, START_MS + 3_600_000)
        assert other is not None
        assert other.run_id != first.run_id


async def test_a_trigger_that_is_gone_or_disabled_does_not_fire() -> None:
    async with world({"a": give_inputs}) as w:
        await w.define(node("a"), triggers=cron(enabled=False))
        assert await w.engine.fire(SCHEDULE, START_MS) is None
        await w.define(node("a"))
        assert await w.engine.fire(SCHEDULE, START_MS) is None
        assert await w.backend.schedules.list(NS, "g") == []


async def test_a_graph_s_schedules_follow_its_definition() -> None:
    async with world({"a": give_inputs}) as w:
        await w.define(
            node("a"), triggers=[*cron(), {"value": {"expression": "5 4 * * *", "timezone": "Europe/Berlin"}}]
        )
        assert await w.backend.schedules.list() == [
            Schedule(NS, "g", "cron-1", "5 4 * * *", "Europe/Berlin"),
            SCHEDULE,
        ]
        await w.engine.put_graph(NS, graph(node("a", "nowhere"), triggers=cron()))
        assert await w.backend.schedules.list() == []


async def wait(w: World, **value: Any) -> str:
    await w.define(node("a"), triggers=cron(**value))
    started = await w.engine.fire(SCHEDULE, START_MS)
    assert started is not None
    await w.work()
    return started.run_id


async def test_a_firing_is_skipped_while_the_previous_one_s_run_goes_on() -> None:
    async with world({"a": lambda e: {} if e.resumed else Awaiting("go")}) as w:
        run_id = await wait(w, overlap="skip")
        again = await w.engine.fire(SCHEDULE, START_MS)
        assert again is not None
        assert again.run_id == run_id
        assert await w.engine.fire(SCHEDULE, START_MS + 3_600_000) is None
        await w.engine.signal(NS, run_id, "go")
        await w.drive()
        assert await w.engine.fire(SCHEDULE, START_MS + 7_200_000) is not None


async def test_firings_overlap_unless_told_otherwise() -> None:
    async with world({"a": lambda _: Awaiting("go")}) as w:
        run_id = await wait(w)
        started = await w.engine.fire(SCHEDULE, START_MS + 3_600_000)
        assert started is not None
        assert started.run_id != run_id


async def test_nodes_with_schemas_that_are_none_are_not_registered() -> None:
    async with world({}) as w:
        wrong = RegisteredNode(name="n", runtime="rt", inputs_schema={"type": "objekt"})
        large = RegisteredNode(name="m", runtime="rt", outputs_schema={"description": "x" * 70_000})
        with pytest.raises(InvalidInput) as refused:
            await w.engine.register_nodes("ns", [wrong, large])
        assert [problem.code for problem in refused.value.problems] == ["invalid_schema", "schema_too_large"]
        assert await w.engine.list_nodes("ns") == []


async def test_a_trigger_s_time_limit_is_its_runs() -> None:
    async with world({"a": lambda _: Awaiting("never")}) as w:
        value = {"expression": "0 * * * *", "timeout_seconds": 90}
        await w.define(node("a"), triggers=[{"name": "hourly", "value": value}], timeout_seconds=10**6)
        started = await w.engine.fire(SCHEDULE, START_MS)
        assert started is not None
        await w.drive()
        run = await w.view(started.run_id)
        assert (run.status, run.deadline_ms - run.starts_ms) == ("TIMED_OUT", 90_000)
