"""The audit log: what operators do is recorded before it is done, and how it went after it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from karman_core.domain.errors import Conflict, InvalidRequest, NotFound, Unavailable
from karman_core.domain.outcome import Awaiting
from karman_core.engine.access import AccessKeys, Scope
from karman_core.engine.auditing import AuditEntry
from karman_core.engine.listing import RunFilter
from karman_core.engine.operations import Action
from karman_core.ports.timers import Schedule
from tests.scenario.faults import Crashed
from tests.scenario.harness import NS, World, graph, node, world
from tests.scenario.invariants import items
from tests.scenario.nodes import fail, give

BY = "key:k1"
DAY_SECONDS = 86_400


async def entries(w: World, **options: Any) -> list[AuditEntry]:
    """All entries, oldest first."""
    found: list[AuditEntry] = []
    cursor = None
    while True:
        page = await w.engine.audit.page(NS, cursor=cursor, **options)
        found += page.entries
        cursor = page.cursor
        if cursor is None:
            return found[::-1]


async def operate_runs(w: World, waits: str, failed: str, state: str) -> str:
    """Everything that changes runs; the id of the one that is made."""
    operator = w.engine.operator(BY)
    await operator.pause(NS, waits)
    await operator.resume(NS, waits)
    await operator.signal(NS, waits, "hello", {"secret": "canary"})
    await operator.redrive(NS, waits)
    await operator.cancel(NS, waits)
    await operator.retry(NS, failed)
    await w.drive()
    await operator.retry_state(NS, failed, state)
    await w.drive()
    new = await operator.rerun(NS, failed, "a", inputs={"secret": "canary"})
    await operator.skip(NS, failed, state, [{"secret": "canary"}])
    await w.drive()
    await operator.purge(NS, waits)
    return new.run_id


def of_runs(waits: str, failed: str, state: str) -> list[tuple[str, str, str | None]]:
    """What `operate_runs` is recorded as."""
    return [
        ("pause", waits, None),
        ("resume", waits, None),
        ("signal", waits, "hello"),
        ("redrive", waits, None),
        ("cancel", waits, None),
        ("retry", failed, None),
        ("retry_state", failed, state),
        ("rerun", failed, "a"),
        ("skip", failed, state),
        ("purge", waits, None),
    ]


async def change_graphs(w: World) -> str:
    """Everything that changes graphs and triggers; the id of the run that is begun."""
    operator = w.engine.operator(BY)
    await operator.put_graph(NS, graph(node("a"), name="h"), secrets={"token": "canary"})
    await operator.delete_graph(NS, "h")
    await operator.set_trigger(NS, "g", "t", enabled=False)
    await operator.set_trigger(NS, "g", "t", enabled=True)
    schedule = Schedule(NS, "g", "t", "0 0 1 1 *", "UTC", enabled=True)
    return (await operator.fire(schedule, 60_000)).run_id


async def test_every_operation_is_recorded_with_who_and_what() -> None:
    async with world({"a": give(x=1), "b": fail, "w": lambda _: Awaiting("go")}) as w:
        operator, keys = w.engine.operator(BY), AccessKeys(w.backend.table, w.clock, w.entropy)
        trigger = {"name": "t", "value": {"expression": "0 0 1 1 *"}}
        await w.define(node("a", "b"), node("b", retry_policy={"max_retries": 0}), triggers=[trigger])
        await w.define(node("w"), name="waits")
        failed = (await w.finish()).run_id
        waits = await w.start("waits")
        await w.work()
        state = (await w.state(failed, "b")).state_id
        new = await operate_runs(w, waits, failed, state)
        fired = await change_graphs(w)
        key = await operator.issue_key(keys, NS, "ci", [Scope.READ])
        rotated = await operator.rotate_key(keys, NS, key.id, overlap_seconds=5)
        await operator.revoke_key(keys, NS, key.id)

        found = await entries(w)
        assert {(each.by, each.result) for each in found} == {(BY, "done")}
        told = [(each.action, each.run_id, each.target) for each in found]
        assert told[:10] == of_runs(waits, failed, state)
        assert told[10:] == [
            ("put_graph", None, "h"),
            ("delete_graph", None, "h"),
            ("disable_trigger", None, "t"),
            ("enable_trigger", None, "t"),
            ("fire_trigger", None, "t"),
            ("issue_key", None, None),
            ("rotate_key", None, key.id),
            ("revoke_key", None, key.id),
        ]
        details = {each.action: dict(each.details) for each in found}
        assert details["redrive"] == {"sent": 1}
        assert details["rerun"] == {"new_run": new}
        assert details["put_graph"] == {"secrets": ["token"], "version": 1, "changed": True}
        assert details["fire_trigger"] == {"graph": "g", "new_run": fired}
        assert details["issue_key"] == {"name": "ci", "scopes": ["read"], "key": key.id}
        kept = json.dumps(items(w, f"{NS}#audit%"), default=str)
        for hidden in ("canary", key.key, rotated.key):
            assert hidden not in kept


async def test_what_is_refused_is_recorded_with_its_code() -> None:
    async with world({"a": give()}) as w:
        await w.define(node("a"))
        run = await w.finish()
        operator = w.engine.operator(BY)
        with pytest.raises(Conflict):
            await operator.cancel(NS, run.run_id)
        with pytest.raises(NotFound):
            await operator.pause(NS, "nobody")
        with pytest.raises(Conflict):
            await operator.fire(Schedule(NS, "g", "t", "0 0 1 1 *", "UTC", enabled=True), 60_000)
        assert [(each.action, each.result) for each in await entries(w)] == [
            ("cancel", "conflict"),
            ("pause", "not_found"),
            ("fire_trigger", "conflict"),
        ]


async def test_many_runs_are_one_entry_and_one_each() -> None:
    async with world({"a": lambda _: Awaiting("go")}) as w:
        await w.define(node("a"))
        runs = [await w.start(tags={"t": "v"}) for _ in range(3)]
        await w.work()
        operator = w.engine.operator(BY)
        await operator.bulk(NS, Action.CANCEL, RunFilter(tags={"t": "v"}), dry_run=True)
        assert await entries(w) == []
        await operator.bulk(NS, Action.CANCEL, RunFilter(tags={"t": "v"}))
        whole, *each = await entries(w)
        assert (whole.action, whole.target, whole.result) == ("bulk", "cancel", "done")
        assert whole.details == {"filter": {"tags": {"t": "v"}}, "done": 3, "refused": 0}
        assert sorted((one.action, one.run_id) for one in each) == sorted(("cancel", run) for run in runs)
        assert {one.details["bulk"] for one in each} == {whole.id}
        await operator.bulk(NS, Action.RESUME, RunFilter(status="CANCELLED"))
        assert [one.result for one in await entries(w, run_id=runs[0])] == ["done", "conflict"]


async def test_nothing_is_done_that_cannot_be_recorded() -> None:
    async with world({"a": lambda _: Awaiting("go")}) as w:
        await w.define(node("a"))
        run_id = await w.start()
        await w.work()

        async def break_down(call: Any) -> None:
            if call.name == "table.put":
                raise Unavailable("down")

        w.faults.before.append(break_down)
        with pytest.raises(Unavailable):
            await w.engine.operator(BY).cancel(NS, run_id)
        w.faults.before.clear()
        assert (await w.view(run_id)).status == "WAITING"


async def test_a_crash_at_any_call_leaves_nothing_done_unrecorded() -> None:
    number, struck = 0, True
    while struck:
        async with world({"a": lambda _: Awaiting("go")}) as w:
            await w.define(node("a"))
            run_id = await w.start()
            await w.work()
            w.faults.crash_at = (w.faults.count + number // 2, number % 2 == 1)
            try:
                await w.engine.operator(BY).cancel(NS, run_id)
            except Crashed:
                w.restart()
            struck = w.faults.crashes > 0
            w.faults.crash_at = None
            await w.drive()
            recorded = await entries(w)
            if (await w.view(run_id)).status == "CANCELLED":
                assert [each.action for each in recorded] == ["cancel"]
            assert struck or recorded[0].result == "done"
        number += 1
    assert number > 10


async def test_lists_by_time_and_run_go_on_at_cursors_and_expire() -> None:
    async with world({"a": lambda _: Awaiting("go")}) as w:
        await w.define(node("a"))
        runs = [await w.start() for _ in range(2)]
        await w.work()
        operator, at = w.engine.operator(BY), []
        for day in range(4):
            for run_id in runs:
                await operator.signal(NS, run_id, f"s{day}")
                at.append(w.clock.now_ms())
                w.clock.advance(1)
            w.clock.advance(DAY_SECONDS)
        assert [each.at_ms for each in await entries(w)] == at
        for limit in (1, 3):
            assert [each.at_ms for each in await entries(w, limit=limit)] == at
        assert [each.target for each in await entries(w, run_id=runs[1], limit=1)] == ["s0", "s1", "s2", "s3"]
        assert [each.at_ms for each in await entries(w, since_ms=at[2], until_ms=at[5])] == at[2:5]
        assert await entries(w, since_ms=at[-1] + 1) == []
        assert await entries(w, until_ms=0) == []
        for wrong in ({"cursor": "x"}, {"limit": 0}):
            with pytest.raises(InvalidRequest):
                await w.engine.audit.page(NS, **wrong)
        w.clock.advance(398 * DAY_SECONDS - 3600)
        w.backend.purge(w.clock.now_ms())
        assert [each.at_ms for each in await entries(w)] == at[4:]
        w.clock.advance(4 * DAY_SECONDS)
        w.backend.purge(w.clock.now_ms())
        assert items(w, f"{NS}#audit%") == []


async def test_several_at_once_have_entries_of_their_own() -> None:
    async with world({"a": lambda _: Awaiting("go")}) as w:
        await w.define(node("a"))
        run_id = await w.start()
        await w.work()
        operator = w.engine.operator(BY)
        await asyncio.gather(*(operator.signal(NS, run_id, f"s{n}") for n in range(5)))
        assert len(await entries(w, limit=2)) == 5
