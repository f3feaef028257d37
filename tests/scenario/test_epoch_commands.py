"""The command that retries a run: late, twice, beside a pause or a cancellation, after the deadline."""

from __future__ import annotations

import pytest

from karman_core.domain.messages import CommandKind
from karman_core.domain.outcome import Awaiting, Errored, Requeued
from karman_core.ports.executor import Execution
from tests.scenario.epochs import broken_until, retry
from tests.scenario.harness import NS, node, world
from tests.scenario.invariants import check
from tests.scenario.nodes import Answer, count_to, fail, give_inputs


async def test_a_paused_run_that_was_retried_stays_paused() -> None:
    async with world({"a": broken_until(1)}) as w:
        await w.define(node("a"))
        run = await w.finish()
        await w.engine.retry(NS, run.run_id)
        await w.engine.pause(NS, run.run_id)
        await w.drive()
        assert (await w.view(run.run_id)).status == "PAUSED"
        assert w.executor.executed == {"a": 1}
        await w.engine.resume(NS, run.run_id)
        await w.drive()
        assert (await check(w, run.run_id)).status == "SUCCEEDED"


async def test_a_retry_that_is_delivered_late_does_not_run_what_has_failed_again_meanwhile() -> None:
    def script(execution: Execution) -> Answer:
        if execution.turn < 2 and execution.inputs["x"] == 0:
            return Errored("Broken", "", retry=False)
        return Requeued(1000) if execution.turn == 1 else {"y": 1} if execution.turn else fail(execution)

    async with world({"a": count_to(2), "b": script}) as w:
        await w.define(node("a", "b"), node("b", x="${{ a.outputs.x }}"))
        run = await w.finish()
        await w.engine.retry(NS, run.run_id)
        command = await w.backend.queue.receive("ns/rt", limit=1)
        await w.work()  # branch 0 has failed in the new epoch, branch 1 goes on
        await w.process(command[0])
        await w.backend.queue.delete("ns/rt", [command[0].receipt])
        await w.drive()
        run = await check(w, run.run_id)
        assert (run.status, run.epoch) == ("FAILED", 1)
        assert w.executor.executed["b"] == 2 + 1 + 2
        assert (await retry(w, run.run_id)).status == "SUCCEEDED"


@pytest.mark.parametrize("command", ["in order", "late and again"])
async def test_the_retry_of_a_state_that_was_cancelled_for_its_sibling_counts_it_once(command: str) -> None:
    async with world({"a": count_to(6), "b": broken_until(1, when=lambda i: i["x"] == 0)}) as w:
        await w.define(node("a", "b"), node("b", x="${{ a.outputs.x }}"), fail_fast=True)
        run = await w.finish()
        assert run.status == "FAILED"
        assert run.totals.cancelled == 5
        await check(w, run.run_id)
        await w.engine.retry(NS, run.run_id)
        if command != "in order":  # the command alone is delivered first, and again
            (first,) = await w.backend.queue.receive("ns/rt", limit=1)
            others = await w.backend.queue.receive("ns/rt", limit=10)
            await w.process(first, again=True)
            await w.backend.queue.delete("ns/rt", [message.receipt for message in [first, *others]])
        await w.drive()
        run = await check(w, run.run_id)
        assert run.status == "SUCCEEDED"


async def test_a_command_of_an_earlier_epoch_changes_nothing() -> None:
    async with world({"a": broken_until(2)}) as w:
        await w.define(node("a"))
        run = await w.finish()
        await retry(w, run.run_id)
        for epoch in (0, 1, 5):
            await w.send_command(CommandKind.RETRY, run.run_id, epoch=epoch)
        await w.drive()
        assert (await check(w, run.run_id)).epoch == 1
        assert w.executor.executed == {"a": 2}


async def test_a_run_that_is_retried_after_its_deadline_does_not_lose_its_chance() -> None:
    async with world({"a": broken_until(1)}) as w:
        await w.define(node("a"))
        run = await w.finish(timeout_ms=60_000)
        w.clock.advance(3600)
        run = await retry(w, run.run_id)
        assert run.status == "SUCCEEDED"


async def test_each_epoch_publishes_its_end() -> None:
    async with world({"a": broken_until(2)}) as w:
        await w.define(node("a"))
        run = await w.finish()
        await retry(w, run.run_id)
        await retry(w, run.run_id)
        kinds = [(p.event.kind, p.event.id) for p in w.backend.events.read()]
        assert kinds == [
            ("run.failed", f"{run.run_id}-0-FAILED"),
            ("run.retried", f"{run.run_id}-1-RETRIED"),
            ("run.failed", f"{run.run_id}-1-FAILED"),
            ("run.retried", f"{run.run_id}-2-RETRIED"),
            ("run.succeeded", f"{run.run_id}-2-SUCCEEDED"),
        ]


async def test_a_reopened_run_outlives_the_retention_that_its_first_end_began() -> None:
    async with world({"a": broken_until(1), "b": lambda e: {} if e.resumed else Awaiting("go")}) as w:
        await w.define(node("a", "b"), node("b"))
        run = await w.finish()
        w.clock.advance(86_400)
        await w.engine.retry(NS, run.run_id)
        await w.drive()
        for _ in range(40):
            w.clock.advance(86_400)
            await w.engine.sweep()
            await w.drive()
            w.backend.table.purge_expired(w.clock.now_ms())
        await w.engine.signal(NS, run.run_id, "go")
        await w.drive()
        assert (await w.view(run.run_id)).status == "SUCCEEDED"


async def test_a_run_that_failed_while_it_was_paused_goes_on_when_it_is_retried() -> None:
    async def pause_and_fail(execution: Execution) -> Answer:
        if execution.turn:
            return {"x": 1}
        await w.engine.pause(NS, execution.run_id)
        return fail(execution)

    async with world({"a": pause_and_fail, "b": give_inputs}) as w:
        await w.define(node("a", "b"), node("b"))
        run = await w.finish()
        assert run.status == "FAILED"
        assert (await retry(w, run.run_id)).status == "SUCCEEDED"


@pytest.mark.parametrize("width", [1, 3])
async def test_late_messages_of_an_earlier_epoch_do_not_end_the_run(width: int) -> None:
    async with world({"a": count_to(width), "b": broken_until(1), "c": give_inputs, "u": give_inputs}) as w:
        await w.define(
            node("a", "b"),
            node("b", "c", x="${{ a.outputs.x }}"),
            node("c", "u", y="${{ b.outputs.y }}"),
            node("u", unites="a", ys="${{ c.outputs.y }}"),
        )
        run = await w.finish()
        assert run.status == "FAILED"
        late = list(w.bodies)
        await w.engine.retry(NS, run.run_id)
        held = await w.backend.queue.receive("ns/rt", lease_seconds=600)
        for _, body in late:
            await w.send_body(body)
        while await w.work():  # the messages of the first epoch overtake those of the second
            assert (await w.view(run.run_id)).status == "RUNNING"
        assert held
        await w.drive()
        run = await check(w, run.run_id)
        assert (run.status, run.result) == ("SUCCEEDED", {"ys": list(range(width))})
