"""Prune: a node ends its branch, which is no failure."""

from __future__ import annotations

import random

from karman_core.domain.outcome import Pruned
from tests.scenario.harness import node, world
from tests.scenario.invariants import check
from tests.scenario.nodes import count_to, give, prune


async def test_a_pruned_state_keeps_its_data_and_nothing_follows() -> None:
    data = {"why": "dull", "score": [1, 2.5, None]}
    async with world({"a": lambda _: Pruned(data), "b": give()}) as w:
        await w.define(node("a", "b"), node("b"))
        run = await w.finish()
        assert (run.status, run.result) == ("SUCCEEDED", None)
        state = await w.state(run.run_id, "a")
        assert (state.status, state.outputs, state.error) == ("PRUNED", (data,), None)
        assert w.executor.executed == {"a": 1}
        assert run.totals.pruned == 1
        await check(w, run.run_id)


async def test_a_fork_of_pruned_branches_ends_the_run_well() -> None:
    async with world({"a": count_to(3), "b": prune}) as w:
        await w.define(node("a", "b"), node("b"))
        run = await w.finish()
        assert (run.status, run.totals.pruned) == ("SUCCEEDED", 3)
        await check(w, run.run_id)


async def test_large_data_of_a_pruned_state_is_kept() -> None:
    data = {"text": random.Random(0).randbytes(300_000).hex()}
    async with world({"a": lambda _: Pruned(data)}) as w:
        await w.define(node("a"))
        run = await w.finish()
        assert run.status == "SUCCEEDED", run.error
        assert (await w.state(run.run_id, "a")).outputs == (data,)
