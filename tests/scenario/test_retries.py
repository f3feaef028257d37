"""Retries of states: when, how often, and what is kept of the attempts that failed."""

from __future__ import annotations

from typing import Any

import pytest

from karman_core.domain.outcome import Errored, Requeued
from karman_core.ports.executor import Execution
from tests.scenario.clock import START_MS
from tests.scenario.harness import World, node, world
from tests.scenario.invariants import check
from tests.scenario.nodes import Answer, count_to, fail, give, give_inputs, one_by_one


def failing(clock_ms: list[int], w: list[World], until: int = 99) -> Any:
    def script(execution: Execution) -> Answer:
        clock_ms.append(w[0].clock.now_ms() - START_MS)
        return (
            Errored("Flaky", f"attempt {execution.attempt}")
            if execution.attempt < until
            else {"x": execution.attempt}
        )

    return script


async def ran_at(policy: dict[str, Any], *, draws: list[float] | None = None) -> list[int]:
    """When a node that always fails is run, ms from the start."""
    seen: list[int] = []
    async with world({"a": fail}) as w:
        w.executor.scripts["a"] = failing(seen, [w])
        w.entropy.draws = draws or []
        await w.define(node("a", retry_policy=policy))
        run = await w.finish()
        assert (run.status, run.error) == ("FAILED", f"a: Flaky: attempt {len(seen)}")
        state = await w.state(run.run_id, "a")
        assert [attempt.attempt for attempt in state.attempts] == list(range(1, len(seen) + 1))
        assert [attempt.started_ms - START_MS for attempt in state.attempts] == seen
        assert [attempt.error_message for attempt in state.attempts] == [
            f"attempt {n + 1}" for n in range(len(seen))
        ]
        assert state.turns == len(seen)
        await check(w, run.run_id)
    return seen


@pytest.mark.parametrize(
    ("policy", "delays"),
    [
        ({}, [2000, 4000, 8000]),
        ({"max_retries": 0}, []),
        ({"strategy": "LINEAR", "backoff_factor": 3000}, [3000, 6000, 9000]),
        ({"strategy": "FIXED", "backoff_factor": 5000, "max_retries": 2}, [5000, 5000]),
        ({"exponent": 10, "max_delay": 15_000}, [2000, 15_000, 15_000]),
        ({"backoff_factor": 1_000_000, "exponent": 3}, [1_000_000, 3_000_000, 9_000_000]),
        ({"max_elapsed": 6000}, [2000, 4000]),
        ({"max_elapsed": 5999}, [2000]),
        (
            {"strategy": "FIXED", "backoff_factor": 1000, "max_elapsed": 2500, "max_retries": 1000},
            [1000, 1000],
        ),
    ],
)
async def test_delays_are_those_of_the_policy(policy: dict[str, Any], delays: list[int]) -> None:
    assert await ran_at(policy) == [sum(delays[:n]) for n in range(len(delays) + 1)]


async def test_jitter_is_drawn_once_for_each_attempt() -> None:
    policy = {"strategy": "FIXED_FULL_JITTER", "backoff_factor": 10_000, "max_retries": 2}
    assert await ran_at(policy, draws=[0.5, 0.2]) == [0, 5000, 7000]
    policy = {"strategy": "FIXED_EQUAL_JITTER", "backoff_factor": 10_000, "max_retries": 2}
    assert await ran_at(policy, draws=[0.6, 0.2]) == [0, 8000, 14000]


async def test_a_success_after_failures_goes_on_and_shows_them() -> None:
    async with world(
        {"a": one_by_one(ValueError("no"), ValueError("not yet"), {"x": 3}), "b": give_inputs}
    ) as w:
        await w.define(node("a", "b"), node("b", x="${{ a.outputs.x }}"))
        run = await w.finish()
        assert run.result == {"x": 3}
        state = await w.state(run.run_id, "a")
        assert [(a.attempt, a.error_kind, a.error_message) for a in state.attempts] == [
            (1, "ValueError", "no"),
            (2, "ValueError", "not yet"),
            (3, None, None),
        ]
        assert state.attempts[0].traceback == "the traceback"
        assert (state.turns, state.error) == (3, None)
        await check(w, run.run_id)


@pytest.mark.parametrize("by", ["outcome", "policy"])
async def test_what_cannot_be_retried_is_not(by: str) -> None:
    outcome = Errored("Fatal", "no use", retry=by == "policy")
    async with world({"a": lambda _: outcome}) as w:
        await w.define(node("a"), retry_policy={"non_retryable": ["Fatal"] if by == "policy" else []})
        run = await w.finish()
        assert run.error == "a: Fatal: no use"
        assert w.executor.executed == {"a": 1}
        await check(w, run.run_id)


async def test_a_node_s_own_policy_comes_before_the_graph_s() -> None:
    async with world({"a": give(), "b": one_by_one(ValueError("b"))}) as w:
        await w.define(
            node("a", "b"), node("b", retry_policy={"max_retries": 1}), retry_policy={"max_retries": 5}
        )
        run = await w.finish()
        assert run.status == "FAILED"
        assert w.executor.executed["b"] == 2


async def test_while_it_waits_for_its_retry_a_state_says_so() -> None:
    async with world({"a": one_by_one(ValueError("no"), {"x": 1})}) as w:
        await w.define(node("a"))
        run_id = await w.start()
        await w.work()
        state = await w.state(run_id, "a")
        assert (state.status, state.due_ms, state.error) == ("RETRYING", START_MS + 2000, "ValueError: no")
        assert not await w.work()
        w.clock.advance(1.999)
        assert not await w.work()
        w.clock.advance(0.001)
        assert await w.work() == 1
        assert (await check(w, run_id)).status == "SUCCEEDED"


async def test_a_requeue_is_no_attempt() -> None:
    seen: list[tuple[int, int, int]] = []
    async with world({"a": fail}) as w:

        def script(execution: Execution) -> Answer:
            seen.append((w.clock.now_ms() - START_MS, execution.attempt, execution.turn))
            if execution.turn in {0, 2}:
                return Requeued(7_000)
            return Errored("Flaky", "once") if execution.turn == 1 else {"x": 1}

        w.executor.scripts["a"] = script
        await w.define(node("a", retry_policy={"max_retries": 1}))
        run = await w.finish()
        assert run.status == "SUCCEEDED"
        assert seen == [(0, 1, 0), (7_000, 1, 1), (9_000, 2, 2), (16_000, 2, 3)]
        await check(w, run.run_id)


async def test_a_long_requeue_goes_through_a_timer() -> None:
    async with world({"a": one_by_one(Requeued(3 * 86_400_000), {"x": 1})}) as w:
        await w.define(node("a"))
        run_id = await w.start()
        await w.work()
        assert (await w.state(run_id, "a")).status == "QUEUED"
        assert w.next_due_ms() == START_MS + 3 * 86_400_000
        await w.drive()
        assert (await check(w, run_id)).status == "SUCCEEDED"


async def test_the_first_states_inputs_come_with_every_attempt() -> None:
    async with world({"a": one_by_one(ValueError("no"), Requeued(1000), {"x": 1})}) as w:
        await w.define(node("a", n=1))
        run = await w.finish(inputs={"n": 2})
        assert run.status == "SUCCEEDED"
        assert [dict(e.inputs) for e in w.executor.log] == [{"n": 2}] * 3


async def test_branches_retry_by_themselves() -> None:
    def flaky(execution: Execution) -> Answer:
        return (
            {"y": execution.inputs["x"]}
            if execution.attempt > execution.inputs["x"]
            else Errored("Flaky", "no")
        )

    async with world({"a": count_to(4), "b": flaky, "u": give_inputs}) as w:
        await w.define(
            node("a", "b"),
            node("b", "u", x="${{ a.outputs.x }}"),
            node("u", unites="a", ys="${{ b.outputs.y }}"),
        )
        run = await w.finish()
        assert run.result == {"ys": [0, 1, 2, 3]}
        assert run.totals.turns == 1 + (1 + 2 + 3 + 4) + 1
        await check(w, run.run_id)


async def test_the_attempts_beyond_twenty_are_kept_short() -> None:
    policy = {"strategy": "FIXED", "backoff_factor": 1, "max_retries": 30}
    async with world({"a": one_by_one(*[ValueError("x" * 5000)] * 40)}) as w:
        await w.define(node("a", retry_policy=policy))
        run = await w.finish()
        attempts = (await w.state(run.run_id, "a")).attempts
        assert len(attempts) == 31
        assert {len(a.error_message or "") for a in attempts[:20]} == {2000}
        assert {len(a.error_message or "") for a in attempts[20:]} == {200}
        assert {a.traceback for a in attempts[20:]} == {""}
        await check(w, run.run_id)


@pytest.mark.slow
async def test_a_thousand_retries_end() -> None:
    message = "".join(chr(0x4E00 + i * 37 % 20_000) for i in range(200))
    policy = {"strategy": "FIXED", "backoff_factor": 1, "max_retries": 1000}
    async with world({"a": one_by_one(*[ValueError(message)] * 2)}) as w:
        await w.define(node("a", retry_policy=policy))
        run = await w.finish()
        assert run.totals.turns == 1001
