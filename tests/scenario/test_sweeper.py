"""The sweeper: whatever is lost, the run ends as if nothing was."""

from __future__ import annotations

import random
from typing import Any

import pytest

from karman_core.domain.outcome import Awaiting, Errored, Requeued
from karman_core.engine import EngineSettings, keys
from karman_core.ports.executor import Execution
from tests.scenario.faults import Call, Crashed, once
from tests.scenario.groups import DEEP, group_nodes, group_scripts
from tests.scenario.harness import NS, World, node, world
from tests.scenario.invariants import check
from tests.scenario.nodes import Answer, choose, count_to, give, give_inputs, one_by_one
from tests.scenario.slots import left

HOURS = 3_600


async def sweep_until_it_ends(w: World, run_id: str, *, sweeps: int = 12) -> None:
    """Hourly, as in production; what is sent is worked on."""
    for _ in range(sweeps):
        if (await w.view(run_id)).ended:
            return
        w.clock.advance(HOURS)
        report = await w.engine.sweep()
        assert report.failed == 0
        await w.drive()
    assert (await w.view(run_id)).ended, await w.states(run_id)


async def lose_everything_at(w: World, moment: int, run_id: str) -> None:
    """Work on so many messages, then lose all that are left; then sweep."""
    seen = 0
    while seen < moment:
        messages = await w.backend.queue.receive("ns/rt", limit=1)
        if not messages:
            if not w.skip_time():
                break
            continue
        seen += 1
        await w.process(messages[0])
        await w.backend.queue.delete("ns/rt", [messages[0].receipt])
    await w.lose_messages()
    await sweep_until_it_ends(w, run_id)


@pytest.mark.parametrize("strategy", ["ALL_SUCCESS", "ALL_DONE", "ANY_SUCCESS"])
@pytest.mark.parametrize("endings", ["sss", "spfsspfs" * 2 + "s", "p" * 5])
async def test_every_message_is_lost_at_any_moment(strategy: str, endings: str) -> None:
    moments = 0
    while True:
        async with world({**group_scripts(endings), "z": give_inputs}, settings=DEEP) as w:
            w.order = random.Random(moments)
            await w.define(*group_nodes(strategy, "z"), node("z", ys="${{ b.outputs.y }}"))
            run_id = await w.start()
            await lose_everything_at(w, moments, run_id)
            run = await check(w, run_id)
            fine = {"ALL_SUCCESS": "f" not in endings, "ALL_DONE": True, "ANY_SUCCESS": True}[strategy]
            assert run.status == ("SUCCEEDED" if fine else "FAILED")
            assert w.executor.executed["z"] == int(fine)
            finished = w.delivered == 0
        moments += 1
        if finished or moments > 6:
            moments += 4
        if moments > len(endings) * 2 + 8:
            return


async def test_a_message_lost_between_the_arrival_and_what_follows() -> None:
    for calls in range(0, 400, 3):
        async with world(group_scripts("s" * 6), settings=DEEP) as w:
            await w.define(*group_nodes("ALL_SUCCESS"))
            run_id = await w.start()
            w.faults.crash_at = (w.faults.count + calls, calls % 2 == 1)
            while not w.faults.crashes and await w.work():
                pass
            crashed, w.faults.crash_at = w.faults.crashes, None
            await w.lose_messages()
            await sweep_until_it_ends(w, run_id)
            assert (await check(w, run_id)).result == {"ys": list(range(6))}
        if not crashed:
            return
    raise AssertionError("no end")


async def test_a_retry_a_requeue_and_a_loop_that_were_lost() -> None:
    async with world({"a": one_by_one(ValueError("no"), Requeued(5000), {"n": 1}), "b": give()}) as w:
        w.executor.scripts["b"] = lambda _: choose("a" if w.executor.executed["b"] < 3 else "c", {"n": 5})
        w.executor.scripts["c"] = give_inputs
        await w.define(
            node("a", "b"),
            node("b", "c", loops=[{"to": "a", "max_rounds": 4}]),
            node("c", n="${{ b.outputs.n }}"),
        )
        run_id = await w.start(inputs={"x": 1})
        for _ in range(40):
            if (await w.view(run_id)).ended:
                break
            await w.lose_messages()
            w.clock.advance(HOURS)
            await w.engine.sweep()
            await w.work()
        run = await check(w, run_id, empty=False)
        assert run.result == {"n": 5}
        assert {tuple(e.inputs.items()) for e in w.executor.log if e.identifier == "a"} == {(("x", 1),)}


async def test_a_signal_that_came_while_its_state_s_message_was_lost() -> None:
    async with world({"a": lambda e: {"p": e.resumed.payload} if e.resumed else Awaiting("go")}) as w:
        await w.define(node("a"))
        run_id = await w.start()
        await w.work()
        await w.engine.signal(NS, run_id, "go", 7)
        await w.work()
        await w.lose_messages()
        await sweep_until_it_ends(w, run_id)
        assert (await check(w, run_id)).result == {"p": 7}


async def test_a_time_out_that_was_lost() -> None:
    async with world(
        {"a": lambda e: {"late": e.resumed.timed_out} if e.resumed else Awaiting("go", 5_000)}
    ) as w:
        await w.define(node("a"))
        run_id = await w.start()
        await w.work()
        await w.lose_messages()
        await sweep_until_it_ends(w, run_id)
        assert (await check(w, run_id)).result == {"late": True}


async def test_a_wait_whose_worker_died_before_it_was_registered() -> None:
    async with world({"a": lambda e: {"p": e.resumed.payload} if e.resumed else Awaiting("go")}) as w:
        await w.define(node("a"))
        run_id = await w.start()

        async def die_at_the_wait(call: Call) -> None:
            if call.name == "table.put" and call.arguments[0]["sk"].startswith("w#"):
                raise Crashed

        w.faults.before.append(die_at_the_wait)
        await w.work()
        w.faults.before.clear()
        assert (await w.states(run_id))[0].status == "WAITING"
        await w.lose_messages()
        await w.engine.signal(NS, run_id, "go", 7)
        await w.drive()
        await sweep_until_it_ends(w, run_id)
        assert (await check(w, run_id)).result == {"p": 7}


async def test_a_run_in_which_something_moves_is_left_alone() -> None:
    async with world({"a": one_by_one(*[Requeued(1_800_000)] * 20, {"x": 1})}) as w:
        await w.define(node("a"))
        run_id = await w.start()
        for _ in range(40):
            await w.work()
            report = await w.engine.sweep()
            assert report.redriven == 0
            w.clock.advance(1_800)
        assert w.executor.executed == {"a": 21}
        await check(w, run_id)


async def test_a_run_that_waits_is_not_disturbed() -> None:
    async with world(
        {"a": count_to(30), "b": lambda e: {} if e.resumed else Awaiting("go")}, settings=DEEP
    ) as w:
        await w.define(node("a", "b"), node("b"))
        run_id = await w.start()
        await w.drive()
        for _ in range(5):
            w.clock.advance(HOURS)
            report = await w.engine.sweep()
            assert (report.looked_at, report.redriven, report.sent) == (1, 0, 0)
        await w.engine.cancel(NS, run_id)


async def test_a_long_retry_is_not_run_before_its_time() -> None:
    async with world({"a": one_by_one(Requeued(10 * HOURS * 1000), {"x": 1})}) as w:
        await w.define(node("a"))
        run_id = await w.start()
        await w.work()
        for _ in range(9):
            w.clock.advance(HOURS)
            await w.engine.sweep()
            await w.work()
        assert w.executor.executed == {"a": 1}
        await w.drive()
        assert (await check(w, run_id)).status == "SUCCEEDED"


async def test_paused_runs_are_left_alone_until_they_are_overdue() -> None:
    async with world({"a": give()}) as w:
        await w.define(node("a"))
        run_id = await w.start(timeout_ms=5 * HOURS * 1000)
        await w.engine.pause(NS, run_id)
        await w.work()
        await w.lose_messages()
        w.clock.advance(2 * HOURS)
        assert (await w.engine.sweep()).redriven == 0
        w.clock.advance(3 * HOURS)
        assert (await w.engine.sweep()).expired == 1
        assert (await w.view(run_id)).status == "TIMED_OUT"


async def test_a_delayed_run_that_was_lost_begins_late() -> None:
    async with world({"a": give_inputs}) as w:
        await w.define(node("a"))
        run_id = await w.start(start_delay_ms=2 * HOURS * 1000, inputs={"x": 1})
        await w.lose_messages()
        w.clock.advance(HOURS * 2.5)
        assert (await w.engine.sweep()).redriven == 0
        await sweep_until_it_ends(w, run_id)
        assert (await check(w, run_id)).result == {"x": 1}


@pytest.mark.parametrize("moment", range(8))
async def test_totals_are_exact_when_the_messages_of_a_second_epoch_are_lost(moment: int) -> None:
    def flaky(execution: Execution) -> Answer:
        bad = execution.inputs["x"] in {1, 6} and execution.turn == 0
        return Errored("Broken", "", retry=False) if bad else {"y": execution.inputs["x"]}

    async with world(
        {"r": give(), "a": count_to(9), "b": flaky, "c": give_inputs, "u": give_inputs}, settings=DEEP
    ) as w:
        await w.define(
            node("r", "a"),
            node("a", "b"),
            node("b", "c", x="${{ a.outputs.x }}"),
            node("c", "u", y="${{ b.outputs.y }}"),
            node("u", unites="a", ys="${{ c.outputs.y }}"),
        )
        run = await w.finish()
        assert run.status == "FAILED"
        await w.engine.retry(NS, run.run_id)
        await lose_everything_at(w, moment, run.run_id)
        assert (await check(w, run.run_id)).result == {"ys": list(range(9))}


async def test_a_run_that_cannot_be_looked_at_does_not_keep_others_from_being_swept() -> None:
    async with world({"a": give(x=1), "b": give(x=2)}) as w:
        await w.define(node("a"))
        await w.define(node("b"), name="h")
        broken, fine = await w.start("g"), await w.start("h")
        await w.lose_messages()
        with w.backend.database.write() as connection:
            connection.execute("DELETE FROM items WHERE pk = 'ns#graph#g'")
        w.restart()
        w.clock.advance(2 * HOURS)
        report: Any = await w.engine.sweep()
        assert (report.looked_at, report.failed, report.redriven) == (2, 1, 1)
        await w.drive()
        assert (await check(w, fine)).status == "SUCCEEDED"
        assert broken


@pytest.mark.parametrize("width", [1, 5, 17])
async def test_totals_are_exact_when_a_second_epoch_is_swept_while_it_waits(width: int) -> None:
    def flaky(execution: Execution) -> Answer:
        if execution.turn == 0:
            return Errored("Broken", "", retry=False)
        return {"x": execution.resumed.payload} if execution.resumed else Awaiting("go")

    async with world({"a": count_to(width), "b": give_inputs, "u": give(), "c": flaky}, settings=DEEP) as w:
        await w.define(
            node("a", "b"), node("b", "u", x="${{ a.outputs.x }}"), node("u", "c", unites="a"), node("c")
        )
        run = await w.finish()
        assert run.status == "FAILED"
        await w.engine.retry(NS, run.run_id)
        for _ in range(4):
            await w.drive()
            w.clock.advance(HOURS)
            await w.engine.sweep()
        await w.engine.signal(NS, run.run_id, "go", 1)
        await w.drive()
        assert (await check(w, run.run_id)).result == {"x": 1}
        assert w.executor.executed == {"a": 1, "b": width, "u": 1, "c": 3}


async def test_a_run_whose_record_cannot_be_read_does_not_keep_others_from_being_swept() -> None:
    async with world({"a": give(x=1)}) as w:
        await w.define(node("a"))
        broken, fine = await w.start(), await w.start()
        await w.lose_messages()
        key = keys.state(NS, broken, (), 0)
        await w.backend.table.put({"pk": key.pk, "sk": key.sk, "nonsense": 1})
        w.clock.advance(2 * HOURS)
        report = await w.engine.sweep()
        assert (report.looked_at, report.failed, report.redriven) == (2, 1, 1)
        await w.drive()
        assert (await check(w, fine)).status == "SUCCEEDED"


async def test_a_lost_branch_is_found_while_another_one_has_a_far_date() -> None:
    async with world({"a": count_to(2), "b": give_inputs}) as w:
        w.executor.scripts["b"] = lambda e: (
            Requeued(10 * 24 * HOURS * 1000) if e.inputs["x"] == 0 and e.turn == 0 else {"y": e.inputs["x"]}
        )
        await w.define(node("a", "b"), node("b", x="${{ a.outputs.x }}"))
        run_id = await w.start()
        await w.work()
        first, second = await w.backend.queue.receive("ns/rt")
        await w.process(first)
        await w.backend.queue.delete("ns/rt", [first.receipt, second.receipt])
        for _ in range(3):
            w.clock.advance(HOURS)
            await w.engine.sweep()
            await w.work()
        assert w.executor.executed["b"] == 2
        assert [s.status for s in await w.states(run_id)] == ["SUCCEEDED", "QUEUED", "SUCCEEDED"]
        await w.drive()
        assert (await check(w, run_id)).status == "SUCCEEDED"


@pytest.mark.parametrize("dies", ["ended", "told"])
async def test_a_run_whose_sweeper_dies_as_it_ends_it_is_told_of_all_the_same(dies: str) -> None:
    async with world(
        {"a": lambda _: Awaiting("go")}, settings=EngineSettings(run_deadline_seconds=HOURS)
    ) as w:
        await w.define(node("a"), concurrency={"limit": 1})
        run_id = await w.start()
        await w.drive()
        await w.lose_messages()
        w.clock.advance(2 * HOURS)

        async def die() -> None:
            raise Crashed

        if dies == "ended":
            once(w.faults.after, "table.update", die)
        else:
            once(w.faults.after, "events.publish", die)
        with pytest.raises(Crashed):
            await w.api().sweep()
        await w.drive()
        assert (await w.view(run_id)).status == "TIMED_OUT"
        assert [each.event.kind for each in w.backend.events.read()] == ["run.timed_out"]
        assert left(w) == []
