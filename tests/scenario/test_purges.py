"""Purging a run: nothing of it is left but a note, whatever it was, and it does not come back."""

from __future__ import annotations

from typing import Any

import pytest

from karman_core.domain.errors import Conflict, NotFound
from karman_core.domain.messages import CommandKind
from karman_core.domain.outcome import Awaiting, Errored, StoreIncrement
from karman_core.engine import EngineSettings
from karman_core.engine.listing import RunFilter
from karman_core.engine.operations import Action
from karman_core.ports.executor import Execution
from karman_core.ports.timers import Schedule
from tests.scenario.epochs import broken_until
from tests.scenario.faults import once
from tests.scenario.groups import DEEP
from tests.scenario.harness import NS, World, node, world
from tests.scenario.invariants import check, items
from tests.scenario.nodes import Answer, count_to, fail, give, give_inputs, then
from tests.scenario.references import REFERENCES

DAY_SECONDS = 86_400


def left(w: World, run_id: str) -> list[tuple[str, str]]:
    """Keys of the items that are left of a run, wherever they lie."""
    found = [(item["pk"], item["sk"]) for item in items(w, "%") if run_id in f"{item['pk']} {item['sk']}"]
    prefix = f"{NS}#run#{run_id}"
    return [key for key in found if key not in {(prefix, "header"), (prefix, "control")}]


async def gone(w: World, run_id: str) -> None:
    """Nothing is left of a run that was purged, and nobody finds it."""
    assert left(w, run_id) == []
    (header,) = (item for item in items(w, f"{NS}#run#{run_id}") if item["sk"] == "header")
    assert header["status"] == "PURGED"
    assert set(header) == {"pk", "sk", "status", "purged", "ttl"}
    with pytest.raises(NotFound, match="was purged"):
        await w.view(run_id)
    listed = await w.engine.list_runs(NS)
    assert run_id not in {run.run_id for run in listed.runs}


@pytest.mark.parametrize("name", sorted(REFERENCES))
async def test_nothing_is_left_of_reference_runs(name: str) -> None:
    reference = REFERENCES[name]
    w = reference.world()
    await w.define(*reference.nodes(), store_config={"default_values": {"n": 0, "list": []}})
    run_id = await w.start(tags={"t": "v"})
    await w.drive()
    for step in reference.steps:
        await step(w, run_id)
        await w.drive()
    assert left(w, run_id)
    view = await w.engine.operations.purge(NS, run_id)
    assert view.complete
    await w.drive()
    await gone(w, run_id)
    w.backend.close()


async def test_blobs_tags_store_and_epochs() -> None:
    scripts = {
        "a": lambda _: [{"x": x, "text": str(7 ** (90 + x))} for x in range(9)],
        "b": broken_until(2, when=lambda i: i["x"] == 4),
        "u": lambda e: then({"ys": e.inputs["ys"]}, StoreIncrement("n")),
    }
    async with world(scripts, settings=EngineSettings(shard_width=4, inline_payload_bytes=100)) as w:
        await w.define(
            node("a", "b"),
            node("b", "u", x="${{ a.outputs.x }}"),
            node("u", unites="a", ys="${{ b.outputs.y }}"),
            store_config={"default_values": {"n": 0}},
        )
        run = await w.finish(tags={"customer": "42"})
        for _ in range(2):
            await w.engine.retry(NS, run.run_id)
            await w.drive()
        assert (await check(w, run.run_id)).epoch == 2
        assert blobs(w)
        await w.engine.operations.purge(NS, run.run_id)
        await gone(w, run.run_id)
        assert blobs(w) == []
        assert (await w.engine.list_runs(NS, tags={"customer": "42"})).runs == ()


def blobs(w: World) -> list[Any]:
    with w.backend.database.read() as connection:
        return list(connection.execute("SELECT name FROM blobs"))


async def test_its_time_limit_is_forgotten() -> None:
    async with world({"a": give()}) as w:
        await w.define(node("a"))
        run_id = await w.start(timeout_ms=10 * DAY_SECONDS * 1000)
        await w.work()
        assert ((await w.view(run_id)).status, w.messages_left()) == ("SUCCEEDED", 1)
        await w.engine.operations.purge(NS, run_id)
        await w.work()
        assert w.messages_left() == 0


async def test_again_is_no_error() -> None:
    async with world({"a": give()}) as w:
        await w.define(node("a"))
        run = await w.finish()
        first = await w.engine.operations.purge(NS, run.run_id)
        assert await w.engine.operations.purge(NS, run.run_id) == first
        with pytest.raises(NotFound):
            await w.engine.operations.purge(NS, "nobody")
        await w.drive()
        await gone(w, run.run_id)


async def test_a_run_that_goes_on_is_refused() -> None:
    async with world({"a": lambda _: Awaiting("go")}) as w:
        await w.define(node("a"))
        run_id = await w.start()
        await w.work()
        before = items(w, "%")
        for status in ("RUNNING", "PAUSED"):
            with pytest.raises(Conflict, match=f"{status}; cancel it"):
                await w.engine.operations.purge(NS, run_id)
            assert status == "PAUSED" or items(w, "%") == before
            await w.engine.pause(NS, run_id)
        await w.engine.cancel(NS, run_id)
        await w.engine.operations.purge(NS, run_id)
        await w.drive()
        await gone(w, run_id)


async def test_what_is_still_under_way_does_not_bring_it_back() -> None:
    def slow(execution: Execution) -> Answer:
        return Errored("Flaky", "no") if execution.turn < 2 else {}

    async with world({"a": give(), "b": slow, "c": give()}) as w:
        await w.define(node("a", "b"), node("b", "c"), node("c"))
        run_id = await w.start()
        await w.work()
        first = list(w.bodies)
        await w.engine.cancel(NS, run_id)
        await w.engine.operations.purge(NS, run_id)
        for queue, body in first:
            await w.send_body(body, queue)
        w.restart()
        executed = dict(w.executor.executed)
        await w.drive()
        # As after a cancel: one execution a message, at most, before the flag is seen.
        assert sum(w.executor.executed.values()) <= sum(executed.values()) + len(first)
        assert w.executor.executed["c"] == 0
        with pytest.raises(NotFound):
            await w.view(run_id)


async def test_its_idempotency_key_stays_used() -> None:
    async with world({"a": give()}) as w:
        await w.define(node("a"), triggers=[{"name": "t", "value": {"expression": "* * * * *"}}])
        run = await w.finish(idempotency_key="k")
        await w.engine.operations.purge(NS, run.run_id)
        with pytest.raises(Conflict, match="which was purged; use another key"):
            await w.start(idempotency_key="k")
        schedule = Schedule(NS, "g", "t", "* * * * *", "UTC", enabled=True)
        fired = await w.engine.fire(schedule, 60_000)
        assert fired is not None
        await w.drive()
        await w.engine.operations.purge(NS, fired.run_id)
        assert await w.engine.fire(schedule, 60_000) is None
        assert await w.engine.fire(schedule, 120_000) is not None
        await w.drive()
        w.clock.advance(31 * DAY_SECONDS)
        w.backend.purge(w.clock.now_ms())
        again = await w.finish(idempotency_key="k")
        assert (again.run_id, again.status) == (run.run_id, "SUCCEEDED")


async def rerun(w: World) -> tuple[str, str]:
    """A run, and one that was made of its third state."""
    await w.define(
        node("a", "b"),
        node("b", "u", x="${{ a.outputs.x }}"),
        node("u", unites="a", xs="${{ b.outputs.x }}"),
    )
    run = await w.finish()
    again = await w.engine.operations.rerun(NS, run.run_id, "u")
    await w.drive()
    return run.run_id, again.run_id


async def test_a_run_that_another_reuses_is_kept_until_that_is_purged() -> None:
    async with world({"a": count_to(5), "b": give_inputs, "u": give_inputs}, settings=DEEP) as w:
        first, second = await rerun(w)
        with pytest.raises(Conflict, match=f"Run '{second}' reuses"):
            await w.engine.operations.purge(NS, first)
        assert (await w.view(second)).result == {"xs": list(range(5))}
        assert len(await w.states(second)) == 7
        await w.engine.operations.purge(NS, second)
        await gone(w, second)
        assert (await check(w, first, empty=False)).result == {"xs": list(range(5))}
        await w.engine.operations.purge(NS, first)
        await w.drive()
        await gone(w, first)


async def test_a_rerun_from_the_first_state_reuses_nothing() -> None:
    async with world({"a": give(x=1)}) as w:
        await w.define(node("a"))
        run = await w.finish()
        again = await w.engine.operations.rerun(NS, run.run_id, "a")
        await w.drive()
        await w.engine.operations.purge(NS, run.run_id)
        assert (await w.view(again.run_id)).status == "SUCCEEDED"


@pytest.mark.parametrize("call", ["queue.send", "table.update", "table.batch_write"])
async def test_a_rerun_and_a_purge_at_once(call: str) -> None:
    """Whoever comes second gives way; never is a run left whose states are gone."""
    async with world({"a": give(x=1), "b": give_inputs}) as w:
        await w.define(node("a", "b"), node("b", x="${{ a.outputs.x }}"))
        run = await w.finish()
        begun: list[str] = []

        async def rerun_now() -> None:
            begun.append((await w.engine.operations.rerun(NS, run.run_id, "b")).run_id)

        once(w.faults.before, call, rerun_now)
        try:
            await w.engine.operations.purge(NS, run.run_id)
        except Conflict:
            assert begun
        except NotFound:
            assert not begun
        await w.drive()
        for new in begun:
            assert (await w.view(new)).result == {"x": 1}
            assert (await w.view(run.run_id)).status == "SUCCEEDED"
            assert run.run_id in {each.run_id for each in (await w.engine.list_runs(NS)).runs}


async def test_a_retry_and_a_purge_at_once() -> None:
    async with world({"a": fail}) as w:
        await w.define(node("a"))
        run = await w.finish()

        async def retry() -> None:
            await w.engine.retry(NS, run.run_id)

        once(w.faults.before, "queue.send", retry)
        with pytest.raises(Conflict, match="RUNNING and goes on"):
            await w.engine.operations.purge(NS, run.run_id)
        await w.drive()
        assert (await check(w, run.run_id)).epoch == 1


async def test_a_long_purge_goes_on_in_rounds_and_is_taken_up_by_the_sweeper() -> None:
    async with world({"a": count_to(30), "b": count_to(3), "c": give_inputs}) as w:
        await w.define(
            node("a", "b"), node("b", "c", x="${{ a.outputs.x }}"), node("c", y="${{ b.outputs.x }}")
        )
        run = await w.finish()
        view = await w.engine.operations.purge(NS, run.run_id, seconds=0)
        assert not view.complete
        assert left(w, run.run_id)
        with pytest.raises(NotFound):
            await w.view(run.run_id)
        assert not (await w.engine.operations.purge(NS, run.run_id)).complete
        await w.lose_messages()

        async def slow() -> None:
            w.clock.advance(31)

        once(w.faults.before, "table.query", slow, where=lambda call: "#b#" in call.arguments[0].pk)
        report = await w.engine.sweep()
        assert (report.complete, report.purged) == (True, 0)
        assert left(w, run.run_id)
        assert (await w.engine.sweep()).purged == 1
        await gone(w, run.run_id)
        assert (await w.engine.sweep()).looked_at == 0


async def test_many_runs() -> None:
    async with world({"a": give(), "b": lambda _: Awaiting("go")}) as w:
        await w.define(node("a"))
        await w.define(node("b"), name="waits")
        runs = [(await w.finish()).run_id for _ in range(3)]
        await w.start("waits")
        await w.drive()
        tried = await w.engine.operations.bulk(NS, Action.PURGE, RunFilter(), dry_run=True)
        assert (tried.matched, set(tried.done)) == (3, set(runs))
        done = await w.engine.operations.bulk(NS, Action.PURGE, RunFilter())
        assert set(done.done) == set(runs)
        await w.drive()
        for run in runs:
            await gone(w, run)
        refused = await w.engine.operations.bulk(NS, Action.PURGE, RunFilter(status="WAITING"))
        assert [each.code for each in refused.refused] == ["conflict"]


async def test_commands_that_come_late() -> None:
    async with world({"a": broken_until(1)}) as w:
        await w.define(node("a"))
        run = await w.finish()
        await w.engine.retry(NS, run.run_id)
        await w.drive()
        await w.send_command(CommandKind.PURGE, run.run_id, epoch=0)
        await w.send_command(CommandKind.PURGE, "nobody", epoch=0)
        await w.drive()
        assert (await check(w, run.run_id)).status == "SUCCEEDED"
        await w.engine.operations.purge(NS, run.run_id)
        for kind in (CommandKind.CANCEL, CommandKind.DEADLINE):
            await w.send_command(kind, run.run_id)
        for kind in (CommandKind.PAUSE, CommandKind.RESUME):
            await w.send_command(kind, run.run_id, control=0)
        await w.send_command(CommandKind.RETRY, run.run_id, epoch=2)
        await w.drive()
        await gone(w, run.run_id)
