"""fail_fast: a failed branch cancels its siblings instead of waiting for them."""

from __future__ import annotations

import pytest

from karman_core.domain.outcome import Awaiting, Errored, Requeued
from karman_core.ports.executor import Execution
from tests.scenario.groups import DEEP, group_scripts
from tests.scenario.harness import node, world
from tests.scenario.invariants import check
from tests.scenario.nodes import Answer, count_to, fail, give, give_inputs


async def test_what_has_not_begun_is_cancelled_and_the_run_fails_at_once() -> None:
    async with world({"a": count_to(20), "b": fail, "u": give()}, settings=DEEP) as w:
        w.executor.scripts["b"] = lambda e: fail(e) if e.inputs["x"] == 0 else {"y": 1}
        await w.define(
            node("a", "b"), node("b", "u", x="${{ a.outputs.x }}"), node("u", unites="a"), fail_fast=True
        )
        run = await w.finish()
        assert (run.status, run.error) == ("FAILED", "b: Broken: it broke")
        assert w.executor.executed == {"a": 1, "b": 1}
        assert (run.totals.failed, run.totals.cancelled) == (1, 19)
        await check(w, run.run_id)


async def test_states_that_come_later_are_cancelled_too() -> None:
    async with world({"a": count_to(2), "b": give_inputs, "c": give()}) as w:
        w.executor.scripts["b"] = lambda e: (
            fail(e) if e.inputs["x"] == 1 else Requeued(1000) if e.turn == 0 else {"y": 1}
        )
        await w.define(node("a", "b"), node("b", "c", x="${{ a.outputs.x }}"), node("c"), fail_fast=True)
        run = await w.finish()
        assert run.status == "FAILED"
        assert w.executor.executed == {"a": 1, "b": 2}
        assert [s.status for s in await w.states(run.run_id)] == ["SUCCEEDED", "CANCELLED", "FAILED"]
        await check(w, run.run_id)


@pytest.mark.parametrize("strategy", ["ALL_DONE", "ANY_SUCCESS"])
async def test_a_group_whose_unite_takes_failures_is_not_cancelled(strategy: str) -> None:
    async with world(group_scripts("fss"), settings=DEEP) as w:
        await w.define(
            node("a", "b"),
            node("b", "u", x="${{ a.outputs.x }}", o="${{ a.outputs.o }}"),
            node("u", unites="a", strategy=strategy, ys="${{ b.outputs.y }}"),
            fail_fast=True,
        )
        run = await w.finish()
        assert run.status == "SUCCEEDED"
        assert run.totals.cancelled == 0
        await check(w, run.run_id)


async def test_an_inner_group_alone_is_cancelled_where_the_outer_one_takes_failures() -> None:
    def end(execution: Execution) -> Answer:
        if (execution.inputs["x"], execution.inputs["y"]) == (0, 0):
            return Errored("Broken", "it broke", retry=False)
        return {"z": 1}

    async with world(
        {"a": count_to(2), "b": count_to(3, "y"), "c": end, "v": give_inputs, "u": give_inputs}, settings=DEEP
    ) as w:
        await w.define(
            node("a", "b"),
            node("b", "c"),
            node("c", "v", x="${{ a.outputs.x }}", y="${{ b.outputs.y }}"),
            node("v", "u", unites="b", zs="${{ c.outputs.z }}"),
            node("u", unites="a", strategy="ALL_DONE", vs="${{ v.outputs.zs }}"),
            fail_fast=True,
        )
        run = await w.finish()
        assert (run.status, run.result) == ("SUCCEEDED", {"vs": [[1, 1, 1]]})
        assert (run.totals.failed, run.totals.cancelled) == (1, 2)
        await check(w, run.run_id)


async def test_a_sibling_that_waits_is_cancelled() -> None:
    async with world({"a": count_to(2), "b": give_inputs}) as w:
        w.executor.scripts["b"] = lambda e: Awaiting("never") if e.inputs["x"] == 0 else fail(e)
        await w.define(node("a", "b"), node("b", x="${{ a.outputs.x }}"), fail_fast=True)
        run = await w.finish()
        assert run.status == "FAILED"
        await check(w, run.run_id)


async def test_a_running_sibling_is_told() -> None:
    told: list[bool] = []

    async def slow(execution: Execution) -> Answer:
        if execution.inputs["x"] == 1:
            return fail(execution)
        await w.clock.sleep(5)
        told.append(execution.is_cancelled())
        return {"y": 1}

    async with world({"a": count_to(2), "b": slow}) as w:
        await w.define(node("a", "b"), node("b", x="${{ a.outputs.x }}"), fail_fast=True)
        run_id = await w.start()
        await w.drive(at_once=2)
        assert told == [True]
        assert (await check(w, run_id)).status == "FAILED"
