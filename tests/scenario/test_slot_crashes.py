"""A process dies before or after any one port call while runs take slots, wait for them, and give them back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from karman_core.domain.errors import Conflict, KarmanError
from karman_core.domain.outcome import Errored, Requeued
from karman_core.ports.executor import Execution
from tests.scenario.faults import Crashed
from tests.scenario.harness import NS, World, node
from tests.scenario.nodes import Answer, give_inputs
from tests.scenario.slots import MENDED_SECONDS, OPEN, began, held, left, limited, statuses
from tests.scenario.test_control_crashes import stubborn
from tests.selection import with_slow

Act = Callable[[World], Awaitable[None]]


def later(execution: Execution) -> Answer:
    """Come again in a second, so that others find the slot held."""
    return {"x": execution.run_id} if execution.turn else Requeued(1_000)


async def at_every_call(
    prepare: Callable[[], Awaitable[World]], act: Act, least: int, *, step: int = 1
) -> None:
    """Act in a new world with a crash at every `step`th side of a call (before, after), until none strikes."""
    number = 0
    while True:
        w = await prepare()
        w.faults.crash_at = (w.faults.count + number // 2, number % 2 == 1)
        await act(w)
        crashes = w.faults.crashes
        w.backend.close()
        if not crashes:
            assert number > least
            return
        number += step


async def nothing_is_left(w: World, runs: list[str], *ends: str) -> None:
    found = await statuses(w, runs)
    assert set(found) <= set(ends), found
    assert left(w) == []
    assert w.messages_left() == 0


async def test_runs_that_wait_for_each_other() -> None:
    nodes = (node("a", "b"), node("b", x="${{ a.outputs.x }}"))
    scripts = {"a": later, "b": give_inputs}

    async def prepare() -> World:
        return await limited(1, scripts=scripts, nodes=nodes)

    async def act(w: World) -> None:
        runs = [await stubborn(w, partial(w.start, idempotency_key=key)) for key in "abc"]
        await w.drive()
        await nothing_is_left(w, runs, "SUCCEEDED")
        for run_id in runs:
            assert (await w.view(run_id)).result == {"x": run_id}

    await at_every_call(prepare, act, 150, step=3)


async def test_runs_that_are_cancelled_where_they_wait_and_where_they_go_on() -> None:
    async def queued() -> World:
        w = await limited(1, scripts={"a": later})
        for key in "abcd":
            await w.start(idempotency_key=key)
        return w

    async def act(w: World) -> None:
        runs = began(w)
        await w.work(at_once=4)
        for run_id in runs[:2]:
            await stubborn(w, partial(_cancel, w, run_id))
        await w.drive()
        await nothing_is_left(w, runs, "SUCCEEDED", "CANCELLED")

    await at_every_call(queued, act, 60, step=3)


async def _cancel(w: World, run_id: str) -> None:
    try:
        await w.engine.cancel(NS, run_id)
    except Conflict:
        assert (await w.view(run_id)).ended


def broken_once(execution: Execution) -> Answer:
    return Errored("Broken", "", retry=False) if execution.turn == 0 else {"x": 1}


@pytest.mark.parametrize("again", with_slow([True, False], [True]))
async def test_a_retry_takes_its_slot(*, again: bool) -> None:
    """Asked for again until it is heard, or never again."""

    async def prepare() -> World:
        w = await limited(1, scripts={"a": broken_once})
        await w.start(idempotency_key="k")
        await w.drive()
        return w

    async def act(w: World) -> None:
        (run_id,) = began(w)

        async def retry() -> None:
            if (await w.view(run_id)).epoch == 0:
                await w.engine.retry(NS, run_id)

        if again:
            await stubborn(w, retry)
        else:
            await _once(w, retry)
        await w.drive()
        (status,) = await statuses(w, [run_id])
        if again or status != "FAILED":
            await nothing_is_left(w, [run_id], "SUCCEEDED")
            return
        w.faults.crash_at = None
        await _mended(w)

    await at_every_call(prepare, act, 15)


@pytest.mark.parametrize("again", [True, False])
async def test_a_trigger_takes_its_slot_before_it_sends(*, again: bool) -> None:
    async def prepare() -> World:
        return await limited(1, when_full="refuse")

    async def act(w: World) -> None:
        async def trigger() -> None:
            await w.engine.trigger(NS, "g", idempotency_key="k")

        if again:
            await stubborn(w, trigger)
        else:
            await _once(w, trigger)
        await w.drive()
        w.faults.crash_at = None
        if again:
            assert left(w) == []
        await _mended(w)

    await at_every_call(prepare, act, 15)


async def _once(w: World, call: Callable[[], Awaitable[None]]) -> None:
    try:
        await call()
    except Crashed:
        w.restart()


async def _mended(w: World) -> None:
    """Whatever was left behind, there is room some minutes later for as many runs as ever."""
    w.clock.advance(MENDED_SECONDS)
    run_id = await w.start()
    await w.drive()
    await w.engine.sweep()
    await w.drive()
    found = await statuses(w, began(w))
    assert not OPEN & set(found), found
    assert (await w.view(run_id)).ended
    assert left(w) == []


async def test_slots_that_were_forgotten_are_given_back() -> None:
    async def prepare() -> World:
        w = await limited(1, when_full="refuse")
        w.faults.after.clear()

        async def die() -> None:
            raise Crashed

        async def interrupt(call: object) -> None:
            if getattr(call, "name", "") == "queue.send":
                w.faults.before.remove(interrupt)
                await die()

        w.faults.before.append(interrupt)
        with pytest.raises(Crashed):
            await w.api().trigger(NS, "g")
        w.clock.advance(MENDED_SECONDS)
        return w

    async def act(w: World) -> None:
        assert len(held(w)) == 1

        async def trigger() -> None:
            try:
                await w.engine.trigger(NS, "g", idempotency_key="k")
            except KarmanError:
                w.clock.advance(MENDED_SECONDS)
                await w.engine.trigger(NS, "g", idempotency_key="k")

        await stubborn(w, trigger)
        await w.drive()
        assert left(w) == []

    await at_every_call(prepare, act, 15)
