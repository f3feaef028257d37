"""Cancel, pause and resume."""

from __future__ import annotations

import pytest

from karman_core.domain.errors import Conflict, NotFound
from karman_core.domain.message_bodies import decode
from karman_core.domain.messages import Advance, CommandKind
from karman_core.domain.outcome import Awaiting, Requeued
from karman_core.engine import keys
from karman_core.ports.executor import Execution
from tests.scenario.faults import once
from tests.scenario.groups import DEEP
from tests.scenario.harness import HOME, NS, World, node, world
from tests.scenario.invariants import check
from tests.scenario.nodes import Answer, count_to, give, give_inputs, one_by_one


async def define_group(w: World) -> None:
    await w.define(
        node("a", "b"), node("b", "u", x="${{ a.outputs.x }}"), node("u", unites="a", xs="${{ b.outputs.x }}")
    )


async def test_a_paused_run_begins_nothing_and_goes_on_when_it_is_resumed() -> None:
    async with world({"a": count_to(9), "b": give_inputs, "u": give_inputs}, settings=DEEP) as w:
        await define_group(w)
        run_id = await w.start()
        await w.work()
        assert (await w.engine.pause(NS, run_id)).status == "PAUSED"
        await w.drive()
        assert w.executor.executed == {"a": 1}
        assert (await w.view(run_id)).status == "PAUSED"
        assert w.messages_left() == 0
        assert (await w.engine.resume(NS, run_id)).status == "RUNNING"
        await w.drive()
        run = await check(w, run_id)
        assert run.result == {"xs": list(range(9))}
        assert w.executor.executed == {"a": 1, "b": 9, "u": 1}


async def test_a_run_is_paused_in_another_process_within_a_second() -> None:
    async with world({"a": lambda e: Requeued(600) if e.turn < 20 else {"x": 1}}) as w:
        await w.define(node("a"))
        run_id = await w.start()
        await w.work()
        await w.api().pause(NS, run_id)
        before = w.executor.executed["a"]
        w.restart()
        await w.drive()
        assert w.executor.executed["a"] <= before + 2
        assert (await w.view(run_id)).status == "PAUSED"
        await w.api().resume(NS, run_id)
        await w.drive()
        assert (await check(w, run_id)).status == "SUCCEEDED"
        assert w.executor.executed["a"] == 21


async def test_a_run_may_be_paused_and_resumed_many_times() -> None:
    async with world({"a": one_by_one(*[Requeued(1000)] * 5, {"x": 1})}) as w:
        await w.define(node("a"))
        run_id = await w.start()
        for _ in range(5):
            await w.engine.pause(NS, run_id)
            await w.drive()
            await w.engine.resume(NS, run_id)
            await w.work()
        await w.drive()
        assert (await check(w, run_id)).status == "SUCCEEDED"
        assert w.executor.executed == {"a": 6}


@pytest.mark.parametrize("when", ["before", "after"])
async def test_work_that_is_parked_while_the_run_is_resumed_is_not_lost(when: str) -> None:
    async with world({"a": give(), "b": give(x=1)}) as w:
        await w.define(node("a", "b"), node("b"))
        run_id = await w.start()
        await w.engine.pause(NS, run_id)

        async def resume() -> None:
            await w.engine.resume(NS, run_id)
            for message in await w.backend.queue.receive(
                HOME
            ):  # the command too, which would send it once more
                await w.process(message)
                await w.backend.queue.delete(HOME, [message.receipt])

        interruptions = w.faults.before if when == "before" else w.faults.after
        once(interruptions, "table.put", resume, where=lambda call: "park" in call.arguments[0]["pk"])
        await w.drive()
        assert (await check(w, run_id)).status == "SUCCEEDED"


async def test_work_that_is_parked_again_while_a_resume_is_at_it_is_not_lost() -> None:
    async with world({"a": give(x=1)}) as w:
        await w.define(node("a"))
        run_id = await w.start()
        await w.engine.pause(NS, run_id)
        await w.drive()

        async def pause_again() -> None:
            await w.engine.pause(NS, run_id)
            # The work that the resume has sent overtakes the commands: it is parked again.
            for message in await w.backend.queue.receive(HOME):
                if isinstance(decode(message.body), Advance):
                    await w.process(message)
                    await w.backend.queue.delete(HOME, [message.receipt])

        once(w.faults.before, "table.batch_write", pause_again)
        await w.engine.resume(NS, run_id)
        assert w.executor.executed == {}
        await w.drive()
        if not (await w.view(run_id)).ended:
            await w.engine.resume(NS, run_id)
            await w.drive()
        assert (await check(w, run_id)).status == "SUCCEEDED"


async def test_a_pause_that_is_delivered_again_does_not_undo_a_resume() -> None:
    async with world({"a": one_by_one(Requeued(60_000), {"x": 1})}) as w:
        await w.define(node("a"))
        run_id = await w.start()
        await w.work()
        await w.engine.pause(NS, run_id)
        pause = await w.take()
        await w.process(pause)
        await w.engine.resume(NS, run_id)
        await w.work()
        await w.process(pause, again=True)
        await w.drive()
        assert (await check(w, run_id)).status == "SUCCEEDED"


async def test_the_flag_of_a_pause_that_is_written_after_a_resume_does_not_count() -> None:
    async with world({"a": give(), "b": give(x=1)}) as w:
        await w.define(node("a", "b"), node("b"))
        run_id = await w.start()

        async def resume() -> None:
            await w.api().resume(NS, run_id)
            await w.lose_messages_of_kind("pause", "resume")

        control = keys.control(NS, run_id)
        once(w.faults.before, "table.update", resume, where=lambda call: call.arguments[0] == control)
        await w.engine.pause(NS, run_id)
        w.restart()
        w.clock.advance(5)
        await w.drive()
        assert (await check(w, run_id)).status == "SUCCEEDED"


async def test_a_paused_run_that_ends_meanwhile_ends() -> None:
    async def pause_itself(execution: Execution) -> Answer:
        await w.engine.pause(NS, execution.run_id)
        return {"x": 1}

    async with world({"a": pause_itself}) as w:
        await w.define(node("a"))
        run = await w.finish()
        assert run.status == "SUCCEEDED"
        await check(w, run.run_id)
        with pytest.raises(Conflict):
            await w.engine.resume(NS, run.run_id)


async def test_a_signal_resumes_a_wait_of_a_paused_run_when_that_is_resumed() -> None:
    def wait(execution: Execution) -> Answer:
        return {"p": execution.resumed.payload} if execution.resumed else Awaiting("go")

    async with world({"a": wait}) as w:
        await w.define(node("a"))
        run_id = await w.start()
        await w.drive()
        await w.engine.pause(NS, run_id)
        await w.engine.signal(NS, run_id, "go", 5)
        await w.drive()
        assert w.executor.executed == {"a": 1}
        await w.engine.resume(NS, run_id)
        await w.drive()
        assert (await check(w, run_id)).result == {"p": 5}


async def test_a_cancelled_run_begins_nothing_more() -> None:
    async with world({"a": count_to(9), "b": give_inputs, "u": give_inputs}, settings=DEEP) as w:
        await define_group(w)
        run_id = await w.start()
        await w.work()
        run = await w.engine.cancel(NS, run_id)
        assert (run.status, run.ended_ms) == ("CANCELLED", w.clock.now_ms())
        await w.drive()
        assert w.executor.executed == {"a": 1}
        assert [s.status for s in await w.states(run_id)] == ["SUCCEEDED"] + ["CANCELLED"] * 9
        assert (await w.engine.cancel(NS, run_id)).status == "CANCELLED"
        await w.drive()
        assert w.messages_left() == 0


async def test_a_run_is_cancelled_while_it_waits() -> None:
    async with world({"a": lambda _: Awaiting("go", 60_000)}) as w:
        await w.define(node("a"))
        run_id = await w.start()
        await w.work()
        await w.engine.cancel(NS, run_id)
        with pytest.raises(Conflict):
            await w.engine.signal(NS, run_id, "go")
        await w.drive()
        assert w.executor.executed == {"a": 1}
        assert (await w.state(run_id, "a")).status == "CANCELLED"
        assert (await w.view(run_id)).awaiting == ()


async def test_a_run_is_cancelled_while_it_is_paused_and_while_it_retries() -> None:
    async with world({"a": one_by_one(ValueError("no"))}) as w:
        await w.define(node("a"))
        paused, retrying = await w.start(), await w.start()
        await w.engine.pause(NS, paused)
        await w.work()
        for run_id in (paused, retrying):
            assert (await w.engine.cancel(NS, run_id)).status == "CANCELLED"
        await w.drive()
        assert w.executor.executed == {"a": 1}
        with pytest.raises(Conflict):
            await w.engine.resume(NS, paused)


async def test_a_state_in_flight_is_told_and_its_commit_does_not_change_the_end() -> None:
    async def slow(execution: Execution) -> Answer:
        assert not execution.is_cancelled()
        await w.engine.cancel(NS, execution.run_id)
        assert execution.is_cancelled()
        return {"x": 1}

    async with world({"a": slow, "b": give()}) as w:
        await w.define(node("a", "b"), node("b"))
        run = await w.finish()
        assert run.status == "CANCELLED"
        assert [s.status for s in await w.states(run.run_id)] == ["SUCCEEDED", "CANCELLED"]


@pytest.mark.parametrize(("command", "status"), [("cancel", "CANCELLED"), ("pause", "PAUSED")])
async def test_nothing_begins_after_a_node_that_took_long(command: str, status: str) -> None:
    """What its worker knew of the run was true when the node began."""

    async def slow(execution: Execution) -> Answer:
        w.clock.advance(0.5)
        await getattr(w.api(), command)(NS, execution.run_id)
        await w.lose_messages_of_kind(command)
        w.clock.advance(20)
        return {"x": 1}

    async with world({"a": slow, "b": give(x=2)}) as w:
        await w.define(node("a", "b"), node("b"))
        run = await w.finish()
        assert run.status == status
        assert w.executor.executed == {"a": 1}
        assert w.messages_left() == 0


async def test_no_branch_begins_of_a_run_that_was_cancelled_while_the_node_before_ran() -> None:
    """Workers that have not heard of the run believe a message that was sent a moment ago."""

    async def slow(execution: Execution) -> Answer:
        w.clock.advance(0.5)
        await w.api().cancel(NS, execution.run_id)
        await w.lose_messages_of_kind("cancel")
        w.clock.advance(20)
        return [{"x": x} for x in range(9)]

    async with world({"a": slow, "b": give_inputs, "u": give_inputs}, runtimes={"b": "other"}) as w:
        await define_group(w)
        run = await w.finish()
        assert (run.status, w.messages_left()) == ("CANCELLED", 0)
        assert w.executors["other"].executed == {}
        assert [s.status for s in await w.states(run.run_id)] == ["SUCCEEDED"] + ["CANCELLED"] * 9


@pytest.mark.parametrize("pause", [Requeued(3_600_000), Requeued(2_000), ValueError("no")])
async def test_a_turn_of_a_cancelled_run_is_not_begun_whoever_gets_its_message(pause: Answer) -> None:
    async with world({"a": one_by_one(pause, {"x": 1})}) as w:
        await w.define(node("a"))
        run_id = await w.start()
        await w.work()
        await w.api().cancel(NS, run_id)
        await w.lose_messages_of_kind("cancel")
        w.restart()
        await w.drive()
        assert w.executor.executed == {"a": 1}


@pytest.mark.parametrize(("waited", "executed"), [(0.0, 1), (2.0, 0)])
async def test_a_message_is_believed_for_a_second(waited: float, executed: int) -> None:
    """A fork's branches that wait in a long queue while the run is cancelled; a fresh one is begun beside the look."""
    async with world({"a": give(x=1), "b": give_inputs}, runtimes={"b": "other"}) as w:
        await w.define(node("a", "b"), node("b", x="${{ a.outputs.x }}"))
        run_id = await w.start()
        await w.process(await w.take())
        await w.api().cancel(NS, run_id)
        await w.lose_messages_of_kind("cancel")
        w.clock.advance(waited)
        await w.work()
        assert w.executors["other"].executed == ({"b": executed} if executed else {})


async def test_a_run_that_has_ended_is_not_cancelled_or_paused() -> None:
    async with world({"a": give()}) as w:
        await w.define(node("a"))
        run = await w.finish()
        for command in (w.engine.cancel, w.engine.pause, w.engine.resume):
            with pytest.raises(Conflict):
                await command(NS, run.run_id)
            with pytest.raises(NotFound):
                await command(NS, "rnone")
            with pytest.raises(NotFound):
                await command("other", run.run_id)
        assert w.messages_left() == 0


@pytest.mark.parametrize(
    "kind", [CommandKind.CANCEL, CommandKind.PAUSE, CommandKind.RESUME, CommandKind.DEADLINE]
)
async def test_a_late_command_does_not_change_a_run_that_has_ended(kind: CommandKind) -> None:
    async with world({"a": give()}) as w:
        await w.define(node("a"))
        run = await w.finish()
        await w.send_command(kind, run.run_id)
        await w.send_command(kind, "rnone")
        await w.drive()
        assert await check(w, run.run_id) == run
