"""Progress of groups: exact at any time, from join items alone, in any epoch."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from karman_core.domain.errors import InvalidRequest, NotFound
from karman_core.domain.outcome import Awaiting
from karman_core.engine import EngineSettings, group_reading
from karman_core.engine.views import GroupView
from karman_core.ports.executor import Execution
from tests.scenario.faults import Call
from tests.scenario.groups import DEEP, group_nodes, group_scripts
from tests.scenario.harness import NS, World, node, world
from tests.scenario.nodes import count_to, give, give_inputs


async def groups(w: World, run_id: str, limit: int = 100, **options: Any) -> list[GroupView]:
    found: list[GroupView] = []
    cursor = None
    while True:
        page = await w.engine.list_groups(NS, run_id, limit=limit, cursor=cursor, **options)
        assert len(page.groups) <= limit
        found += page.groups
        cursor = page.cursor
        if cursor is None:
            return found


def numbers(group: GroupView) -> tuple[int, int, int, int, int]:
    return group.width, group.succeeded, group.failed, group.pruned, group.open


@pytest.mark.parametrize("settings", [EngineSettings(), DEEP], ids=["plain", "deep"])
@pytest.mark.parametrize("strategy", ["ALL_SUCCESS", "ALL_DONE", "ANY_SUCCESS"])
@pytest.mark.parametrize("width", [1, 4, 5, 17, 70])
async def test_while_it_goes_on_and_in_the_end(settings: EngineSettings, strategy: str, width: int) -> None:
    rng = random.Random(width)
    endings = "".join(rng.choice("ssfp") for _ in range(width))
    async with world(group_scripts(endings), settings=settings) as w:
        w.order = rng
        await w.define(*group_nodes(strategy))
        run_id = await w.start()
        seen = 0
        while await w.work() or w.skip_time():
            told = await groups(w, run_id)
            if told:
                states = await w.states(run_id, identifier="b")
                done = Counter(state.status for state in states)
                (group,) = told
                assert numbers(group)[1:4] == (done["SUCCEEDED"], done["FAILED"], done["PRUNED"])
                assert sum(numbers(group)[1:]) == width
                assert group.ended == (group.open == 0)
                seen += 1
        (group,) = await groups(w, run_id)
        count = Counter(endings)
        assert numbers(group) == (width, count["s"], count["f"], count["p"], 0)
        assert (group.state_id, group.identifier, group.united_by) == (f"{run_id}--0", "a", ("u",))
        assert seen
        assert await w.engine.get_group(NS, run_id, f"{run_id}--0") == group


async def test_branches_are_not_read() -> None:
    async with world(group_scripts("s" * 40 + "f"), settings=DEEP) as w:
        await w.define(*group_nodes("ALL_SUCCESS"))
        run_id = await w.start()
        await w.drive()
        read: list[str] = []

        async def note(call: Call) -> None:
            read.append(repr(call.arguments))

        api = w.api()
        w.faults.before.append(note)
        page = await api.list_groups(NS, run_id)
        w.faults.before.clear()
        assert numbers(page.groups[0]) == (41, 40, 1, 0, 0)
        assert not [each for each in read if "#b#0.0" in each]
        assert len(read) <= 6


async def test_later_epochs() -> None:
    bad = {3, 9, 21}

    def script(execution: Execution) -> Any:
        if execution.turn == 0 and execution.inputs["x"] in bad:
            raise ValueError
        return Awaiting("go") if execution.turn == 1 and execution.inputs["x"] in bad else {}

    async with world({"a": count_to(23), "b": script, "u": give()}, settings=DEEP) as w:
        await w.define(
            node("a", "b"),
            node("b", "u", x="${{ a.outputs.x }}", retry_policy={"max_retries": 0}),
            node("u", unites="a"),
        )
        run = await w.finish()
        (group,) = await groups(w, run.run_id)
        assert (numbers(group), group.ended) == ((23, 20, 3, 0, 0), True)
        await w.engine.operations.retry_state(NS, run.run_id, f"{run.run_id}-0.9-0")
        await w.drive()
        (group,) = await groups(w, run.run_id)
        assert (numbers(group), group.ended) == ((23, 20, 2, 0, 1), False)
        await w.engine.signal(NS, run.run_id, "go")
        await w.drive()
        (group,) = await groups(w, run.run_id)
        assert (numbers(group), group.ended) == ((23, 21, 2, 0, 0), True)
        await w.engine.retry(NS, run.run_id)
        await w.drive()
        (group,) = await groups(w, run.run_id)
        assert numbers(group) == (23, 21, 0, 0, 2)
        await w.engine.cancel(NS, run.run_id)
        (group,) = await groups(w, run.run_id)
        assert (numbers(group), group.ended) == ((23, 21, 0, 0, 2), True)


NESTED = [
    node("r", "a"),
    node("a", "b"),
    node("b", "c"),
    node("c", "v", x="${{ a.outputs.x }}"),
    node("v", "u", unites="b", strategy="ANY_SUCCESS"),
    node("u", "z", unites="a", strategy="ANY_SUCCESS"),
    node("z", "e"),
    node("e"),
]
NESTED_SCRIPTS: dict[str, Any] = {
    **dict.fromkeys("rvue", give()),
    "a": count_to(5),
    "b": count_to(3, "y"),
    "c": give_inputs,
    "z": count_to(2),
}


@pytest.mark.parametrize("limit", [1, 2, 100])
async def test_nested_groups_and_those_behind_a_unite_of_any_success(limit: int) -> None:
    async with world(NESTED_SCRIPTS, settings=DEEP) as w:
        await w.define(*NESTED)
        run = await w.finish()
        top = await groups(w, run.run_id, limit)
        assert [(group.identifier, group.width, group.succeeded) for group in top] == [
            ("a", 5, 5),
            ("z", 2, 2),
        ]
        inside = await groups(w, run.run_id, limit, parent=top[0].state_id)
        assert [(group.identifier, numbers(group)) for group in inside] == [("b", (3, 3, 0, 0, 0))] * 5
        assert [group.state_id for group in inside] == [f"{run.run_id}-1.{index}-0" for index in range(5)]
        assert await groups(w, run.run_id, limit, parent=inside[0].state_id) == []
        assert await groups(w, run.run_id, limit, parent=top[1].state_id) == []
        assert top[1].united_by == ()


async def test_a_wide_parent_is_looked_into_a_page_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_reading, "_LOOKED_AT", 100)
    async with world(
        {"a": count_to(150), "b": lambda e: count_to(2 if e.inputs["x"] == 130 else 1)(e), "c": give()}
    ) as w:
        await w.define(node("a", "b"), node("b", "c", x="${{ a.outputs.x }}"), node("c"))
        run = await w.finish()
        first = await w.engine.list_groups(NS, run.run_id, parent=f"{run.run_id}--0")
        assert (first.groups, first.cursor is None) == ((), False)
        (group,) = await groups(w, run.run_id, parent=f"{run.run_id}--0")
        assert (group.state_id, group.width) == (f"{run.run_id}-0.130-0", 2)


async def test_an_empty_group() -> None:
    async with world({"a": lambda _: [], "b": give(), "u": give()}) as w:
        await w.define(node("a", "b"), node("b", "u"), node("u", unites="a"))
        run = await w.finish()
        (group,) = await groups(w, run.run_id)
        assert (numbers(group), group.ended, group.united_by) == ((0, 0, 0, 0, 0), True, ("u",))


async def test_what_is_not_there() -> None:
    async with world(NESTED_SCRIPTS, settings=DEEP) as w:
        await w.define(*NESTED)
        run = await w.finish()
        for unknown in ("nobody--0", f"{run.run_id}--0", f"{run.run_id}--99", "-"):
            with pytest.raises(NotFound):
                await w.engine.get_group(NS, run.run_id, unknown)
            with pytest.raises(NotFound):
                await w.engine.list_groups(NS, run.run_id, parent=unknown)
        with pytest.raises(NotFound):
            await w.engine.list_groups(NS, "nobody")
        page = await w.engine.list_groups(NS, run.run_id, limit=1)
        for cursor in ("x", page.cursor):
            with pytest.raises(InvalidRequest):
                await w.engine.list_groups(NS, run.run_id, parent=f"{run.run_id}--1", cursor=cursor)
        with pytest.raises(InvalidRequest):
            await w.engine.list_groups(NS, run.run_id, limit=0)


@pytest.mark.parametrize("strategy", ["ALL_SUCCESS", "ANY_SUCCESS"])
async def test_states_of_a_branch_and_below_it_and_single_ones(strategy: str) -> None:
    nodes = [*NESTED[:4], node("v", "u", unites="b", strategy=strategy), *NESTED[5:]]
    async with world(NESTED_SCRIPTS, settings=DEEP) as w:
        await w.define(*nodes)
        run_id = await w.start()
        for _ in range(4):
            await w.work()
        for _ in range(2):
            states = await w.states(run_id)
            for state in states:
                assert await w.engine.get_state(NS, run_id, state.state_id) == state
            for path in {state.branch for state in states}:
                below = [s for s in states if s.branch == path or s.branch.startswith(f"{path}/") or not path]
                assert await w.states(run_id, branch=path) == below
                one_by_one = await w.states(run_id, branch=path, limit=1)
                assert one_by_one == below
            await w.drive()
        assert await w.states(run_id, branch="7.1/2.3") == []
        with pytest.raises(InvalidRequest):
            await w.states(run_id, branch="1.")
        for unknown in (f"{run_id}-9.9-0", f"{run_id}--99", "nobody--0", "-"):
            with pytest.raises(NotFound):
                await w.engine.get_state(NS, run_id, unknown)
