"""A crash at every single port call of ten reference runs, before and after it takes effect; and at sampled pairs.

A run is told the same, whatever dies on the way: the same states, outputs, totals and store.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from karman_core.domain.errors import Conflict
from karman_core.domain.outcome import Awaiting, Errored, Pruned, Requeued, SentSignal, Succeeded
from karman_core.engine.triggering import run_id_of
from karman_core.ports.executor import Execution
from tests.scenario.faults import Crashed
from tests.scenario.groups import DEEP
from tests.scenario.harness import NS, World, node
from tests.scenario.nodes import Answer, count_to, give, give_inputs, then
from tests.scenario.references import COUNT, REFERENCES, STORE, Journal, Reference, _retry, told
from tests.scenario.slots import left

PAIRS = 400


def _again(execution: Execution) -> Answer:
    if execution.turn == 0:
        return Errored("Broken", "first", retry=False)
    return then({"x": execution.inputs["x"]}, COUNT)


def _two_groups(first: str, second: str) -> Any:
    return lambda: [
        node("a", "b"),
        node("b", "u", x="${{ a.outputs.x }}"),
        node("u", "c", unites="a", strategy=first, xs="${{ b.outputs.x }}"),
        node("c", "v", x="${{ u.outputs.x }}"),
        node("v", unites="u", strategy=second, xs="${{ c.outputs.x }}"),
    ]


def _wait_or_requeue(execution: Execution) -> Answer:
    if execution.turn == 0:
        return Requeued(1000)
    if execution.turn == 1:
        return Awaiting("go", 7000)
    return {"x": execution.inputs["x"]}


def _hold(execution: Execution) -> Answer:
    held = execution.inputs.get("hold") and execution.resumed is None
    return Awaiting("go") if held else then({"x": 1}, COUNT)


async def _another_holds(w: World) -> None:
    await w.engine.trigger(NS, "g", inputs={"hold": True}, idempotency_key="holder")
    await w.work()


async def _let_go(w: World, run_id: str) -> None:
    del run_id
    with suppress(Conflict):
        await w.engine.signal(NS, run_id_of(NS, "g", "holder"), "go", signal_id="once")


async def _another_begins(w: World) -> None:
    await w.engine.trigger(NS, "g", idempotency_key="first", start_delay_ms=1000)


MORE = {
    "waits for its slot": Reference(
        lambda: [node("a", "b"), node("b", x="${{ a.outputs.x }}")],
        lambda: {"a": _hold, "b": give_inputs},
        steps=(_let_go,),
        limits={"concurrency": {"limit": 1}},
        before=_another_holds,
    ),
    "waits for its start": Reference(
        lambda: [node("a", "b"), node("b", x="${{ a.outputs.x }}")],
        lambda: {"a": _hold, "b": give_inputs},
        limits={"rate_limit": {"starts": 1, "per_seconds": 5.0}},
        before=_another_begins,
        options={"start_delay_ms": 1000},
    ),
    "two groups": Reference(
        _two_groups("ALL_SUCCESS", "ALL_DONE"),
        lambda: {"a": count_to(5), "b": give_inputs, "u": count_to(3), "c": give_inputs, "v": give_inputs},
        settings=replace(DEEP, shard_width=2, direct_branches=1, inline_states=1),
    ),
    "waits in a group": Reference(
        _two_groups("ALL_DONE", "ALL_SUCCESS"),
        lambda: {
            "a": count_to(3), "b": _wait_or_requeue, "u": count_to(2),
            "c": lambda e: then({"x": e.inputs["x"]}, COUNT, signals=(SentSignal("nobody", 1),)), "v": give_inputs,
        },
        settings=replace(DEEP, inline_payload_bytes=10, carried_value_bytes=10),
    ),
    "a deep retry": Reference(
        lambda: [
            node("a", "b"),
            node("b", "c", x="${{ a.outputs.x }}"),
            node("c", "v", x="${{ b.outputs.x }}"),
            node("v", "w", unites="b", xs="${{ c.outputs.x }}"),
            node("w", "u", xs="${{ v.outputs.xs }}", o="${{ store.n }}"),
            node("u", unites="a", strategy="ALL_SUCCESS"),
        ],
        lambda: {
            "a": count_to(2), "b": count_to(3), "c": _again, "v": give_inputs,
            "w": lambda e: Pruned({}) if e.turn else give(done=True)(e), "u": lambda _: Succeeded(({},)),
        },
        settings=replace(DEEP, shard_width=2),
        steps=(_retry,),
    ),
}  # fmt: skip

ALL = {**REFERENCES, **MORE}
assert len(ALL) >= 10


@dataclass(frozen=True, slots=True)
class Counted:
    """What was tried of one reference run: crash points there are, and those that were hit."""

    name: str
    calls: int
    single: int
    hit: int
    pairs: int
    problems: tuple[str, ...] = ()

    def line(self) -> str:
        """For a report."""
        share = 100 * self.hit / self.single if self.single else 0
        points = f"{self.hit} of {self.single} single points ({share:.0f} %)"
        return f"{self.name:<18} {self.calls:>4} calls, {points}, {self.pairs} pairs"


async def survive(w: World, reference: Reference) -> str:
    """Run through, where what dies begins again: messages after their lease, clients at once. The run's id."""
    await w.define(*reference.nodes(), store_config=STORE, **reference.limits)
    if reference.before is not None:
        await reference.before(w)
    run_id = await _trigger(w, reference)
    for step in reference.steps:
        await w.work()
        if step is _retry:
            await w.drive()
        while True:
            try:
                await step(w, run_id)
            except Crashed:
                w.restart()
            else:
                break
    await w.drive()
    return run_id


async def _trigger(w: World, reference: Reference) -> str:
    """As a client does it: again, under one key, until there is an answer."""
    while True:
        try:
            return await w.start(idempotency_key="reference", **reference.options)
        except Crashed:
            w.restart()


async def baseline(reference: Reference) -> tuple[dict[str, Any], int, int]:
    """What the run tells without faults; the number of its trigger's first call, and one past its last call."""
    w = reference.world()
    begun: list[int] = []
    start = w.start

    async def noting_start(*arguments: Any, **options: Any) -> str:
        begun.append(w.faults.count)
        return await start(*arguments, **options)

    w.start = noting_start  # type: ignore[method-assign]
    try:
        run_id = await survive(w, reference)
        last = w.faults.count
        return await told(w, run_id), begun[0], last
    finally:
        w.backend.close()


async def crashed(reference: Reference, expected: dict[str, Any], points: Sequence[tuple[int, bool]]) -> int:
    """Run with crashes at these calls. Returns how many struck; raises AssertionError if anything is told otherwise."""
    w = reference.world()
    journal, plan = Journal(w), sorted(points)
    w.faults.crash_at = plan.pop(0)

    async def arm(_: object) -> None:
        if plan and w.faults.crash_at is None:
            w.faults.crash_at = plan.pop(0)

    w.faults.before.append(arm)
    try:
        run_id = await survive(w, reference)
        w.faults.before.clear()
        w.faults.crash_at = None
        found = await told(w, run_id)
        assert found == expected, (points, found, expected)
        assert max(journal.commits.values()) == 1, points
        assert journal.after_the_end == [], points
        assert left(w) == [], points
        return w.faults.crashes
    finally:
        w.backend.close()


async def count(name: str, *, every: int = 1, offset: int = 0, pairs: int = PAIRS) -> Counted:
    """Try every crash point of a reference run (or every n-th), and some pairs."""
    reference = ALL[name]
    expected, first, last = await baseline(reference)
    points = [(number, after) for number in range(first, last) for after in (False, True)]
    chosen, rng = points[offset % every :: every], random.Random(name)
    hit, problems = 0, []
    for some in [*([point] for point in chosen), *_pairs(first, last, pairs, rng)]:
        try:
            struck = await crashed(reference, expected, some)
        except AssertionError as error:
            problems.append(f"{name} {some}: {error}"[:400])
            continue
        hit += int(len(some) == 1 and struck == 1)
    return Counted(name, last - first, len(chosen), hit, pairs, tuple(problems))


def _pairs(first: int, last: int, many: int, rng: random.Random) -> Iterator[list[tuple[int, bool]]]:
    for _ in range(many):
        one = rng.randrange(first, last)
        yield [(one, rng.random() < 0.5), (one + rng.randrange(1, 30), rng.random() < 0.5)]


def _count(name: str) -> Counted:
    async def quietly() -> Counted:
        # What a dead process was about to do raises in tasks that nobody waits for.
        asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
        return await count(name)

    return asyncio.run(quietly())


def report() -> tuple[list[str], bool]:
    """All points of all reference runs: lines to print, and whether anything was told otherwise or missed."""
    with ProcessPoolExecutor() as pool:
        found = list(pool.map(_count, ALL))
    lines = ["crash points:", *(one.line() for one in found)]
    total, hit = sum(one.single for one in found), sum(one.hit for one in found)
    lines.append(f"{hit} of {total} single crash points, {sum(one.pairs for one in found)} pairs")
    problems = [problem for one in found for problem in one.problems]
    return [*lines, *problems], bool(problems) or hit < total
