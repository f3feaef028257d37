"""The quota of states a second: waits in place and on the queue, crashes, other workers, a quota that changes."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest

from karman_core.domain.errors import Unavailable
from karman_core.domain.outcome import Errored, Succeeded
from karman_core.domain.quotas import NamespaceQuotas
from tests.scenario.faults import Call
from tests.scenario.harness import NS, World, node, world
from tests.scenario.invariants import check
from tests.scenario.nodes import count_to, fail, give_inputs
from tests.selection import with_slow

FORK = (node("a", "b"), node("b", "u", x="${{ a.outputs.x }}"), node("u", unites="a"))


class Watch:
    """Notes when states begin, and what is written to lines."""

    def __init__(self, made: World) -> None:
        self.made = made
        self.begun: list[int] = []
        self.lines = self.reads = 0
        made.faults.before.append(self._count)
        for executor in made.executors.values():
            executor.scripts = {name: self._noting(script) for name, script in executor.scripts.items()}

    def _noting(self, answer: Any) -> Any:
        def run(execution: Any) -> Any:
            self.begun.append(self.made.clock.now_ms())
            return answer(execution)

        return run

    async def _count(self, call: Call) -> None:
        pk = getattr(call.arguments[0], "pk", "") if call.arguments else ""
        self.lines += pk == f"{NS}#line"
        self.reads += pk == f"{NS}#quotas" and call.name == "table.get"

    def most_in(self, seconds: float) -> int:
        return max(sum(at <= other < at + seconds * 1000 for other in self.begun) for at in self.begun)

    def seconds(self) -> float:
        return (self.begun[-1] - self.begun[0]) / 1000


def fan(width: int, **options: Any) -> World:
    return World({"a": count_to(width), "b": give_inputs, "u": give_inputs}, **options)


async def limit(made: World, rate: float | None) -> None:
    await made.engine.quotas.set(NS, NamespaceQuotas(states_per_second=rate))


@pytest.mark.parametrize(("rate", "width"), [(2.0, 20), (40.0, 400), (0.5, 5)])
@pytest.mark.parametrize("at_once", with_slow([1, 10, 300], [10, 300]))
async def test_states_begin_at_the_rate_of_the_quota(rate: float, width: int, at_once: int) -> None:
    made = fan(width)
    watch = Watch(made)
    await made.define(*FORK)
    await limit(made, rate)
    made.order = random.Random(1) if at_once > 10 else None

    run_id = await made.start()
    await made.drive(at_once=at_once)

    await check(made, run_id)
    assert len(watch.begun) == width + 2
    for seconds in (1, 2, 5, 10):
        assert watch.most_in(seconds) <= rate * (seconds + 1.25) + 1
    assert watch.seconds() == pytest.approx((width + 1) / rate, rel=0.25, abs=2)


async def test_a_turn_costs_a_fraction_of_a_write() -> None:
    made = fan(400)
    watch = Watch(made)
    await made.define(*FORK)
    await limit(made, 400.0)

    await made.finish()

    assert watch.lines <= 20


async def test_without_a_quota_nothing_is_written_and_one_small_item_read_now_and_then() -> None:
    made = fan(100)
    watch = Watch(made)
    await made.define(*FORK)

    run = await made.finish()

    assert run.status == "SUCCEEDED"
    assert (watch.lines, watch.reads) == (0, 1)


async def test_a_turn_that_comes_soon_is_waited_for_in_place() -> None:
    async with world({"a": give_inputs, "b": give_inputs, "c": give_inputs}) as made:
        watch = Watch(made)
        await made.define(node("a", "b"), node("b", "c"), node("c"))
        await limit(made, 2.0)

        run = await made.finish()

        assert (run.status, made.delivered) == ("SUCCEEDED", 1)
        assert watch.seconds() == 1.0


async def test_a_line_that_is_too_long_is_come_back_to() -> None:
    made = fan(12)
    watch = Watch(made)
    await made.define(*FORK)
    await limit(made, 0.1)

    run_id = await made.start()
    await made.drive(at_once=12)

    await check(made, run_id)
    gaps = [after - before for before, after in pairwise(watch.begun)]
    assert min(gaps) >= 10_000
    assert watch.seconds() < 13 * 10 * 2


async def test_a_wide_run_keeps_another_run_of_its_namespace_waiting_for_a_bounded_time() -> None:
    async with world({"a": count_to(2_000), "b": give_inputs, "s": give_inputs}) as made:
        await made.define(node("a", "b"), node("b"))
        await made.define(node("s"), name="small")
        await limit(made, 5.0)
        made.order = random.Random(1)
        wide = await made.start()
        started, small = 0, ""

        async def small_is_done() -> bool:
            nonlocal started, small
            if not small and made.executor.executed["b"] >= 200:
                started, small = made.clock.now_ms(), await made.start("small")
            return bool(small) and (await made.view(small)).status == "SUCCEEDED"

        await made.drive(until=small_is_done, at_once=200)

        assert made.clock.now_ms() - started <= 40_000
        assert (await made.view(wide)).status == "RUNNING"


async def test_a_lower_quota_holds_for_those_that_wait_already_and_a_higher_one_lets_them_go() -> None:
    made = fan(200)
    watch = Watch(made)
    await made.define(*FORK)
    await limit(made, 10.0)
    made.order = random.Random(1)  # All that is there is received at once.
    run_id = await made.start()

    async def begun(count: int) -> bool:
        return len(watch.begun) >= count

    await made.drive(until=lambda: begun(50), at_once=200)
    await limit(made, 1.0)
    at = made.clock.now_ms()
    await made.drive(until=lambda: begun(80), at_once=200)
    slow = made.clock.now_ms() - at
    await limit(made, 100.0)
    at = made.clock.now_ms()
    await made.drive(at_once=200)

    await check(made, run_id)
    assert 25_000 <= slow <= 60_000
    assert made.clock.now_ms() - at <= 310_000


async def test_retries_take_turns_too_and_what_is_not_run_takes_none() -> None:
    async with world(
        {"a": count_to(20), "b": lambda _: Errored("E", "no"), "c": fail, "u": give_inputs}
    ) as made:
        watch = Watch(made)
        retry = {"max_retries": 2, "strategy": "FIXED", "backoff_factor": 1}
        await made.define(
            node("a", "b"), node("b", "u"), node("u", unites="a"), retry_policy=retry, fail_fast=True
        )
        await limit(made, 1.0)

        run = await made.finish()

        assert run.status == "FAILED"
        assert watch.most_in(10) <= 12


@pytest.mark.parametrize("after", with_slow([False, True], [False]))
async def test_crashes_lose_a_token_and_no_state(*, after: bool) -> None:
    made = fan(5)
    await made.define(*FORK)
    await limit(made, 0.7)
    await made.start()
    begin = made.faults.count
    await made.drive(at_once=4)
    calls = made.faults.count - begin
    assert calls > 30

    for crash in range(calls):
        w = fan(5)
        watch = Watch(w)
        await w.define(*FORK)
        await limit(w, 0.7)
        run_id = await w.start()
        w.faults.crash_at = (w.faults.count + crash, after)
        await w.drive(at_once=4)
        await check(w, run_id)
        assert w.faults.crashes == 1, crash
        assert watch.most_in(10) <= 0.7 * 11.25 + 1 + 4, crash  # Those that were being run are run again.
        w.backend.close()


async def test_duplicates_of_those_that_wait_do_no_harm() -> None:
    made = fan(6)
    await made.define(*FORK)
    await limit(made, 0.5)
    made.deliveries = 2

    run_id = await made.start()
    await made.drive()

    await check(made, run_id)


async def test_workers_share_the_rate() -> None:
    made = World({"a": count_to(60), "b": give_inputs, "c": give_inputs}, runtimes={"b": "one", "c": "two"})
    watch = Watch(made)
    await made.define(node("a", "b", "c"), node("b"), node("c"))
    await limit(made, 20.0)

    run_id = await made.start()
    await made.drive(at_once=10)

    await check(made, run_id)
    assert {each.identifier for name in ("one", "two") for each in made.executors[name].log} == {"b", "c"}
    assert watch.most_in(2) <= 20 * 3.25 + 1
    assert watch.seconds() >= 4.5


@pytest.mark.parametrize(("rate", "gap_ms"), [(0.5, 2_000), (2.0, 500)])
async def test_workers_over_http_wait_for_turns_on_the_queue(rate: float, gap_ms: int) -> None:
    async with world({"a": give_inputs}) as made:
        await made.define(node("a"))
        api = made.api()
        await api.quotas.set(NS, NamespaceQuotas(states_per_second=rate))
        for _ in range(4):
            await made.start()
        begun: list[int] = []

        async def poll() -> None:
            for work in await api.poll(NS, ["a"], limit=10):
                begun.append(made.clock.now_ms())
                await api.report(NS, work.state_id, Succeeded(({},)), lease=work.lease)

        while len(begun) < 4:
            at = made.clock.now_ms()
            await made.finish_all([poll()])
            assert made.clock.now_ms() == at  # No poll waits for tokens: it holds states for its worker.
            made.skip_time()

        assert [after - before for before, after in pairwise(begun)] == [gap_ms] * 3


async def test_a_quota_that_cannot_be_read_is_believed_as_it_was_and_none_at_first() -> None:
    made = fan(30)
    watch = Watch(made)
    await made.define(*FORK)
    await limit(made, 1.0)

    async def away(call: Call) -> None:
        if call.name == "table.get" and getattr(call.arguments[0], "pk", "") == f"{NS}#quotas":
            raise Unavailable("it does not answer")

    made.faults.before.append(away)
    run_id = await made.start()
    await made.drive()
    await check(made, run_id)
    assert watch.most_in(10) <= 12

    made.restart()
    again = await made.start()
    at = made.clock.now_ms()
    await made.drive()
    await check(made, again)
    assert made.clock.now_ms() - at < 2_000
