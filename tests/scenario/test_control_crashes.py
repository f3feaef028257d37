"""A process dies before or after any one port call while one state is retried, or a run made from a state."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from karman_core.domain.outcome import StoreIncrement
from karman_core.engine.views import Started
from tests.scenario.epochs import broken_until
from tests.scenario.faults import Crashed
from tests.scenario.groups import DEEP
from tests.scenario.harness import NS, World, node
from tests.scenario.invariants import check
from tests.scenario.nodes import count_to, give_inputs, then
from tests.scenario.references import Journal
from tests.selection import with_slow

Prepare = Callable[[], Awaitable[tuple[World, str]]]


async def at_every_call(prepare: Prepare, act: Callable[[World, str], Awaitable[Any]], least: int) -> None:
    """Prepare a world, then act with a crash at every fifth side of a call (before, after), until none strikes."""
    number = -5
    while True:
        number += 5
        w, run_id = await prepare()
        w.faults.crash_at = (w.faults.count + number // 2, number % 2 == 1)
        await act(w, run_id)
        crashes = w.faults.crashes
        w.backend.close()
        if not crashes:
            assert number > least
            return


async def stubborn(w: World, call: Callable[[], Awaitable[Any]]) -> Any:
    """As a client calls that hears nothing when the process dies."""
    while True:
        try:
            return await call()
        except Crashed:
            w.restart()


async def failed_in_two(*, fail_fast: bool) -> tuple[World, str]:
    """A run with groups in groups, of which two branches have failed."""
    scripts = {
        "a": count_to(2),
        "b": count_to(6, "y"),
        "c": broken_until(1, when=lambda i: i["x"] == 1 and i["y"] in {2, 5}),
        **dict.fromkeys("vu", give_inputs),
    }
    w = World(scripts, settings=DEEP)
    await w.define(
        node("a", "b"),
        node("b", "c", x="${{ a.outputs.x }}"),
        node("c", "v", x="${{ a.outputs.x }}", y="${{ b.outputs.y }}"),
        node("v", "u", unites="b", ys="${{ c.outputs.y }}"),
        node("u", unites="a", lists="${{ v.outputs.ys }}"),
        fail_fast=fail_fast,
    )
    return w, (await w.finish(timeout_ms=10**9)).run_id


@pytest.mark.parametrize("fail_fast", with_slow([False, True], [False]))
async def test_one_state_of_a_wide_nested_group(*, fail_fast: bool) -> None:
    async def act(w: World, run_id: str) -> None:
        journal = Journal(w)
        before = {state.state_id: state for state in await w.states(run_id)}
        one = next(state for state in before.values() if state.status == "FAILED")

        async def call() -> None:
            if (await w.view(run_id)).epoch == 0:
                await w.engine.operations.retry_state(NS, run_id, one.state_id)

        await stubborn(w, call)
        await w.drive()
        run = await check(w, run_id)
        after = {state.state_id: state for state in await w.states(run_id)}
        changed = {name for name, state in after.items() if state != before.get(name)}
        assert (run.status, run.epoch, changed) == ("FAILED", 1, {one.state_id})
        assert (after[one.state_id].status, after[one.state_id].turns) == ("SUCCEEDED", 2)
        assert max(journal.commits.values()) == 1
        w.faults.crash_at = None
        await w.engine.retry(NS, run_id)
        await w.drive()
        assert (await check(w, run_id)).status == "SUCCEEDED"

    await at_every_call(partial(failed_in_two, fail_fast=fail_fast), act, 50)


async def ended_behind_a_group() -> tuple[World, str]:
    """A run of a group and what comes after it."""
    scripts = {
        "r": lambda _: then({"x": 1}, StoreIncrement("n")),
        "a": count_to(5),
        "b": give_inputs,
        "u": give_inputs,
        "z": give_inputs,
    }
    w = World(scripts, settings=DEEP)
    await w.define(
        node("r", "a"),
        node("a", "b"),
        node("b", "u", x="${{ a.outputs.x }}"),
        node("u", "z", unites="a", xs="${{ b.outputs.x }}"),
        node(
            "z",
            xs="${{ b.outputs.x }}",
            r="${{ r.outputs.x }}",
            n="${{ store.n }}",
            u="${{ u.outputs.xs }}",
        ),
        store_config={"default_values": {"n": 0}},
    )
    return w, (await w.finish(timeout_ms=10**9)).run_id


async def test_a_rerun_behind_a_group() -> None:
    async def act(w: World, run_id: str) -> None:
        journal = Journal(w)

        async def call() -> Started:
            return await w.engine.operations.rerun(NS, run_id, "u", inputs={"xs": [7]}, idempotency_key="k")

        begun = await stubborn(w, call)
        await w.drive()
        run = await w.view(begun.run_id)
        assert (run.status, run.result) == ("SUCCEEDED", {"xs": list(range(5)), "r": 1, "n": 1, "u": [7]})
        assert run.totals.succeeded == 9
        assert max(journal.commits.values()) == 1
        assert w.executor.executed["b"] == 5
        assert w.messages_left() == 0
        w.faults.crash_at = None
        again = await call()
        assert (again.run_id, again.created) == (begun.run_id, False)

    await at_every_call(ended_behind_a_group, act, 30)
