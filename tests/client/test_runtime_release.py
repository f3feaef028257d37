"""The worker over HTTP gives back what it does not finish, has not begun, or nobody wants."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import pytest

from karman import AsyncClient, Context, Graph, Runtime, node
from karman._internal.http import turns
from tests.client.test_runtime import SECONDS, Held, Split, stored, until, working


@pytest.fixture
async def held() -> Graph:
    Held.began, Held.end = asyncio.Event(), asyncio.Event()
    graph = Graph("held")
    graph.add(Held, "held")
    return graph


async def test_what_does_not_finish_is_given_back(
    karman: AsyncClient, held: Graph, caplog: pytest.LogCaptureFixture
) -> None:
    async with working(Runtime([Held], name="rt", client=karman, grace_seconds=0.05)):
        await stored(karman, held)
        started = await karman.trigger("held")
        await Held.began.wait()
    (state,) = [state async for state in karman.states(started.run_id)]
    assert (state.status, state.attempts) == ("QUEUED", ())
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    # It needs no wait for a lease to end.
    Held.end.set()
    async with working(Runtime([Held], name="rt", client=karman)):
        assert (await karman.wait(started.run_id, timeout=30)).status == "SUCCEEDED"


begun = threading.Event()
go_on = threading.Event()


@node
def blocking(ctx: Context, n: int) -> None:
    begun.set()
    go_on.wait(200)


async def test_what_has_not_begun_is_released_at_once(karman: AsyncClient) -> None:
    """One thread, two states: the one that waits for it is for others, while the other one finishes."""
    begun.clear()
    go_on.clear()
    graph = Graph("g")
    split = graph.add(Split, "split", count=2)
    split >> graph.add(blocking, "blocking", n=split.outputs.n)

    async def statuses() -> list[str]:
        found = [state async for state in karman.states(started.run_id, identifier="blocking")]
        return sorted(state.status for state in found)

    async def both_here() -> bool:
        # Not just leased by the server: the poll that brings a state may be under way yet.
        return begun.is_set() and len(runtime._turns) == 2  # noqa: SLF001

    async def one_released() -> bool:
        return await statuses() == ["QUEUED", "RUNNING"]

    runtime = Runtime([Split, blocking], name="rt", client=karman, threads=1)
    async with working(runtime) as task:
        await stored(karman, graph)
        started = await karman.trigger("g")
        await until(both_here)
        assert await statuses() == ["RUNNING", "RUNNING"]
        runtime.stop()
        await until(one_released)
        assert not task.done()
        go_on.set()
    assert await statuses() == ["QUEUED", "SUCCEEDED"]


async def test_work_of_a_cancelled_run_is_stopped_and_not_reported(
    karman: AsyncClient, held: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "BEATS_PER_LEASE", 60 / 0.02)
    reports: list[str] = []
    report = karman.report

    async def reporting(state_id: str, *arguments: Any, **options: Any) -> Any:
        reports.append(state_id)
        return await report(state_id, *arguments, **options)

    monkeypatch.setattr(karman, "report", reporting)
    async with working(Runtime([Held], name="rt", client=karman, concurrency=1)):
        await stored(karman, held)
        first = await karman.trigger("held")
        await Held.began.wait()
        Held.began.clear()
        await karman.cancel(first.run_id)
        # Its place is free again, although the node has not ended by itself.
        second = await karman.trigger("held")
        await asyncio.wait_for(Held.began.wait(), SECONDS)
        Held.end.set()
        assert (await karman.wait(second.run_id, timeout=SECONDS)).status == "SUCCEEDED"
    assert (await karman.run(first.run_id)).status == "CANCELLED"
    assert [each.rpartition("--")[0] for each in reports] == [second.run_id]
