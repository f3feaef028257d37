"""Start delays and deadlines: what happens when, on a clock that the test moves."""

from __future__ import annotations

from typing import Any

import pytest

from karman_core.domain.errors import InvalidInput
from karman_core.domain.outcome import Awaiting
from karman_core.engine import EngineSettings
from karman_core.ports.executor import Execution
from tests.scenario.clock import START_MS
from tests.scenario.harness import NS, World, node, world
from tests.scenario.invariants import check
from tests.scenario.nodes import Answer, give, one_by_one

DAY_MS = 86_400_000


@pytest.mark.parametrize("delay_ms", [1, 60_000, 900_000, 900_001, 400 * DAY_MS])
async def test_a_delayed_run_is_queued_until_it_starts(delay_ms: int) -> None:
    async with world({"a": give(x=1)}) as w:
        await w.define(node("a"))
        run_id = await w.start(start_delay_ms=delay_ms)
        run = await w.view(run_id)
        assert (run.status, run.starts_ms) == ("QUEUED", START_MS + delay_ms)
        (listed,) = (await w.engine.list_runs(NS, status="QUEUED")).runs
        assert listed.run_id == run_id
        w.clock.advance_to(START_MS + delay_ms - 1)
        assert not await w.work()
        assert (await w.view(run_id)).status == "QUEUED"
        await w.drive()
        assert w.executor.executed == {"a": 1}
        assert START_MS + delay_ms <= w.clock.now_ms() < START_MS + delay_ms + 1000
        assert (await check(w, run_id)).status == "SUCCEEDED"


async def test_a_delayed_run_can_be_cancelled_before_it_starts() -> None:
    async with world({"a": give(x=1)}) as w:
        await w.define(node("a"))
        run_id = await w.start(start_delay_ms=60_000)
        assert (await w.engine.cancel(NS, run_id)).status == "CANCELLED"
        await w.drive()
        assert w.executor.executed == {}
        assert (await w.view(run_id)).status == "CANCELLED"


@pytest.mark.parametrize(("delay_ms", "timeout_ms"), [(-1, None), (0, 0), (0, -5)])
async def test_times_that_cannot_be_are_refused(delay_ms: int, timeout_ms: int | None) -> None:
    async with world({"a": give(x=1)}) as w:
        await w.define(node("a"))
        with pytest.raises(InvalidInput):
            await w.start(start_delay_ms=delay_ms, timeout_ms=timeout_ms)
        assert w.messages_left() == 0


async def timed_out(w: World, run_id: str, after_ms: int) -> None:
    run = await w.view(run_id)
    assert run.status == "TIMED_OUT"
    assert run.ended_ms is not None
    assert START_MS + after_ms <= run.ended_ms < START_MS + after_ms + 1000
    assert w.messages_left() == 0


@pytest.mark.parametrize("timeout_ms", [10_000, 2 * DAY_MS])
async def test_a_run_that_waits_ends_at_its_deadline(timeout_ms: int) -> None:
    async with world({"a": lambda _: Awaiting("never", 30 * DAY_MS)}) as w:
        await w.define(node("a"))
        run_id = await w.start(timeout_ms=timeout_ms)
        await w.drive(until=lambda: ended(w, run_id))
        run = await w.view(run_id)
        assert (run.status, run.ended_ms) == ("TIMED_OUT", START_MS + timeout_ms)
        assert (await w.state(run_id, "a")).status == "TIMED_OUT"
        await w.drive()
        assert w.executor.executed == {"a": 1}


async def ended(w: World, run_id: str) -> bool:
    return (await w.view(run_id)).ended


async def test_a_run_that_retries_ends_at_its_deadline() -> None:
    policy = {"strategy": "FIXED", "backoff_factor": 4_000, "max_retries": 100}
    async with world({"a": one_by_one(ValueError("no"))}) as w:
        await w.define(node("a"), retry_policy=policy)
        run_id = await w.start(timeout_ms=10_000)
        await w.drive()
        await timed_out(w, run_id, 10_000)
        assert w.executor.executed == {"a": 3}


async def test_a_graph_s_time_out_counts_from_the_start_of_a_run() -> None:
    async with world({"a": lambda _: Awaiting("never")}) as w:
        await w.define(node("a"), timeout_seconds=20)
        run_id = await w.start(start_delay_ms=50_000)
        await w.drive()
        await timed_out(w, run_id, 70_000)


async def test_a_trigger_s_time_out_comes_before_the_graph_s() -> None:
    async with world({"a": lambda _: Awaiting("never")}) as w:
        await w.define(node("a"), timeout_seconds=20)
        run_id = await w.start(timeout_ms=5_000)
        await w.drive()
        await timed_out(w, run_id, 5_000)


async def test_every_run_has_a_deadline_that_the_sweeper_keeps() -> None:
    async with world(
        {"a": lambda _: Awaiting("never")}, settings=EngineSettings(run_deadline_seconds=3 * 86_400)
    ) as w:
        await w.define(node("a"))
        run_id = await w.start()
        await w.drive()
        w.clock.advance(3 * 86_400 - 1)
        assert (await w.engine.sweep()).expired == 0
        w.clock.advance(1)
        assert (await w.engine.sweep()).expired == 1
        await w.work()  # its command, which sees to what follows should the sweeper die
        await timed_out(w, run_id, 3 * DAY_MS)


async def test_a_state_that_runs_over_the_deadline_is_told_and_does_not_change_the_end() -> None:
    cancelled: list[bool] = []

    async def slow(execution: Execution) -> Answer:
        cancelled.append(execution.is_cancelled())
        w.clock.advance(10)
        cancelled.append(execution.is_cancelled())
        return {"x": 1}

    async with world({"a": slow, "b": give()}) as w:
        await w.define(node("a", "b"), node("b"))
        run_id = await w.start(timeout_ms=10_000)
        await w.drive()
        await timed_out(w, run_id, 10_000)
        assert cancelled == [False, True]
        assert w.executor.executed == {"a": 1}
        assert [s.status for s in await w.states(run_id)] == ["SUCCEEDED", "TIMED_OUT"]


async def test_a_finished_run_keeps_its_status_at_its_deadline() -> None:
    async with world({"a": give(x=1)}) as w:
        await w.define(node("a"))
        run_id = await w.start(timeout_ms=10_000)
        await w.drive()
        run = await check(w, run_id)
        assert (run.status, run.ended_ms) == ("SUCCEEDED", START_MS)


async def test_a_node_that_runs_long_has_a_record_that_says_so() -> None:
    seen: list[Any] = []

    async def slow(execution: Execution) -> Answer:
        await w.clock.sleep(9)
        seen.append(await w.states(execution.run_id))
        await w.clock.sleep(2)
        seen.append(await w.states(execution.run_id))
        return {"x": 1}

    async with world({"a": slow}) as w:
        await w.define(node("a"))
        run_id = await w.start()
        await w.drive()
        assert [states[0].status for states in seen] == ["QUEUED", "RUNNING"]
        state = await w.state(run_id, "a")
        assert (state.status, state.started_ms, state.ended_ms) == ("SUCCEEDED", START_MS, START_MS + 11_000)
        run = await check(w, run_id)
        assert run.totals.busy_ms == 11_000
