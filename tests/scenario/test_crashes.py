"""A process dies before or after any one call of a port, anywhere in a run: the run ends as if nothing had happened."""

from __future__ import annotations

import random
from functools import wraps
from typing import Any

import pytest

from karman_core.domain.outcome import Awaiting, Errored, Requeued
from karman_core.ports.executor import Execution
from tests.scenario.faults import Call, Crashed
from tests.scenario.groups import DEEP
from tests.scenario.harness import NS, World, node
from tests.scenario.invariants import check
from tests.scenario.nodes import Answer, count_to, give_inputs
from tests.scenario.references import REFERENCES, Journal, Reference, run_through, told
from tests.selection import with_slow


async def survive(w: World, reference: Reference) -> str:
    """Run through, where what dies begins again: messages after their lease, clients at once."""
    retried = Reference(
        reference.nodes, reference.scripts, reference.settings, reference.runtimes,
        tuple(_stubborn(step) for step in reference.steps),
    )  # fmt: skip
    return await run_through(w, retried)


def _stubborn(step: Any) -> Any:
    @wraps(step)
    async def again(w: World, run_id: str) -> None:
        while True:
            try:
                await step(w, run_id)
            except Crashed:
                w.restart()
            else:
                return

    return again


async def baseline(reference: Reference) -> tuple[dict[str, Any], int, int]:
    """What the run tells without faults, and between which calls it goes on after its trigger."""
    w = reference.world()
    try:
        begun: list[int] = []
        start = w.start

        async def noting_start(*arguments: Any, **options: Any) -> str:
            run_id = await start(*arguments, **options)
            begun.append(w.faults.count)
            return run_id

        w.start = noting_start  # type: ignore[method-assign]
        run_id = await survive(w, reference)
        last = w.faults.count
        return await told(w, run_id), begun[0], last
    finally:
        w.backend.close()


async def compare(reference: Reference, expected: dict[str, Any], crashes: list[tuple[int, bool]]) -> int:
    """Run with crashes at these calls; how many struck."""
    w = reference.world()
    try:
        journal, plan = Journal(w), sorted(crashes)

        async def arm(_: object) -> None:
            if w.faults.crash_at is None and w.faults.crashes == len(crashes) - len(plan) and plan:
                w.faults.crash_at = plan.pop(0)

        w.faults.before.append(arm)
        w.faults.crash_at = plan.pop(0)
        run_id = await survive(w, reference)
        w.faults.before.clear()
        w.faults.crash_at = None
        found = await told(w, run_id)
        assert found == expected, crashes
        assert max(journal.commits.values()) == 1, crashes
        assert journal.after_the_end == [], crashes
        return w.faults.crashes
    finally:
        w.backend.close()


NAMES = list(REFERENCES)


@pytest.mark.parametrize("name", with_slow(NAMES, {"retried", "nested", "waits", "paused"}))
async def test_a_crash_at_every_call(name: str) -> None:
    reference = REFERENCES[name]
    expected, first, last = await baseline(reference)
    for number in range(first, last):
        for after in (False, True):
            assert await compare(reference, expected, [(number, after)]) == 1


@pytest.mark.parametrize("name", with_slow(NAMES, {"nested", "retried", "group", "paused", "waits"}))
async def test_two_crashes(name: str) -> None:
    reference, rng = REFERENCES[name], random.Random(name)
    expected, first, last = await baseline(reference)
    for _ in range(40):
        one = rng.randrange(first, last)
        other = one + rng.randrange(1, 30)
        await compare(reference, expected, [(one, rng.random() < 0.5), (other, rng.random() < 0.5)])


def waits_or_fails(execution: Execution) -> Answer:
    """One branch fails in its first turn while others wait, are requeued, or are done."""
    x = execution.inputs["x"]
    if x == 2 and execution.turn == 0:
        return Errored("Broken", "it broke", retry=False)
    if x == 0 and execution.resumed is None:
        return Awaiting("go", 600_000)
    return Requeued(1000) if x == 1 and execution.turn == 0 else {"x": x}


async def fail_fast_and_retry(w: World) -> str:
    await w.define(
        node("a", "b"),
        node("b", "u", x="${{ a.outputs.x }}"),
        node("u", unites="a", xs="${{ b.outputs.x }}"),
        fail_fast=True,
    )
    run_id = await w.start()
    await w.drive()
    await check(w, run_id)
    await _stubborn(retry_if_failed)(w, run_id)
    await w.drive()
    return run_id


async def retry_if_failed(w: World, run_id: str) -> None:
    if (await w.view(run_id)).status == "FAILED":
        await w.engine.retry(NS, run_id)


@pytest.mark.slow
async def test_a_crash_at_every_call_of_a_run_that_fails_fast_and_is_retried() -> None:
    """What was cancelled depends on the crash; that the run ends, and is told exactly, does not."""
    scripts = {"a": count_to(5), "b": waits_or_fails, "u": give_inputs}
    number = -1
    while True:
        w = World(scripts, settings=DEEP)
        journal, number = Journal(w), number + 5  # odd, so that it dies before and after calls in turn
        started = False

        async def arm(call: Call, w: World = w, number: int = number) -> None:
            nonlocal started
            if not started and call.name == "queue.delete":  # the trigger is over
                started, w.faults.crash_at = True, (w.faults.count + number // 2, number % 2 == 1)

        w.faults.before.append(arm)
        run_id = await fail_fast_and_retry(w)
        crashes, w.faults.crash_at = w.faults.crashes, None
        run = await check(w, run_id)
        assert (run.status, run.result) == ("SUCCEEDED", {"xs": list(range(5))})
        assert max(journal.commits.values()) == 1
        assert journal.after_the_end == []
        w.backend.close()
        if not crashes:
            assert number > 100
            return
