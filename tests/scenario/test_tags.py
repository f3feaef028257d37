"""Tags: given, declared of inputs, declared of what a run gives; and finding runs by them."""

from __future__ import annotations

from typing import Any

import pytest

from karman_core.domain.errors import Conflict, InvalidInput, InvalidRequest
from karman_core.domain.outcome import Awaiting
from karman_core.engine import EngineSettings, keys, listing
from karman_core.ports.table import Query
from tests.scenario.clock import START_MS
from tests.scenario.faults import Crashed, once
from tests.scenario.harness import NS, World, node, world
from tests.scenario.nodes import fail, give, give_inputs

DAY_MS = 86_400_000


async def found(w: World, limit: int = 50, **filters: Any) -> list[str]:
    runs: list[str] = []
    cursor = None
    while True:
        page = await w.engine.list_runs(NS, limit=limit, cursor=cursor, **filters)
        assert len(page.runs) <= limit
        runs += [run.run_id for run in page.runs]
        cursor = page.cursor
        if cursor is None:
            return runs


async def entries(w: World, name: str, value: str) -> list[Any]:
    return list((await w.backend.table.query(Query(keys.tagged(NS, name, value)))).items)


@pytest.mark.parametrize("limit", [1, 2, 3, 50])
async def test_runs_are_found_by_all_of_their_tags_over_days(limit: int) -> None:
    async with world({"a": give(), "b": fail}) as w:
        await w.define(node("a"))
        await w.define(node("b"), name="h")
        runs = []
        for number in range(9):
            w.clock.advance_to(START_MS + number * DAY_MS // 2)
            tags = {"parity": "eo"[number % 2], "third": str(number % 3), "odd: name"[:3]: "x:y,z ü"}
            runs.append(await w.start("gh"[number == 4], tags=tags))
            await w.drive()
        runs.reverse()
        even, sixes = runs[::2], [runs[8], runs[2]]
        assert await found(w, limit, tags={"odd": "x:y,z ü"}) == runs
        assert await found(w, limit, tags={"parity": "e"}) == even
        assert await found(w, limit, tags={"third": "0", "parity": "e"}) == [runs[2], runs[8]]
        assert await found(w, limit, tags={"parity": "e", "third": "0"}) == sorted(sixes, key=runs.index)
        assert await found(w, limit, tags={"parity": "e"}, graph="h") == [runs[4]]
        assert await found(w, limit, tags={"parity": "e"}, status="FAILED") == [runs[4]]
        assert await found(w, limit, tags={"parity": "e"}, status="RUNNING") == []
        since, until = START_MS + DAY_MS, START_MS + 3 * DAY_MS
        assert await found(w, limit, tags={"parity": "e"}, since_ms=since, until_ms=until) == even[2:4]
        assert await found(w, limit, tags={"parity": "e"}, since_ms=until, until_ms=since) == []
        assert await found(w, limit, tags={"parity": "x"}) == []
        assert await found(w, limit, tags={"parity": "e", "more": "x"}) == []
        assert (await w.engine.list_runs("other", tags={"parity": "e"})).runs == ()


async def test_listing_by_a_rare_tag_looks_at_its_runs_alone() -> None:
    async with world({"a": give()}) as w:
        await w.define(node("a"))
        wanted = await w.start(tags={"t": "rare"})
        for _ in range(30):
            await w.start(tags={"t": "common"})
        before = dict(w.backend.table.consumed.calls)
        assert await found(w, tags={"t": "rare"}) == [wanted]
        calls = w.backend.table.consumed.calls
        assert {name: calls[name] - before.get(name, 0) for name in ("query", "batch_get")} == {
            "query": 1,
            "batch_get": 1,
        }


async def test_runs_without_tags_write_no_entries() -> None:
    async with world({"a": give()}) as w:
        await w.define(node("a"))
        await w.finish()
        before = w.backend.table.consumed.calls["batch_write"]
        await w.finish()
        assert w.backend.table.consumed.calls["batch_write"] == before


async def test_inputs_become_tags_when_the_run_begins() -> None:
    async with world({"a": give_inputs}) as w:
        declared = {"customer": "${{ initial.inputs.who.name }}", "level": "${{ initial.inputs.level }}"}
        await w.define(node("a", level=3), tags=declared)
        run_id = await w.start(inputs={"who": {"name": "Ada"}}, tags={"mine": "1"})
        assert (await w.view(run_id)).tags == {"customer": "Ada", "level": "3", "mine": "1"}
        assert await found(w, tags={"customer": "Ada"}) == [run_id]
        assert await found(w, tags={"level": "3", "mine": "1"}) == [run_id]
        other = await w.start(inputs={"who": {"name": "B" * 300}, "level": None}, tags={"customer": "Ada"})
        assert (await w.view(other)).tags == {
            "customer": "Ada"
        }  # what is given comes before what is declared
        assert await found(w, tags={"customer": "Ada"}) == [other, run_id]
        long = await w.start(inputs={"who": {"name": "B" * 300}})
        assert await found(w, tags={"customer": "B" * 300}) == [long]


async def test_a_key_finds_its_run_whatever_the_graph_declares_by_now() -> None:
    async with world({"a": give_inputs}) as w:
        await w.define(node("a"))
        run_id = await w.start(inputs={"x": 1}, idempotency_key="k")
        await w.define(node("a"), tags={"x": "${{ initial.inputs.x }}"})
        assert await w.start(inputs={"x": 1}, idempotency_key="k") == run_id
        assert (await w.view(run_id)).tags == {}


OUTPUTS = {
    "verdict": "${{ b.outputs.verdict }}",
    "first": "${{ a.outputs.x }}",
    "region": "${{ store.region }}",
    "nothing": "${{ b.outputs.nothing }}",
    "missing": "${{ b.outputs.missing }}",
    "given": "${{ a.outputs.x }}",
    "customer": "${{ initial.inputs.customer }}",
}


async def declare_outputs(w: World) -> None:
    await w.define(
        node("a", "b"), node("b"), tags=OUTPUTS, store_config={"default_values": {"region": {"n": 1}}}
    )


def scripts(last: Any = None) -> dict[str, Any]:
    return {"a": give(x=7), "b": last or give(verdict="good", nothing=None)}


async def test_outputs_become_tags_when_the_run_has_succeeded() -> None:
    async with world(scripts()) as w:
        await declare_outputs(w)
        run_id = await w.start(inputs={"customer": "Ada"}, tags={"given": "mine"})
        assert (await w.view(run_id)).tags == {"given": "mine", "customer": "Ada"}
        await w.drive()
        assert (await w.view(run_id)).tags == {
            "given": "mine",
            "customer": "Ada",
            "verdict": "good",
            "first": "7",
            "region": '{"n":1}',
        }
        assert await found(w, tags={"verdict": "good", "customer": "Ada"}) == [run_id]
        assert await found(w, tags={"customer": "Ada", "first": "7"}) == [run_id]
        told = [each.event for each in w.backend.events.read() if each.event.kind == "run.succeeded"]
        assert told[-1].detail["tags"]["verdict"] == "good"


async def test_a_run_that_fails_has_no_tags_of_outputs() -> None:
    async with world(scripts(fail)) as w:
        await declare_outputs(w)
        run = await w.finish(inputs={"customer": "Ada"})
        assert (run.status, run.tags) == ("FAILED", {"customer": "Ada"})
        assert await found(w, tags={"first": "7"}) == []
        assert await found(w, tags={"customer": "Ada"}, status="FAILED") == [run.run_id]


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("name", ["table.batch_write", "table.put", "queue.send"])
async def test_a_crash_at_the_begin_loses_no_tag(name: str, moment: str) -> None:
    async with world({"a": give_inputs}) as w:
        await w.define(node("a"), tags={"x": "${{ initial.inputs.x }}"})
        await w.finish()  # so that the day is noted, and the tags' are the only batch
        api = w.other_worker()
        await api.trigger(NS, "g")

        async def die() -> None:
            raise Crashed

        once(w.faults.after if moment == "after" else w.faults.before, name, die)
        with pytest.raises(Crashed):
            await api.trigger(NS, "g", inputs={"x": 1}, tags={"t": "1"})
        await w.drive()
        sent = not (name == "queue.send" and moment == "before")
        runs = await found(w, tags={"x": "1", "t": "1"})
        assert len(runs) == int(sent)
        assert all([(await w.view(run_id)).status == "SUCCEEDED" for run_id in runs])


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("call", ["table.batch_write", "table.update", "events.publish"])
async def test_a_crash_at_the_end_loses_no_tag(call: str, moment: str) -> None:
    async with world(scripts()) as w:
        await declare_outputs(w)
        run_id = await w.start(inputs={"customer": "Ada"})

        async def done() -> bool:
            record = next(iter(await w.states(run_id, identifier="b")), None)
            return record is not None and record.status == "SUCCEEDED"

        async def die() -> None:
            raise Crashed

        armed: list[bool] = []

        async def arm(_: Any) -> None:
            if not armed and await done():
                armed.append(True)
                once(w.faults.after if moment == "after" else w.faults.before, call, die)

        w.faults.after.append(arm)
        await w.drive()
        assert armed
        run = await w.view(run_id)
        assert (run.status, run.tags["verdict"], run.tags["customer"]) == ("SUCCEEDED", "good", "Ada")
        assert await found(w, tags={"verdict": "good", "first": "7"}) == [run_id]


async def test_an_entry_counts_only_if_the_header_says_the_same() -> None:
    async with world({"a": give_inputs}) as w:
        await w.define(node("a"))

        async def other() -> None:
            w.clock.advance(5)
            await w.engine.trigger(
                NS, "g", inputs={"x": 2}, tags={"t": "2", "both": "1"}, idempotency_key="k"
            )

        once(w.faults.before, "queue.send", other)
        with pytest.raises(Conflict):
            await w.start(inputs={"x": 1}, tags={"t": "1", "both": "1"}, idempotency_key="k")
        (run_id,) = await found(w)
        await w.drive()
        assert await found(w, tags={"t": "1"}) == []
        assert await found(w, tags={"t": "2"}) == await found(w, tags={"both": "1"}) == [run_id]


async def test_a_run_that_expired_is_passed_over() -> None:
    async with world({"a": give()}) as w:
        await w.define(node("a"))
        gone, kept = await w.start(tags={"t": "1"}), await w.start(tags={"t": "1"})
        await w.backend.table.delete(keys.run(NS, gone))
        assert await found(w, 1, tags={"t": "1"}) == [kept]


async def test_entries_live_as_long_as_the_header() -> None:
    settings = EngineSettings(retention_seconds=10 * 86_400)
    async with world({"a": lambda e: {} if e.resumed else Awaiting("go")}, settings=settings) as w:
        await w.define(node("a"))
        run_id = await w.start(tags={"t": "1"})
        await w.work()
        w.clock.advance(6 * 86_400)
        assert (await w.engine.sweep()).prolonged == 1
        (entry,) = await entries(w, "t", "1")
        assert entry["ttl"] == w.clock.now_ms() // 1000 + settings.retention_seconds
        w.clock.advance(86_400)
        await w.engine.signal(NS, run_id, "go")
        await w.drive()
        (entry,) = await entries(w, "t", "1")
        header = await w.backend.table.get(keys.run(NS, run_id))
        assert header is not None
        assert entry["ttl"] == header["ttl"]


async def test_a_list_whose_filters_let_few_pass_goes_on_at_its_cursor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listing, "MAX_LOOKED_AT", 4)
    async with world({"a": give()}) as w:
        await w.define(node("a"))
        wanted = await w.start(tags={"all": "1", "few": "1"})
        for _ in range(10):
            await w.start(tags={"all": "1"})
        page = await w.engine.list_runs(NS, tags={"all": "1", "few": "1"})
        assert (page.runs, page.cursor is None) == ((), False)
        assert await found(w, tags={"all": "1", "few": "1"}) == [wanted]
        assert await found(w, status="CANCELLED") == []
        page = await w.engine.list_runs(NS, status="CANCELLED")
        assert (page.runs, page.cursor is None) == ((), False)


async def test_runs_until_a_time() -> None:
    async with world({"a": give()}) as w:
        await w.define(node("a"))
        runs = []
        for day in range(4):
            w.clock.advance_to(START_MS + day * DAY_MS)
            runs.append(await w.start())
        runs.reverse()
        for limit in (1, 2, 50):
            for graph in (None, "g"):
                assert await found(w, limit, until_ms=START_MS + 2 * DAY_MS, graph=graph) == runs[2:]
                assert await found(w, limit, until_ms=START_MS + 2 * DAY_MS + 1, graph=graph) == runs[1:]
                some = {"since_ms": START_MS + DAY_MS, "until_ms": START_MS + 3 * DAY_MS}
                assert await found(w, limit, graph=graph, **some) == runs[1:3]
        assert await found(w, until_ms=0) == await found(w, since_ms=2**53) == []
        assert await found(w, until_ms=2**53) == runs


async def test_tags_that_cannot_be_are_refused() -> None:
    async with world({"a": give()}) as w:
        await w.define(node("a"))
        for tags in ({"": "x"}, {"a:b": "x"}, {"a": "x" * 257}):
            with pytest.raises(InvalidInput) as refused:
                await w.start(tags=tags)
            assert [problem.code for problem in refused.value.problems] == ["invalid_tag"]
        with pytest.raises(InvalidRequest):
            await w.engine.list_runs(NS, tags={"a": "b"}, cursor="eA==")
