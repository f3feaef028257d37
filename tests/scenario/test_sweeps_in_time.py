"""Sweeps that have an end: what one does not come to, the next one does."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from karman_core.engine.sweeping import Sweeper
from tests.scenario.harness import World, node, world
from tests.scenario.nodes import give

RUNS = 40


async def many(w: World) -> set[str]:
    await w.define(node("a"))
    return {await w.start(idempotency_key=str(number)) for number in range(RUNS)}


def looked_at(monkeypatch: pytest.MonkeyPatch, act: Any = None) -> list[str]:
    """Ids of the runs that sweeps look at from now on, in that order."""
    seen: list[str] = []
    look_at = Sweeper._look_at  # noqa: SLF001  there is no other way to see the order

    async def look(self: Any, header: Any, report: Any) -> Any:
        seen.append(header.run.run_id)
        if act is not None:
            await act(header)
        return await look_at(self, header, report)

    monkeypatch.setattr(Sweeper, "_look_at", look)
    return seen


@pytest.mark.parametrize("each", [1, 7, 39])
async def test_sweeps_go_on_where_the_last_one_stopped(each: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async with world({"a": give()}) as w:
        ids = await many(w)

        async def take_time(_: Any) -> None:
            if not len(seen) % each:
                w.clock.advance(1)

        seen = looked_at(monkeypatch, take_time)
        for sweep in range(-(-RUNS // each)):
            assert len(seen) == sweep * each
            await w.engine.sweep(w.clock.now_ms() + 1)

        assert sorted(seen[:RUNS]) == sorted(ids)
        await w.engine.sweep()
        seen.clear()
        report = await w.engine.sweep()
        assert report.complete
        assert sorted(seen) == sorted(ids)


async def test_one_that_is_broken_off_passes_over_the_run_it_was_at(monkeypatch: pytest.MonkeyPatch) -> None:
    async with world({"a": give()}) as w:
        ids = await many(w)
        stuck: list[str] = []
        at_it = asyncio.Event()

        async def stick_once(header: Any) -> None:
            if len(seen) == 5 and not stuck:
                stuck.append(header.run.run_id)
                at_it.set()
                await asyncio.Event().wait()

        seen = looked_at(monkeypatch, stick_once)
        sweeping = asyncio.create_task(w.engine.sweep())
        await at_it.wait()
        sweeping.cancel()
        await asyncio.wait([sweeping])
        assert sweeping.cancelled()

        assert (await w.engine.sweep()).complete
        assert set(seen) == ids
        assert seen.count(stuck[0]) == 1


async def test_runs_that_end_meanwhile_lose_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    async with world({"a": give()}) as w:
        ids = await many(w)
        until_ms = w.clock.now_ms() + 1

        async def take_time(_: Any) -> None:
            if len(seen) == 10:
                w.clock.advance(1)

        seen = looked_at(monkeypatch, take_time)
        assert not (await w.engine.sweep(until_ms)).complete
        for run_id in seen:
            await w.engine.cancel("ns", run_id)
        left = ids - set(seen)
        seen.clear()
        assert (await w.engine.sweep()).complete
        assert sorted(seen) == sorted(left)
