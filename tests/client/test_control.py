"""Methods that operate runs, against the real application."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from karman import AsyncClient
from karman.errors import Conflict, InvalidInput, InvalidRequest, NotFound
from tests.api.client import Api
from tests.api.routes import World, fan_out, prepare


@pytest.fixture
async def there(api: Api) -> World:
    return await prepare(api)


async def test_one_state_is_looked_at_and_retried(karman: AsyncClient, there: World) -> None:
    state = await karman.state(there.failed, f"{there.failed}--0")
    assert (state.status, state.attempts[0].error_kind) == ("FAILED", "Oops")
    run = await karman.retry_state(there.failed, state.state_id)
    assert (run.status, run.epoch) == ("RUNNING", 1)
    assert (await karman.retry_state(there.failed, state.state_id)).epoch == 1
    with pytest.raises(Conflict):
        await karman.retry(there.failed)
    with pytest.raises(NotFound):
        await karman.state(there.failed, f"{there.failed}--9")


async def test_a_rerun(karman: AsyncClient, there: World) -> None:
    first = await karman.rerun(there.failed, "a", inputs={"x": 1}, idempotency_key="k")
    again = await karman.rerun(there.failed, "a", inputs={"x": 1}, idempotency_key="k")
    assert (first.created, again.created, again.run_id) == (True, False, first.run_id)
    run = await karman.run(first.run_id)
    assert (run.rerun_of, run.inputs) == (there.failed, {"x": 1})
    other = await karman.rerun(there.failed, f"{there.failed}--0")
    assert (other.created, other.run_id != first.run_id) == (True, True)
    for begin in (
        karman.rerun(there.failed, "a", idempotency_key=""),
        karman.trigger("g", idempotency_key=""),
    ):
        with pytest.raises(InvalidRequest, match="idempotency-key"):  # a key that was lost is not none
            await begin
    with pytest.raises(NotFound):
        await karman.rerun(there.failed, "nobody")
    with pytest.raises(Conflict):
        await karman.rerun(there.fan, "u")
    with pytest.raises(InvalidInput):
        await karman.rerun(there.failed, "a", inputs={"x": float("nan")})


async def test_many_runs(karman: AsyncClient, there: World) -> None:
    since = datetime.now(UTC) - timedelta(hours=1)
    looked = await karman.bulk("cancel", graph="g", since=since, dry_run=True)
    assert (looked.dry_run, looked.matched, looked.done) == (True, 1, (there.run,))
    cursor, pages = None, 0
    while cursor is not None or not pages:
        done = await karman.bulk("cancel", limit=1, cursor=cursor)
        cursor, pages = done.cursor, pages + 1
    assert pages > 2
    assert (await karman.run(there.run)).status == (await karman.run(there.fan)).status == "CANCELLED"
    refused = await karman.bulk("resume", status="FAILED")
    assert [(each.run_id, each.code) for each in refused.refused] == [(there.failed, "conflict")]
    with pytest.raises(InvalidRequest):
        await karman.bulk("delete")


async def test_groups(karman: AsyncClient, api: Api) -> None:
    await api.graph()
    run = await fan_out(api, branches=3)
    (group,) = [group async for group in karman.groups(run, page_size=1)]
    assert (group.identifier, group.width, group.open, group.united_by) == ("f", 3, 3, ("u",))
    assert await karman.group(run, group.state_id) == group
    assert [inner async for inner in karman.groups(run, parent=group.state_id)] == []
    inside = [state.state_id async for state in karman.states(run, branch="0.1")]
    assert inside == [f"{run}-0.1-0"]
    with pytest.raises(NotFound):
        await karman.group(run, f"{run}--9")


async def test_a_lease_is_given_back(karman: AsyncClient, there: World) -> None:
    assert (await karman.release(there.state, there.lease)).status == "QUEUED"
    with pytest.raises(Conflict):
        await karman.release(there.state, there.lease)
    (work,) = await karman.poll(["a"], wait_seconds=20)
    await karman.cancel(there.run)
    assert (await karman.heartbeat(work.state_id, work.lease)).cancelled


async def test_a_state_is_skipped(karman: AsyncClient, there: World) -> None:
    state = await karman.skip(there.failed, f"{there.failed}--0", {"x": 1})
    assert (state.status, state.outputs, state.skipped_by) == ("SUCCEEDED", ({"x": 1},), "key:admin")
    assert await karman.skip(there.failed, f"{there.failed}--0", [{"x": 1}]) == state
    with pytest.raises(Conflict):
        await karman.skip(there.failed, f"{there.failed}--0", None)
    with pytest.raises(InvalidInput, match="does not follow"):
        await karman.skip(there.run, there.state, None, next_node="nobody")
    assert (await karman.skip(there.run, there.state, [])).outputs == ()
    with pytest.raises(InvalidInput):
        await karman.skip(there.fan, f"{there.fan}-0.1-0", {"x": float("nan")})


async def test_a_run_is_redriven(karman: AsyncClient, there: World) -> None:
    assert await karman.redrive(there.fan) == 2
    with pytest.raises(Conflict):
        await karman.redrive(there.failed)


async def test_a_run_is_purged(karman: AsyncClient, there: World) -> None:
    done = await karman.purge(there.failed)
    assert (done.run_id, done.complete, await karman.purge(there.failed)) == (there.failed, True, done)
    with pytest.raises(NotFound):
        await karman.run(there.failed)
    with pytest.raises(Conflict):
        await karman.purge(there.run)
    assert (await karman.bulk("purge", status="RUNNING", graph="g")).refused[0].code == "conflict"


async def test_the_audit_log(karman: AsyncClient, there: World) -> None:
    since = datetime.now(UTC)
    await karman.pause(there.run)
    await karman.resume(there.run)
    found = [entry async for entry in karman.audit(since=since, run_id=there.run, page_size=1)]
    assert [(entry.action, entry.by, entry.result) for entry in found] == [
        ("resume", "key:admin", "done"),
        ("pause", "key:admin", "done"),
    ]
    assert [entry async for entry in karman.audit(until=since, run_id=there.run)] == []
