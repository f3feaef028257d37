"""Chains: one branch, state after state, on as few messages as may be."""

from __future__ import annotations

import pytest

from karman_core.engine import EngineSettings
from tests.scenario.harness import node, world
from tests.scenario.invariants import check
from tests.scenario.nodes import give, give_inputs


async def test_a_chain_runs_on_one_message() -> None:
    async with world({"a": give_inputs, "b": lambda e: {"y": e.inputs["x"] + 1}}) as w:
        await w.define(node("a", "b", n=3), node("b", x="${{ a.outputs.n }}"))
        run = await w.finish(inputs={"n": 5})
        assert (run.status, run.result) == ("SUCCEEDED", {"y": 6})
        assert (w.delivered, w.executor.executed) == (1, {"a": 1, "b": 1})
        await check(w, run.run_id)


@pytest.mark.slow
@pytest.mark.parametrize("inline", [7, 100])
async def test_a_chain_of_2000_nodes_is_handed_on_every_so_many_states(inline: int) -> None:
    count = 2000
    nodes = [
        node(
            f"n{i}",
            *([f"n{i + 1}"] if i + 1 < count else []),
            node_name="step",
            x=f"${{{{ n{i - 1}.outputs.x }}}}",
        )
        if i
        else node("n0", "n1", node_name="step", x=0)
        for i in range(count)
    ]
    async with world(
        {"step": lambda e: {"x": e.inputs["x"] + 1}}, settings=EngineSettings(inline_states=inline)
    ) as w:
        await w.define(*nodes)
        run = await w.finish()
        assert (run.status, run.result) == ("SUCCEEDED", {"x": count})
        assert w.delivered == -(-count // inline)
        assert run.totals.succeeded == count
        assert max(w.executor.by_state.values()) == 1


async def test_a_branch_is_handed_on_when_its_worker_stops_or_has_no_time_left() -> None:
    async with world({"a": give(x=1), "b": give(x=2), "c": give(x=3)}) as w:
        await w.define(node("a", "b"), node("b", "c"), node("c"))
        run_id = await w.start()
        stop = [False, True]
        message = await w.take()
        await w.engine.process("ns/rt", message, stopping=lambda: stop.pop(0))
        assert w.executor.executed == {"a": 1}
        await w.backend.queue.delete("ns/rt", [message.receipt])
        message = await w.take()
        await w.engine.process("ns/rt", message, until_ms=w.clock.now_ms())
        assert w.executor.executed == {"a": 1, "b": 1}
        await w.backend.queue.delete("ns/rt", [message.receipt])
        await w.drive()
        assert w.executor.executed == {"a": 1, "b": 1, "c": 1}
        await check(w, run_id)
