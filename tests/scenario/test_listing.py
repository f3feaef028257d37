"""Lists of states and runs: any page size gives the same sequence."""

from __future__ import annotations

import base64
import json
import random
from typing import Any

import pytest

from karman_core.domain.errors import InvalidRequest, NotFound
from karman_core.domain.outcome import Awaiting
from karman_core.engine.views import RunView
from tests.scenario.groups import DEEP, group_nodes, group_scripts
from tests.scenario.harness import NS, World, node, world
from tests.scenario.nodes import count_to, fail, give, give_inputs

DAY = 86_400


def nested(strategy: str) -> list[Any]:
    return [
        node("r", "a"),
        node("a", "b", "d"),
        node("b", "c"),
        node("c", "v", x="${{ a.outputs.x }}"),
        node("v", "u", unites="b", strategy=strategy),
        node("d", "u"),
        node("u", "z", unites="a", strategy=strategy),
        node("z"),
    ]


SCRIPTS: dict[str, Any] = {
    **dict.fromkeys("rvduz", give()),
    "a": count_to(3),
    "b": count_to(5, "y"),
    "c": give_inputs,
}


async def pages(w: World, run_id: str, **options: Any) -> list[str]:
    found: list[str] = []
    cursor = None
    while True:
        page = await w.engine.list_states(NS, run_id, cursor=cursor, **options)
        assert len(page.states) <= options["limit"]
        assert page.states or cursor is None
        found += [state.state_id for state in page.states]
        cursor = page.cursor
        if cursor is None:
            return found


@pytest.mark.parametrize("strategy", ["ALL_SUCCESS", "ANY_SUCCESS"])
@pytest.mark.parametrize("progress", [0, 2, 9, 1000])
async def test_every_page_size_gives_the_states_in_one_order(strategy: str, progress: int) -> None:
    async with world(SCRIPTS, settings=DEEP) as w:
        w.order = random.Random(1)
        await w.define(*nested(strategy))
        run_id = await w.start()
        for _ in range(progress):
            if not await w.work():
                break
        every = await w.states(run_id)
        expected = [state.state_id for state in every]
        assert len(set(expected)) == len(expected)
        for limit in range(1, len(expected) + 2):
            assert await pages(w, run_id, limit=limit) == expected
        for identifier in SCRIPTS:
            some = [state.state_id for state in every if state.identifier == identifier]
            for limit in (1, 2, 100):
                assert await pages(w, run_id, limit=limit, identifier=identifier) == some
        for status in ("SUCCEEDED", "QUEUED"):
            some = [state.state_id for state in every if state.status == status]
            assert await pages(w, run_id, limit=3, status=status) == some


async def test_states_come_in_the_order_of_their_branches() -> None:
    async with world(SCRIPTS, settings=DEEP) as w:
        w.order = random.Random(2)
        await w.define(*nested("ALL_SUCCESS"))
        run = await w.finish()
        found = [(state.branch, state.number, state.identifier) for state in await w.states(run.run_id)]
        branches = []
        for index in range(6):
            if index % 2 == 0:
                branches += [
                    (f"1.{index}", 0, "b"),
                    *[(f"1.{index}/0.{y}", 0, "c") for y in range(5)],
                    (f"1.{index}", 1, "v"),
                ]
            else:
                branches += [(f"1.{index}", 0, "d")]
        assert found == [("", 0, "r"), ("", 1, "a"), *branches, ("", 2, "u"), ("", 3, "z")]


@pytest.mark.parametrize("limit", [0, -1, 1001])
async def test_limits_out_of_range_are_refused(limit: int) -> None:
    async with world({"a": give()}) as w:
        await w.define(node("a"))
        run = await w.finish()
        with pytest.raises(InvalidRequest):
            await w.engine.list_states(NS, run.run_id, limit=limit)
        with pytest.raises(InvalidRequest):
            await w.engine.list_runs(NS, limit=limit)
        with pytest.raises(NotFound):
            await w.engine.list_states("other", run.run_id)


def encoded(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


CURSORS = [
    "x", "", "é", "[]", encoded(1), encoded([]), encoded(["a", "b"]), encoded([None, None]), encoded(["", None]),
    encoded([{}, []]), encoded(["x.y", 1]), encoded([10**40, None]), encoded(["", "1.5"]), encoded([20454, "zz"]),
    encoded([20454, 5]),
]  # fmt: skip


@pytest.mark.parametrize("cursor", CURSORS)
async def test_a_cursor_that_no_list_gave_is_refused(cursor: str) -> None:
    async with world({"a": give()}) as w:
        await w.define(node("a"))
        run = await w.finish()
        with pytest.raises(InvalidRequest):
            await w.engine.list_states(NS, run.run_id, cursor=cursor)
        with pytest.raises(InvalidRequest):
            await w.engine.list_runs(NS, cursor=cursor)


async def listed(w: World, limit: int, **filters: Any) -> list[RunView]:
    found: list[RunView] = []
    cursor = None
    while True:
        page = await w.engine.list_runs(NS, limit=limit, cursor=cursor, **filters)
        assert len(page.runs) <= limit
        found += page.runs
        cursor = page.cursor
        if cursor is None:
            return found


async def many_runs(w: World) -> list[str]:
    """Runs of two graphs over some days, oldest first."""
    await w.define(node("a"))
    await w.define(node("b"), name="h")
    await w.define(node("c"), name="w")
    made: list[str] = []
    for day in (0, 0, 0, 0, 1, 1, 4, 4, 4):
        w.clock.advance_to(1_767_225_600_000 + day * DAY * 1000 + len(made))
        made.append(await w.start("gh"[len(made) % 2] if len(made) != 5 else "w"))
        await w.work()
    return made


@pytest.mark.parametrize("limit", range(1, 11))
async def test_every_page_size_gives_the_runs_newest_first(limit: int) -> None:
    async with world({"a": give(), "b": fail, "c": lambda _: Awaiting("go")}) as w:
        made = await many_runs(w)
        views = {run_id: await w.view(run_id) for run_id in made}
        newest = list(reversed(made))
        assert [run.run_id for run in await listed(w, limit)] == newest
        for graph in ("g", "h", "w", "none"):
            assert [run.run_id for run in await listed(w, limit, graph=graph)] == [
                run_id for run_id in newest if views[run_id].graph == graph
            ]
        for status in ("SUCCEEDED", "FAILED", "RUNNING", "WAITING", "CANCELLED"):
            some = [run.run_id for run in await listed(w, limit, status=status)]
            assert some == [run_id for run_id in newest if views[run_id].status == status]
        since = views[made[4]].created_ms
        assert [run.run_id for run in await listed(w, limit, since_ms=since)] == newest[:5]
        assert [
            run.run_id for run in await listed(w, limit, since_ms=since, graph="g", status="SUCCEEDED")
        ] == [run_id for run_id in newest[:5] if views[run_id].graph == "g"]


async def test_a_run_that_waits_is_listed_as_waiting() -> None:
    async with world({"a": lambda _: Awaiting("go")}) as w:
        await w.define(node("a"))
        run_id = await w.start()
        await w.drive()
        assert [run.run_id for run in await listed(w, 10, status="WAITING")] == [run_id]


async def test_to_list_few_runs_costs_few_queries() -> None:
    async with world({"a": give()}) as w:
        await w.define(node("a"))
        await w.finish()
        before = dict(w.backend.table.consumed.calls)
        await listed(w, 50)
        assert w.backend.table.consumed.calls["query"] - before.get("query", 0) <= 50


async def test_another_namespace_sees_nothing() -> None:
    async with world(group_scripts("s")) as w:
        await w.define(*group_nodes("ALL_DONE"))
        await w.finish()
        assert (await w.engine.list_runs("other")).runs == ()
        assert (await w.engine.list_runs("n")).runs == ()


async def test_what_a_list_shows_of_a_run() -> None:
    async with world({"a": give(x=1)}) as w:
        await w.define(node("a"))
        run = await w.finish(inputs={"n": 1}, tags={"team": "x"}, idempotency_key="k")
        (row,) = await listed(w, 5)
        assert (row.inputs, row.tags, row.idempotency_key, row.totals) == (
            {"n": 1},
            {"team": "x"},
            "k",
            run.totals,
        )
