"""Next: a node chooses among its next nodes at run time."""

from __future__ import annotations

import pytest

from tests.scenario.harness import node, world
from tests.scenario.invariants import check
from tests.scenario.nodes import choose, give_inputs


@pytest.mark.parametrize("way", ["b", "c"])
async def test_only_the_chosen_node_follows(way: str) -> None:
    async with world({"a": lambda _: choose(way, {"x": 1}), "b": give_inputs, "c": give_inputs}) as w:
        await w.define(node("a", "b", "c"), node("b", x="${{ a.outputs.x }}", w="b"), node("c", w="c"))
        run = await w.finish()
        assert run.result["w"] == way
        assert w.executor.executed == {"a": 1, way: 1}
        await check(w, run.run_id)


async def test_a_chosen_node_follows_for_every_output() -> None:
    async with world(
        {"a": lambda _: choose("c", {"x": 1}, {"x": 2}), "b": give_inputs, "c": give_inputs}
    ) as w:
        await w.define(node("a", "b", "c"), node("b"), node("c", x="${{ a.outputs.x }}"))
        run = await w.finish()
        assert [s.outputs for s in await w.states(run.run_id, identifier="c")] == [({"x": 1},), ({"x": 2},)]
        await check(w, run.run_id)


@pytest.mark.parametrize("way", ["d", "a", "nowhere"])
async def test_to_choose_what_does_not_follow_fails_without_a_retry(way: str) -> None:
    async with world({"a": lambda _: choose(way), "b": give_inputs, "d": give_inputs}) as w:
        await w.define(node("a", "b"), node("b", "d"), node("d"))
        run = await w.finish()
        assert run.status == "FAILED"
        assert run.error is not None
        assert run.error.startswith(f"a: invalid_next: 'a' chose '{way}'")
        assert w.executor.executed == {"a": 1}
        await check(w, run.run_id)


async def test_what_reads_a_node_that_was_not_chosen_fails_and_a_declared_output_is_null() -> None:
    async with world({"a": lambda _: choose("c"), "b": give_inputs, "c": give_inputs, "d": give_inputs}) as w:
        await w.define(
            node("a", "b", "c"), node("b", "d", x=1), node("c", "d", x=2), node("d", b="${{ b.outputs.x }}")
        )
        run = await w.finish()
        assert run.status == "FAILED"
        assert run.error is not None
        assert run.error.startswith("d: unresolved_placeholder")
        assert "b.outputs.x" in run.error
        outputs = {"b": "${{ b.outputs.x }}", "c": "${{ c.outputs.x }}"}
        await w.define(node("a", "b", "c"), node("b", x=1), node("c", x=2), outputs=outputs)
        assert (await w.finish()).result == {"b": None, "c": 2}
