"""Leases that end early: released for the next worker, or told that nobody wants the result any more."""

from __future__ import annotations

from typing import Any

import pytest

from karman_core.domain.errors import Conflict, NotFound
from karman_core.domain.outcome import Awaiting, Errored, Outcome, Succeeded
from karman_core.engine.views import Work
from tests.scenario.faults import Crashed, once
from tests.scenario.harness import NS, World, node, world
from tests.scenario.invariants import check
from tests.scenario.nodes import give_inputs

SCRIPTS = {"a": give_inputs, "b": give_inputs}
SECONDS = 60


def gave(**output: Any) -> Outcome:
    return Succeeded((output,))


async def poll(w: World, *names: str, limit: int = 10) -> list[Work]:
    return await w.api().poll(NS, names or ("a", "b"), limit=limit, lease_seconds=SECONDS)


async def begin(w: World, *nodes: Any, **options: Any) -> tuple[str, Work]:
    await w.define(*(nodes or [node("a")]), **options)
    run_id = await w.start()
    [work] = await poll(w)
    return run_id, work


async def test_what_is_released_is_leased_again_at_once_and_counts_no_attempt() -> None:
    async with world(SCRIPTS) as w:
        run_id, work = await begin(w)
        for _ in range(30):  # more often than a crash is forgiven, and than a message is delivered
            assert (await w.api().release(NS, work.state_id, work.lease)).status == "QUEUED"
            assert (await w.state(run_id, "a")).status == "QUEUED"
            [again] = await poll(w)
            assert (again.state_id, again.attempt, again.turn) == (work.state_id, 1, 0)
            assert again.lease != work.lease
            work = again
        await w.api().report(NS, work.state_id, gave(n=2), lease=work.lease)
        run = await check(w, run_id)
        assert (run.status, run.totals.turns, run.result) == ("SUCCEEDED", 1, {"n": 2})


async def test_another_worker_with_a_queue_takes_it_as_well() -> None:
    async with world(SCRIPTS) as w:
        run_id, work = await begin(w)
        await w.api().release(NS, work.state_id, work.lease)
        await w.drive()
        assert (await check(w, run_id)).status == "SUCCEEDED"
        assert w.executor.executed == {"a": 1}


async def test_who_has_lost_a_lease_cannot_release_it() -> None:
    async with world(SCRIPTS) as w:
        _, work = await begin(w)
        with pytest.raises(NotFound):
            await w.api().release(NS, "nobody--0", work.lease)
        with pytest.raises(Conflict, match="taken over"):
            await w.api().release(NS, work.state_id, "another")
        w.clock.advance(SECONDS + 1)
        with pytest.raises(Conflict, match="ended"):
            await w.api().release(NS, work.state_id, work.lease)
        [again] = await poll(w)
        with pytest.raises(Conflict, match="taken over"):
            await w.api().release(NS, work.state_id, work.lease)
        await w.api().release(NS, again.state_id, again.lease)
        with pytest.raises(Conflict, match="not leased"):
            await w.api().release(NS, again.state_id, again.lease)
        with pytest.raises(Conflict, match="not leased"):
            await w.api().report(NS, again.state_id, gave(), lease=again.lease)


async def test_a_retried_and_a_resumed_state_go_on_where_they_were() -> None:
    async with world(SCRIPTS) as w:
        run_id, work = await begin(w)
        await w.api().report(NS, work.state_id, Errored("Flaky", "no"), lease=work.lease)
        w.clock.advance(10)
        [work] = await poll(w)
        await w.api().release(NS, work.state_id, work.lease)
        [work] = await poll(w)
        assert (work.attempt, work.turn) == (2, 1)
        await w.api().report(NS, work.state_id, Awaiting("go"), lease=work.lease)
        await w.engine.signal(NS, run_id, "go", {"yes": True})
        assert await poll(w) == []
        [work] = await poll(w)
        await w.api().release(NS, work.state_id, work.lease)
        [work] = await poll(w)
        assert work.resumed == {"signal": "go", "payload": {"yes": True}, "timed_out": False}
        await w.api().report(NS, work.state_id, gave(), lease=work.lease)
        assert (await check(w, run_id)).totals.turns == 3


async def test_a_next_worker_that_is_quicker_than_the_record_keeps_its_lease() -> None:
    async with world(SCRIPTS) as w:
        run_id, work = await begin(w)
        taken: list[Work] = []

        async def next_worker() -> None:
            taken.extend(await poll(w))

        once(w.faults.after, "queue.send", next_worker)
        assert (await w.api().release(NS, work.state_id, work.lease)).status == "RUNNING"
        assert await poll(w) == []
        await w.api().report(NS, work.state_id, gave(), lease=taken[0].lease)
        assert (await check(w, run_id)).totals.turns == 1


@pytest.mark.parametrize("after", [False, True])
async def test_a_crash_at_any_call_of_a_release_loses_nothing(*, after: bool) -> None:
    for number in range(100):
        async with world(SCRIPTS) as w:
            run_id, work = await begin(w)
            w.faults.crash_at = (w.faults.count + number, after)
            try:
                await w.api().release(NS, work.state_id, work.lease)
            except Crashed:
                pass
            else:
                assert number > 3
                return
            await w.drive()
            run = await check(w, run_id)
            assert (run.status, run.totals.turns, w.executor.executed["a"]) == ("SUCCEEDED", 1, 1)


async def beat(w: World, work: Work) -> bool:
    return (await w.api().heartbeat(NS, work.state_id, work.lease, SECONDS)).cancelled


@pytest.mark.parametrize("how", ["cancelled", "timed out"])
async def test_a_heartbeat_tells_that_the_run_is_cut_off(how: str) -> None:
    async with world(SCRIPTS) as w:
        await w.define(node("a"))
        run_id = await w.start(timeout_ms=SECONDS * 500)
        [work] = await poll(w)
        assert not await beat(w, work)
        if how == "cancelled":
            await w.engine.cancel(NS, run_id)
        else:
            w.clock.advance(SECONDS // 2)
        assert await beat(w, work)
        await w.api().release(NS, work.state_id, work.lease)
        assert await poll(w) == []
        await w.drive()
        assert (await w.view(run_id)).status == how.upper().replace(" ", "_")
        assert w.messages_left() == 0


async def test_a_heartbeat_tells_that_the_group_has_failed() -> None:
    """The state ends as cancelled when it is released: nobody waits for a lease to end."""
    async with world(SCRIPTS) as w:
        run_id, work = await begin(w, node("a", "b"), node("b", x="${{ a.outputs.x }}"), fail_fast=True)
        await w.api().report(NS, work.state_id, Succeeded(({"x": 0}, {"x": 1})), lease=work.lease)
        one, other = [each for _ in range(2) for each in await poll(w)]
        assert not await beat(w, other)
        await w.api().report(NS, one.state_id, Errored("Broken", "", retry=False), lease=one.lease)
        assert await beat(w, other)
        assert (await w.api().release(NS, other.state_id, other.lease)).status == "CANCELLED"
        run = await check(w, run_id)
        assert (run.status, run.totals.failed, run.totals.cancelled) == ("FAILED", 1, 1)


async def test_a_paused_run_is_not_cancelled_and_what_is_released_waits() -> None:
    async with world(SCRIPTS) as w:
        run_id, work = await begin(w)
        await w.engine.pause(NS, run_id)
        assert not await beat(w, work)
        await w.api().release(NS, work.state_id, work.lease)
        assert await poll(w) == []
        await w.engine.resume(NS, run_id)
        [work] = await poll(w)
        await w.api().report(NS, work.state_id, gave(), lease=work.lease)
        assert (await check(w, run_id)).status == "SUCCEEDED"
