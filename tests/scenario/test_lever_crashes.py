"""A process dies before or after any one port call while a state is skipped, a run redriven, or one purged."""

from __future__ import annotations

from functools import partial

import pytest

from karman_core.domain.errors import Conflict, NotFound
from karman_core.domain.outcome import Awaiting
from tests.scenario.faults import Crashed
from tests.scenario.groups import DEEP
from tests.scenario.harness import NS, World, node
from tests.scenario.invariants import check
from tests.scenario.nodes import count_to, give, give_inputs
from tests.scenario.references import Journal
from tests.scenario.test_control_crashes import at_every_call, failed_in_two, stubborn
from tests.scenario.test_purges import gone

BY = "local:ann"


@pytest.mark.slow
@pytest.mark.parametrize("fail_fast", [False, True])
async def test_a_failed_state_of_a_nested_group_is_skipped(*, fail_fast: bool) -> None:
    async def act(w: World, run_id: str) -> None:
        journal = Journal(w)
        one = next(state for state in await w.states(run_id) if state.status == "FAILED")
        executed = dict(w.executor.by_state)

        async def call() -> None:
            await w.engine.operations.skip(NS, run_id, one.state_id, [{"y": 7}], by=BY)

        await stubborn(w, call)
        await w.drive()
        run = await check(w, run_id)
        assert (run.status, run.epoch) == ("FAILED", 1)
        state = next(each for each in await w.states(run_id) if each.state_id == one.state_id)
        assert (state.status, state.outputs, state.skipped_by) == ("SUCCEEDED", ({"y": 7},), BY)
        assert max(journal.commits.values()) == 1
        assert dict(w.executor.by_state) == executed
        w.faults.crash_at = None
        await w.engine.retry(NS, run_id)
        await w.drive()
        assert (await check(w, run_id)).status == "SUCCEEDED"

    await at_every_call(partial(failed_in_two, fail_fast=fail_fast), act, 60)


async def test_a_state_that_waits_is_skipped() -> None:
    async def prepare() -> tuple[World, str]:
        scripts = {
            "a": count_to(2),
            "b": lambda e: give_inputs(e) if e.inputs["x"] else Awaiting("go"),
            "u": give_inputs,
        }
        w = World(scripts, settings=DEEP)
        await w.define(
            node("a", "b"),
            node("b", "u", x="${{ a.outputs.x }}"),
            node("u", unites="a", xs="${{ b.outputs.x }}"),
        )
        run_id = await w.start()
        await w.drive()
        return w, run_id

    async def act(w: World, run_id: str) -> None:
        journal = Journal(w)
        (one,) = await w.states(run_id, status="WAITING")
        await stubborn(w, lambda: w.engine.operations.skip(NS, run_id, one.state_id, [{"x": 9}], by=BY))
        await w.drive()
        run = await check(w, run_id)
        assert (run.status, run.result, run.awaiting) == ("SUCCEEDED", {"xs": [9, 1]}, ())
        assert max(journal.commits.values()) == 1

    await at_every_call(prepare, act, 30)


async def test_a_run_is_redriven() -> None:
    async def prepare() -> tuple[World, str]:
        w = World({"a": count_to(6), "b": give_inputs, "u": give_inputs}, settings=DEEP)
        await w.define(
            node("a", "b"),
            node("b", "u", x="${{ a.outputs.x }}"),
            node("u", unites="a", xs="${{ b.outputs.x }}"),
        )
        run_id = await w.start()
        for _ in range(2):
            await w.work()
        await w.lose_messages()
        return w, run_id

    async def act(w: World, run_id: str) -> None:
        journal = Journal(w)
        await stubborn(w, lambda: w.engine.operations.redrive(NS, run_id))
        await w.drive()
        run = await check(w, run_id)
        assert (run.status, run.result) == ("SUCCEEDED", {"xs": list(range(6))})
        assert max(journal.commits.values()) == 1

    await at_every_call(prepare, act, 20)


@pytest.mark.slow
@pytest.mark.parametrize("one", [False, True])
async def test_a_retry_that_died_and_lost_its_queue_is_redriven(*, one: bool) -> None:
    """The run is in its new epoch, and nobody but the table knows which states were to be opened in it."""

    async def act(w: World, run_id: str) -> None:
        journal, operations = Journal(w), w.engine.operations
        failed = next(state for state in await w.states(run_id) if state.status == "FAILED")
        try:
            await (
                operations.retry_state(NS, run_id, failed.state_id) if one else operations.retry(NS, run_id)
            )
        except Crashed:
            w.restart()
            await w.lose_messages()
            w.faults.crash_at = None
            if (await w.view(run_id)).status == "FAILED":
                return
            await w.engine.operations.redrive(NS, run_id)
        await w.drive()
        run = await check(w, run_id)
        assert (run.status, run.epoch) == ("FAILED" if one else "SUCCEEDED", 1)
        assert max(journal.commits.values()) == 1

    await at_every_call(partial(failed_in_two, fail_fast=False), act, 30)


@pytest.mark.parametrize("lost", [False, True])
async def test_a_run_is_purged(*, lost: bool) -> None:
    """The rest is done by its message or, where that is lost, by the sweeper."""

    async def act(w: World, run_id: str) -> None:
        await w.backend.queue.create("ns/rt")
        tries = 0

        async def call() -> None:
            nonlocal tries
            tries += 1
            if tries > 1:  # Nobody asks twice.
                return
            await w.engine.operations.purge(NS, run_id)

        async def sweep() -> None:
            await w.engine.sweep()

        await stubborn(w, call)
        crashes = w.faults.crashes
        if lost:
            await w.lose_messages()
            await stubborn(w, sweep)
        await w.drive()
        w.faults.crash_at = None
        try:
            status = (await w.view(run_id)).status
        except NotFound:
            await gone(w, run_id)
        else:
            assert crashes
            assert (await check(w, run_id)).status == status
        await w.engine.operations.purge(NS, run_id)
        await w.drive()
        await gone(w, run_id)

    await at_every_call(partial(failed_in_two, fail_fast=True), act, 60)


async def test_a_purge_gives_way_to_a_rerun() -> None:
    async def prepare() -> tuple[World, str]:
        w = World({"a": give(x=1), "b": give_inputs})
        await w.define(node("a", "b"), node("b", x="${{ a.outputs.x }}"))
        return w, (await w.finish()).run_id

    async def act(w: World, run_id: str) -> None:
        new = await stubborn(w, lambda: w.engine.operations.rerun(NS, run_id, "b", idempotency_key="k"))
        await w.drive()
        w.faults.crash_at = None
        with pytest.raises(Conflict, match="reuses states"):
            await w.engine.operations.purge(NS, run_id)
        assert (await w.view(new.run_id)).result == {"x": 1}

    await at_every_call(prepare, act, 10)
