"""Loops: a bounded edge back to an ancestor, taken when the node chooses it."""

from __future__ import annotations

import pytest

from karman_core.domain.outcome import Awaiting
from karman_core.engine import EngineSettings
from karman_core.ports.executor import Execution
from tests.scenario.groups import DEEP
from tests.scenario.harness import NS, World, node, world
from tests.scenario.invariants import check
from tests.scenario.nodes import Answer, Script, choose, count_to, fail, give_inputs, prune


def rounds(count: int, back: str, on: str) -> Script:
    """Goes back until the input `n` has reached a count."""
    return lambda e: choose(back if e.inputs["n"] < count else on, {"n": e.inputs["n"]})


def counting() -> Script:
    calls = iter(range(10_000))
    return lambda _: {"n": next(calls) + 1}


@pytest.mark.parametrize("states", [1, 3, 100])
async def test_a_loop_goes_round_and_reads_the_latest_round(states: int) -> None:
    async with world(
        {"a": counting(), "b": rounds(5, "a", "c"), "c": give_inputs},
        settings=EngineSettings(inline_states=states),
    ) as w:
        await w.define(
            node("a", "b"),
            node("b", "c", n="${{ a.outputs.n }}", loops=[{"to": "a", "max_rounds": 10}]),
            node("c", a="${{ a.outputs.n }}", b="${{ b.outputs.n }}"),
        )
        run = await w.finish()
        assert run.result == {"a": 5, "b": 5}
        assert w.executor.executed == {"a": 5, "b": 5, "c": 1}
        states_ = await w.states(run.run_id)
        assert [s.number for s in states_] == list(range(11))
        await check(w, run.run_id)


@pytest.mark.parametrize("limit", [1, 3])
async def test_a_loop_ends_the_run_when_it_is_taken_once_too_often(limit: int) -> None:
    async with world({"a": counting(), "b": rounds(99, "a", "c"), "c": give_inputs}) as w:
        await w.define(
            node("a", "b"),
            node("b", "c", n="${{ a.outputs.n }}", loops=[{"to": "a", "max_rounds": limit}]),
            node("c"),
        )
        run = await w.finish()
        assert run.status == "FAILED"
        assert (
            run.error == f"b: loop_limit: The loop from 'b' to 'a' has had its {limit} rounds (max_rounds)."
        )
        assert w.executor.executed == {"a": limit + 1, "b": limit + 1}
        await check(w, run.run_id)


async def test_a_node_may_loop_to_itself() -> None:
    def think(execution: Execution) -> Answer:
        return choose("a", {}) if len(w.executor.log) < 4 else choose("b", {"n": 4})

    async with world({"a": think, "b": give_inputs}) as w:
        await w.define(
            node("a", "b", loops=[{"to": "a", "max_rounds": 5}]), node("b", n="${{ a.outputs.n }}")
        )
        run = await w.finish()
        assert run.result == {"n": 4}
        await check(w, run.run_id)


async def test_the_root_of_a_loop_gets_the_trigger_s_inputs_in_every_round() -> None:
    async with world({"a": give_inputs, "b": give_inputs, "c": give_inputs}) as w:
        w.executor.scripts["b"] = lambda e: choose("a" if w.executor.executed["b"] == 1 else "c", e.inputs)
        await w.define(
            node("a", "b", k=1),
            node("b", "c", k="${{ a.outputs.k }}", loops=[{"to": "a", "max_rounds": 5}]),
            node("c", k="${{ a.outputs.k }}"),
        )
        run = await w.finish(inputs={"k": 7})
        assert [s.inputs for s in await w.states(run.run_id, identifier="a")] == [{"k": 7}, {"k": 7}]


@pytest.mark.parametrize("strategy", ["ALL_SUCCESS", "ALL_DONE", "ANY_SUCCESS"])
async def test_a_loop_around_a_group_lists_the_latest_round(strategy: str) -> None:
    w: World
    async with world(
        {
            "a": lambda e: [{"x": 10 * w.executor.executed["a"] + i} for i in range(5)],
            "b": give_inputs,
            "u": lambda e: {"xs": e.inputs["xs"], "n": w.executor.executed["u"]},
            "l": rounds(3, "a", "z"),
            "z": give_inputs,
        },
        settings=DEEP,
    ) as w:
        await w.define(
            node("a", "b"),
            node("b", "u", x="${{ a.outputs.x }}"),
            node("u", "l", unites="a", strategy=strategy, xs="${{ b.outputs.x }}"),
            node("l", "z", n="${{ u.outputs.n }}", loops=[{"to": "a", "max_rounds": 4}]),
            node("z", xs="${{ b.outputs.x }}", u="${{ u.outputs.xs }}"),
        )
        run = await w.finish()
        assert run.status == "SUCCEEDED", run.error
        expected = [30 + i for i in range(1 if strategy == "ANY_SUCCESS" else 5)]
        assert run.result == {"xs": expected, "u": expected}
        assert w.executor.executed == {"a": 3, "b": 15, "u": 3, "l": 3, "z": 1}
        await check(w, run.run_id)


async def test_a_loop_around_a_group_counts_its_rounds() -> None:
    async with world({"a": count_to(2), "b": give_inputs, "u": lambda _: choose("a")}) as w:
        await w.define(
            node("a", "b"), node("b", "u"), node("u", unites="a", loops=[{"to": "a", "max_rounds": 3}])
        )
        run = await w.finish()
        assert run.error is not None
        assert "loop_limit" in run.error
        assert w.executor.executed == {"a": 4, "b": 8, "u": 4}
        await check(w, run.run_id)


async def test_a_loop_inside_each_branch_counts_for_itself() -> None:
    async with world(
        {"a": count_to(3), "b": give_inputs, "c": fail, "d": give_inputs, "u": give_inputs}
    ) as w:
        seen: dict[str, int] = {}

        def again(execution: Execution) -> Answer:
            branch = execution.state_id.rsplit("-", 1)[0]
            seen[branch] = seen.get(branch, 0) + 1
            return choose("b" if seen[branch] <= 3 else "d", {"n": seen[branch]})

        w.executor.scripts["c"] = again
        await w.define(
            node("a", "b"),
            node("b", "c", x="${{ a.outputs.x }}"),
            node("c", "d", loops=[{"to": "b", "max_rounds": 3}]),
            node("d", "u", n="${{ c.outputs.n }}"),
            node("u", unites="a", ns="${{ d.outputs.n }}", cs="${{ c.outputs.n }}"),
        )
        run = await w.finish()
        assert run.result == {"ns": [4, 4, 4], "cs": [4, 4, 4]}
        await check(w, run.run_id)


async def test_several_outputs_into_a_loop_fail() -> None:
    async with world(
        {"a": give_inputs, "b": lambda _: choose("a", {"n": 1}, {"n": 2}), "c": give_inputs}
    ) as w:
        await w.define(node("a", "b"), node("b", "c", loops=[{"to": "a", "max_rounds": 3}]), node("c"))
        run = await w.finish()
        assert run.error == "b: invalid_next: 'b' gave 2 outputs into its loop to 'a'; give one."


async def test_a_unite_reads_what_a_branch_did_in_a_later_round_only() -> None:
    async with world(
        {"a": count_to(1), "b": fail, "p": give_inputs, "q": give_inputs, "c": fail, "u": give_inputs}
    ) as w:
        w.executor.scripts["b"] = lambda _: choose("q" if w.executor.executed["b"] == 1 else "p")
        w.executor.scripts["c"] = lambda _: choose("b" if w.executor.executed["c"] == 1 else "u")
        await w.define(
            node("a", "b"),
            node("b", "p", "q"),
            node("p", "c", x="p"),
            node("q", "c", x="q"),
            node("c", "u", loops=[{"to": "b", "max_rounds": 3}]),
            node("u", unites="a", ps="${{ p.outputs.x }}", qs="${{ q.outputs.x }}"),
        )
        run = await w.finish()
        assert run.result == {"ps": ["p"], "qs": ["q"]}


async def test_rounds_through_a_fork_that_nobody_unites_are_counted_too() -> None:
    def again(execution: Execution) -> Answer:
        return prune(execution) if execution.inputs["x"] else choose("a")

    async with world({"a": count_to(2), "b": again, "c": give_inputs}) as w:
        await w.define(
            node("a", "b"),
            node("b", "c", x="${{ a.outputs.x }}", loops=[{"to": "a", "max_rounds": 3}]),
            node("c"),
        )
        run = await w.finish()
        assert run.status == "FAILED"
        assert run.error is not None
        assert run.error.startswith("b: loop_limit")
        assert w.executor.executed == {"a": 4, "b": 8}
        await check(w, run.run_id)


async def test_a_loop_around_a_group_that_nests_deep_can_be_listed_and_swept() -> None:
    """The unite of ANY_SUCCESS runs as a branch of its group, so each round is a level deeper."""
    async with world({"a": count_to(2), "b": give_inputs, "u": fail, "z": fail}) as w:
        w.executor.scripts["u"] = lambda _: choose("a" if w.executor.executed["u"] < 150 else "z")
        w.executor.scripts["z"] = lambda e: {"x": 1} if e.resumed else Awaiting("go")
        await w.define(
            node("a", "b"),
            node("b", "u", x="${{ a.outputs.x }}"),
            node("u", "z", unites="a", strategy="ANY_SUCCESS", loops=[{"to": "a", "max_rounds": 500}]),
            node("z"),
        )
        run_id = await w.start()
        await w.drive()
        w.clock.advance(7200)
        assert (await w.engine.sweep()).failed == 0
        await w.engine.signal(NS, run_id, "go")
        await w.drive()
        states = await w.states(run_id, limit=1000)
        run = await w.view(run_id)
        assert (run.status, run.result) == ("SUCCEEDED", {"x": 1})
        assert len(states) == run.totals.succeeded == 601
        assert run.totals.turns == sum(state.turns for state in states) == 602
