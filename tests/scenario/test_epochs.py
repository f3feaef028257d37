"""Retry of a FAILED run: its failed states run again in a new epoch, and every state still counts once."""

from __future__ import annotations

import random
from typing import Any

import pytest

from karman_core.domain.errors import Conflict
from karman_core.domain.outcome import Errored, Requeued
from karman_core.engine import EngineSettings
from karman_core.ports.executor import Execution
from tests.scenario.epochs import broken_until, retry
from tests.scenario.groups import DEEP
from tests.scenario.harness import NS, node, world
from tests.scenario.invariants import check
from tests.scenario.nodes import Answer, choose, count_to, fail, give, give_inputs


async def test_the_root_runs_again_with_the_trigger_s_inputs() -> None:
    async with world({"a": broken_until(1), "b": give_inputs}) as w:
        await w.define(node("a", "b"), node("b", y="${{ a.outputs.y }}"))
        run = await w.finish(inputs={"x": 5})
        assert run.status == "FAILED"
        view = await w.engine.retry(NS, run.run_id)
        assert (view.status, view.epoch, view.ended_ms) == ("RUNNING", 1, None)
        await w.drive()
        run = await check(w, run.run_id)
        assert (run.status, run.result) == ("SUCCEEDED", {"y": 5})
        assert [dict(e.inputs) for e in w.executor.log if e.identifier == "a"] == [{"x": 5}] * 2
        state = await w.state(run.run_id, "a")
        assert [(a.attempt, a.error_kind) for a in state.attempts] == [(1, "Broken"), (2, None)]


async def test_what_came_before_the_failure_does_not_run_again() -> None:
    async with world({"a": give(x=3), "b": broken_until(2), "c": give_inputs}) as w:
        await w.define(
            node("a", "b"), node("b", "c", x="${{ a.outputs.x }}"), node("c", y="${{ b.outputs.y }}")
        )
        run = await w.finish()
        assert (await retry(w, run.run_id)).status == "FAILED"
        run = await retry(w, run.run_id)
        assert (run.status, run.epoch, run.result) == ("SUCCEEDED", 2, {"y": 3})
        assert w.executor.executed == {"a": 1, "b": 3, "c": 1}


def group(width: int, strategy: str = "ALL_SUCCESS") -> list[Any]:
    return [
        node("a", "b"),
        node("b", "c", x="${{ a.outputs.x }}"),
        node("c", "u", y="${{ b.outputs.y }}"),
        node("u", "z", unites="a", strategy=strategy, ys="${{ c.outputs.y }}"),
        node("z", ys="${{ u.outputs.ys }}"),
    ]


@pytest.mark.parametrize("settings", [EngineSettings(), DEEP], ids=["plain", "deep"])
@pytest.mark.parametrize("width", [1, 3, 4, 5, 17, 21, 65])
@pytest.mark.parametrize("seed", range(3))
async def test_failed_branches_of_a_group_of_any_width(
    settings: EngineSettings, width: int, seed: int
) -> None:
    rng = random.Random(width * 10 + seed)
    bad = {rng.randrange(width)} if seed == 0 else set(rng.sample(range(width), rng.randint(1, width)))
    async with world(
        {
            "a": count_to(width),
            "b": broken_until(1 + seed, when=lambda i: i["x"] in bad),
            "c": give_inputs,
            "u": give_inputs,
            "z": give_inputs,
        },
        settings=settings,
    ) as w:
        w.order = rng
        await w.define(*group(width))
        run = await w.finish()
        for epoch in range(1 + seed):
            assert (run.status, run.epoch) == ("FAILED", epoch)
            await check(w, run.run_id)
            run = await retry(w, run.run_id)
        assert (run.status, run.result) == ("SUCCEEDED", {"ys": list(range(width))})
        assert w.executor.executed["b"] == width + len(bad) * (1 + seed)
        assert w.executor.executed["c"] == width
        assert w.executor.executed["u"] == 1


@pytest.mark.parametrize("seed", range(8))
async def test_a_wide_group_whose_branches_fail_by_chance_over_many_epochs(seed: int) -> None:
    rng = random.Random(seed)
    chances = {x: rng.choice([0, 0, 1, 1, 2, 3]) for x in range(23)}
    async with world(
        {
            "a": count_to(23),
            "b": lambda e: broken_until(chances[e.inputs["x"]])(e),
            "c": lambda e: broken_until(chances[22 - e.inputs["y"]])(e),
            "u": broken_until(1),
            "z": give_inputs,
        },
        settings=DEEP,
    ) as w:
        w.order = rng
        await w.define(*group(23)[:-1], node("z"))
        run = await w.finish()
        while run.status == "FAILED":
            await check(w, run.run_id)
            assert run.epoch < 12
            run = await retry(w, run.run_id)
        assert w.executor.executed["u"] == 2
        assert w.executor.executed["b"] == sum(1 + chance for chance in chances.values())


async def test_failures_in_nested_groups() -> None:
    inner = broken_until(1, when=lambda i: (i["x"] + i["y"]) % 3 == 0)

    async with world(
        {"a": count_to(6), "b": count_to(5, "y"), "c": inner, "v": give_inputs, "u": give_inputs},
        settings=DEEP,
    ) as w:
        await w.define(
            node("a", "b"),
            node("b", "c"),
            node("c", "v", x="${{ a.outputs.x }}", y="${{ b.outputs.y }}"),
            node("v", "u", unites="b", ys="${{ c.outputs.y }}"),
            node("u", unites="a", lists="${{ v.outputs.ys }}"),
        )
        run = await w.finish()
        assert run.status == "FAILED"
        await check(w, run.run_id)
        run = await retry(w, run.run_id)
        assert run.result == {"lists": [[x] * 5 for x in range(6)]}
        assert w.executor.executed == {"a": 1, "b": 6, "c": 40, "v": 6, "u": 1}


async def test_a_failed_unite_runs_again_by_itself() -> None:
    async with world({"a": count_to(5), "b": give_inputs, "u": broken_until(1)}, settings=DEEP) as w:
        await w.define(
            node("a", "b"),
            node("b", "u", x="${{ a.outputs.x }}"),
            node("u", unites="a", x="${{ b.outputs.x }}"),
        )
        run = await w.finish()
        assert run.status == "FAILED"
        run = await retry(w, run.run_id)
        assert run.result == {"y": list(range(5)), "turn": 1}
        assert w.executor.executed == {"a": 1, "b": 5, "u": 2}


@pytest.mark.parametrize("width", [2, 9])
async def test_the_failed_unite_of_any_success_runs_again_by_itself(width: int) -> None:
    async with world(
        {"a": count_to(width), "b": broken_until(9, when=lambda i: i["x"] != 1), "u": broken_until(1)},
        settings=DEEP,
    ) as w:
        await w.define(
            node("a", "b"),
            node("b", "u", x="${{ a.outputs.x }}"),
            node("u", unites="a", strategy="ANY_SUCCESS", x="${{ b.outputs.y }}"),
        )
        run = await w.finish()
        assert run.status == "FAILED"
        run = await retry(w, run.run_id)
        assert run.status == "SUCCEEDED"
        assert w.executor.executed == {"a": 1, "b": width, "u": 2}


async def test_any_success_without_a_success_runs_its_branches_again() -> None:
    async with world(
        {"a": count_to(6), "b": broken_until(1, when=lambda i: i["x"] > 2), "u": give_inputs}, settings=DEEP
    ) as w:
        w.executor.scripts["b"] = lambda e: (
            Errored("Broken", "", retry=False) if e.turn < 1 or e.inputs["x"] != 4 else {"y": 4}
        )
        await w.define(
            node("a", "b"),
            node("b", "u", x="${{ a.outputs.x }}"),
            node("u", unites="a", strategy="ANY_SUCCESS", ys="${{ b.outputs.y }}"),
        )
        run = await w.finish()
        assert run.status == "FAILED"
        run = await retry(w, run.run_id)
        assert (run.status, run.result) == ("SUCCEEDED", {"ys": [4]})
        assert w.executor.executed == {"a": 1, "b": 12, "u": 1}


async def test_a_failure_that_a_unite_made_up_for_is_not_run_again() -> None:
    async with world({"a": count_to(3), "b": broken_until(9), "u": give(), "z": broken_until(1)}) as w:
        await w.define(
            node("a", "b"),
            node("b", "u", x="${{ a.outputs.x }}"),
            node("u", "z", unites="a", strategy="ALL_DONE"),
            node("z"),
        )
        run = await w.finish()
        assert (run.status, run.error) == ("FAILED", "z: Broken: turn 0")
        run = await retry(w, run.run_id)
        assert run.status == "SUCCEEDED"
        assert w.executor.executed == {"a": 1, "b": 3, "u": 1, "z": 2}
        with pytest.raises(Conflict, match="only a FAILED run"):
            await w.engine.retry(NS, run.run_id)


async def test_only_a_failed_run_is_retried() -> None:
    async with world({"a": lambda e: Requeued(1000)}) as w:
        await w.define(node("a"))
        run_id = await w.start()
        with pytest.raises(Conflict):
            await w.engine.retry(NS, run_id)
        await w.engine.cancel(NS, run_id)
        with pytest.raises(Conflict):
            await w.engine.retry(NS, run_id)


async def test_a_retry_that_is_asked_for_again_is_the_same_one() -> None:
    async with world({"a": count_to(3), "b": broken_until(1)}) as w:
        await w.define(node("a", "b"), node("b", x="${{ a.outputs.x }}"))
        run = await w.finish()
        once_asked = await w.engine.retry(NS, run.run_id)
        again = await w.api().retry(NS, run.run_id)
        await w.engine.pause(NS, run.run_id)
        while_paused = await w.api().retry(NS, run.run_id)
        assert (once_asked.epoch, again.epoch, while_paused.status) == (1, 1, "PAUSED")
        await w.engine.resume(NS, run.run_id)
        await w.drive()
        assert w.executor.executed == {"a": 1, "b": 6}
        run = await check(w, run.run_id)
        assert (run.status, run.epoch) == ("SUCCEEDED", 1)


async def test_a_new_epoch_has_all_its_attempts() -> None:
    async with world({"a": fail}) as w:
        w.executor.scripts["a"] = lambda e: Errored("Flaky", f"{e.attempt}")
        await w.define(
            node(
                "a",
                retry_policy={
                    "max_retries": 2,
                    "strategy": "FIXED",
                    "backoff_factor": 1000,
                    "max_elapsed": 5000,
                },
            )
        )
        run = await w.finish()
        w.clock.advance(3600)
        await retry(w, run.run_id)
        assert [e.attempt for e in w.executor.log] == [1, 2, 3] * 2


async def test_a_retried_state_may_fork_and_loop() -> None:
    def flaky(execution: Execution) -> Answer:
        if execution.turn == 0:
            return Errored("Broken", "", retry=False)
        return [{"y": n} for n in range(7)]

    async with world(
        {
            "a": count_to(3),
            "b": flaky,
            "c": broken_until(1, when=lambda i: i["x"] == 3),
            "l": fail,
            "u": give_inputs,
        },
        settings=DEEP,
    ) as w:
        rounds: dict[str, int] = {}

        def loop(execution: Execution) -> Answer:
            key = execution.state_id.rsplit("-", 1)[0]
            rounds[key] = rounds.get(key, 0) + 1
            return choose("c" if rounds[key] < 3 else "u", {"y": execution.inputs["y"]})

        w.executor.scripts["l"] = loop
        await w.define(
            node("a", "b"),
            node("b", "c"),
            node("c", "l", x="${{ b.outputs.y }}"),
            node("l", "u", y="${{ c.outputs.y }}", loops=[{"to": "c", "max_rounds": 5}]),
            node("u", unites="a", ys="${{ l.outputs.y }}"),
        )
        run = await w.finish()
        while run.status == "FAILED":
            await check(w, run.run_id)
            assert run.epoch < 8
            run = await retry(w, run.run_id)
        assert run.result == {"ys": list(range(7)) * 3}
