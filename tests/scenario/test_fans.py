"""Fanouts: k outputs into m next nodes are k x m branches; what a node without outputs does."""

from __future__ import annotations

from typing import Any

import pytest

from tests.scenario.harness import node, world
from tests.scenario.invariants import check
from tests.scenario.nodes import count_to, give_inputs


@pytest.mark.parametrize(("k", "m"), [(1, 1), (1, 3), (3, 1), (3, 4), (5, 3), (70, 3)])
async def test_branches_come_in_the_order_of_outputs_then_of_next_nodes(k: int, m: int) -> None:
    names = [f"b{i}" for i in range(m)]
    async with world({"a": count_to(k), "b": give_inputs, "u": give_inputs}) as w:
        await w.define(
            node("a", *names),
            *(node(name, "u", node_name="b", x="${{ a.outputs.x }}") for name in names),
            node("u", unites="a", **{name: f"${{{{ {name}.outputs.x }}}}" for name in names}),
        )
        run = await w.finish()
        assert run.result == {name: list(range(k)) for name in names}
        states = await w.states(run.run_id)
        branches = [(s.identifier, (s.inputs or {})["x"], s.branch) for s in states if s.identifier in names]
        assert branches == [(names[i % m], i // m, f"0.{i}") for i in range(k * m)]
        assert states[0].width == k * m
        assert max(w.executor.by_state.values()) == 1
        await check(w, run.run_id)


async def test_a_fork_that_nobody_unites_ends_the_run_when_all_its_branches_have_ended() -> None:
    async with world({"a": count_to(3), "b": count_to(2), "c": give_inputs}) as w:
        await w.define(node("a", "b"), node("b", "c"), node("c", x="${{ b.outputs.x }}"))
        run = await w.finish()
        assert run.status == "SUCCEEDED"
        assert w.executor.executed == {"a": 1, "b": 3, "c": 6}
        await check(w, run.run_id)


@pytest.mark.parametrize("nothing", [None, []])
async def test_a_node_without_outputs_goes_on_once_without_them(nothing: list[Any] | None) -> None:
    async with world({"a": lambda _: nothing, "b": give_inputs}) as w:
        await w.define(node("a", "b"), node("b", n=1))
        run = await w.finish()
        assert run.result == {"n": 1}
        assert (await w.state(run.run_id, "a")).outputs == (({},) if nothing is None else ())
        await check(w, run.run_id)


@pytest.mark.parametrize("nothing", [None, []])
async def test_to_read_a_field_that_was_not_given_fails_with_its_place(nothing: list[Any] | None) -> None:
    async with world({"a": lambda _: nothing, "b": give_inputs}) as w:
        await w.define(node("a", "b"), node("b", n="${{ a.outputs.x }}"))
        run = await w.finish()
        assert run.status == "FAILED"
        assert run.error is not None
        assert "a.outputs.x" in run.error
        assert run.error.startswith("b: unresolved_placeholder: ")
        assert w.executor.executed == {"a": 1}
        await check(w, run.run_id)


@pytest.mark.parametrize(("nothing", "read"), [(None, {"b": [1], "c": [2]}), ([], {"b": [], "c": []})])
async def test_a_united_node_without_outputs_goes_on_and_with_an_empty_list_unites_at_once(
    nothing: list[Any] | None, read: dict[str, list[int]]
) -> None:
    async with world({"a": lambda _: nothing, "b": give_inputs, "c": give_inputs, "u": give_inputs}) as w:
        await w.define(
            node("a", "b", "c"),
            node("b", "u", x=1),
            node("c", "u", x=2),
            node("u", unites="a", b="${{ b.outputs.x }}", c="${{ c.outputs.x }}"),
        )
        run = await w.finish()
        assert run.result == read
        await check(w, run.run_id)


async def test_a_fork_within_branches_gives_its_own_numbers() -> None:
    async with world({"a": count_to(2), "b": count_to(2, "y"), "c": give_inputs}) as w:
        await w.define(
            node("a", "b"), node("b", "c"), node("c", x="${{ a.outputs.x }}", y="${{ b.outputs.y }}")
        )
        run = await w.finish()
        found = [(s.branch, s.outputs) for s in await w.states(run.run_id, identifier="c")]
        assert found == [(f"0.{x}/0.{y}", ({"x": x, "y": y},)) for x in range(2) for y in range(2)]
