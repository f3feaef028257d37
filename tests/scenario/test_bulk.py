"""The same for many runs: each by itself, as often as one likes, and first to be looked at."""

from __future__ import annotations

from typing import Any

import pytest

from karman_core.domain.errors import InvalidRequest, Throttled
from karman_core.domain.outcome import Requeued
from karman_core.engine.listing import RunFilter
from karman_core.engine.operations import Action
from karman_core.engine.views import BulkView
from karman_core.ports.executor import Execution
from tests.scenario.epochs import broken_until
from tests.scenario.faults import Call
from tests.scenario.harness import NS, World, node, world
from tests.scenario.nodes import Answer


def waits(_: Execution) -> Answer:
    return Requeued(86_400_000)


async def runs(w: World) -> dict[str, list[str]]:
    """Two graphs: three runs of `g` that go on, four of `h` that have failed; the newest last."""
    await w.define(node("a"), name="g")
    await w.define(node("b"), name="h")
    found: dict[str, list[str]] = {"g": [], "h": []}
    for name in ("g", "h", "g", "h", "g", "h", "h"):
        found[name].append(await w.start(name, tags={"t": str(len(found[name]))}))
        w.clock.advance(1)
    while await w.work():
        pass
    return found


SCRIPTS: dict[str, Any] = {"a": waits, "b": broken_until(1)}


async def bulk(w: World, action: Action, **options: Any) -> BulkView:
    wanted = RunFilter(**{name: options.pop(name) for name in list(options) if name in RunFilter.__slots__})
    return await w.api().operations.bulk(NS, action, wanted, **options)


async def statuses(w: World, ids: list[str]) -> set[str]:
    return {(await w.view(run_id)).status for run_id in ids}


async def test_pause_resume_cancel_and_retry() -> None:
    async with world(SCRIPTS) as w:
        found = await runs(w)
        g, h = found["g"], found["h"]
        paused = await bulk(w, Action.PAUSE)
        assert (paused.matched, paused.done, paused.refused, paused.cursor) == (
            3,
            tuple(reversed(g)),
            (),
            None,
        )
        assert await statuses(w, g) == {"PAUSED"}
        assert (await bulk(w, Action.PAUSE)).matched == 0
        resumed = await bulk(w, Action.RESUME, graph="g")
        assert set(resumed.done) == set(g)
        assert await statuses(w, g) == {"RUNNING"}
        cancelled = await bulk(w, Action.CANCEL, tags={"t": "1"})
        assert (cancelled.done, await statuses(w, g)) == ((g[1],), {"RUNNING", "CANCELLED"})
        retried = await bulk(w, Action.RETRY)
        assert set(retried.done) == set(h)
        while await w.work():
            pass
        assert await statuses(w, h) == {"SUCCEEDED"}
        assert (await bulk(w, Action.RETRY)).done == ()


async def test_a_status_that_the_action_does_not_change_is_refused_run_by_run() -> None:
    async with world(SCRIPTS) as w:
        found = await runs(w)
        for dry_run in (True, False):
            told = await bulk(w, Action.CANCEL, status="FAILED", dry_run=dry_run)
            assert (told.matched, told.done, len(told.refused)) == (4, (), 4)
            assert {(each.run_id, each.code) for each in told.refused} == {
                (run_id, "conflict") for run_id in found["h"]
            }
            assert "FAILED" in told.refused[0].message


async def test_a_dry_run_changes_nothing() -> None:
    async with world(SCRIPTS) as w:
        found = await runs(w)
        before, left = [await w.view(run_id) for run_id in found["g"]], w.messages_left()
        told = await bulk(w, Action.CANCEL, dry_run=True)
        assert (told.dry_run, set(told.done)) == (True, set(found["g"]))
        assert ([await w.view(run_id) for run_id in found["g"]], w.messages_left()) == (before, left)


@pytest.mark.parametrize("limit", [1, 3, 5])
async def test_pages(limit: int) -> None:
    async with world(SCRIPTS) as w:
        found = await runs(w)
        done: list[str] = []
        cursor = None
        while True:
            page = await bulk(w, Action.CANCEL, limit=limit, cursor=cursor)
            assert page.matched <= limit
            done += page.done
            cursor = page.cursor
            if cursor is None:
                break
        assert done == list(reversed(found["g"]))
        with pytest.raises(InvalidRequest):
            await bulk(w, Action.CANCEL, limit=1_001)
        with pytest.raises(InvalidRequest):
            await bulk(w, Action.CANCEL, cursor="x")


async def test_one_that_fails_stops_no_other_and_is_done_the_next_time() -> None:
    async with world(SCRIPTS) as w:
        found = await runs(w)
        bad = found["g"][1]

        async def trouble(call: Call) -> None:
            if call.name == "queue.send" and bad in repr(call.arguments):
                raise Throttled("no")

        w.faults.before.append(trouble)
        told = await bulk(w, Action.CANCEL, graph="g")
        w.faults.before.clear()
        assert [each.run_id for each in told.refused] == [bad]
        assert told.refused[0].code == Throttled.code
        assert set(told.done) == set(found["g"]) - {bad}
        assert (await bulk(w, Action.CANCEL, graph="g")).done == (bad,)
