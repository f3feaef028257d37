"""A new run from a state of another: what came before is reused and not executed again, all else is as in any run."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from karman_core.domain.branches import parse_state_id
from karman_core.domain.definition import RegisteredNode
from karman_core.domain.errors import Conflict, InvalidInput, NotFound, PayloadTooLarge
from karman_core.domain.outcome import Errored, StoreAppend, StoreDelete, StoreIncrement, StoreSet
from karman_core.engine import EngineSettings
from karman_core.engine.views import StateView
from karman_core.ports.executor import Execution
from tests.scenario.epochs import broken_until, retry
from tests.scenario.groups import DEEP
from tests.scenario.harness import NS, node, world
from tests.scenario.nodes import choose, count_to, fail, give, give_inputs, then
from tests.scenario.reruns import GROUP, GROUP_SCRIPTS, exact, rerun


def reused(states: list[StateView]) -> list[str]:
    return [state.identifier for state in states if state.reused_from is not None]


CHAIN = [
    node("a", "b"),
    node("b", "c", x="${{ a.outputs.x }}"),
    node("c", "d", x="${{ b.outputs.x }}", k="${{ a.outputs.k }}"),
    node("d", x="${{ c.outputs.x }}", k="${{ a.outputs.k }}"),
]
CHAIN_SCRIPTS: dict[str, Any] = {"a": give(x=1, k="k"), **dict.fromkeys("bcd", give_inputs)}


async def test_of_a_graph_that_was_deleted_no_run_begins() -> None:
    async with world(CHAIN_SCRIPTS) as w:
        await w.define(*CHAIN)
        old = await w.finish()
        await w.engine.delete_graph(NS, "g")
        with pytest.raises(NotFound, match="g"):
            await w.engine.operations.rerun(NS, old.run_id, "b")
        assert w.messages_left() == 0


@pytest.mark.parametrize("start", ["a", "b", "c", "d"])
@pytest.mark.parametrize("by", ["identifier", "id"])
async def test_a_chain_from_any_state(start: str, by: str) -> None:
    async with world(
        CHAIN_SCRIPTS, settings=EngineSettings(carried_value_bytes=2, inline_payload_bytes=5)
    ) as w:
        await w.define(*CHAIN)
        old = await w.finish(inputs={}, tags={"t": "v"}, timeout_ms=10_000)
        w.clock.advance(60)
        number = "abcd".index(start)
        run = await rerun(w, old.run_id, start if by == "identifier" else f"{old.run_id}--{number}")
        assert (run.status, run.result, run.graph_version) == ("SUCCEEDED", {"x": 1, "k": "k"}, 1)
        assert (run.rerun_of, run.tags, run.deadline_ms - run.created_ms) == (old.run_id, {"t": "v"}, 10_000)
        states = await w.states(run.run_id)
        assert [state.identifier for state in states] == list("abcd")
        assert reused(states) == list("abcd")[:number]
        assert [state.outputs for state in states] == [s.outputs for s in await w.states(old.run_id)]
        assert run.totals.turns == 4 - number
        assert w.executor.executed == {name: 1 + (place >= number) for place, name in enumerate("abcd")}
        first = await w.engine.get_state(NS, run.run_id, f"{run.run_id}--0")
        assert first == states[0]
        assert (await w.view(old.run_id)) == old


LISTS = [[x * 10 + y for y in range(5)] for x in range(6)]


@pytest.mark.parametrize("settings", [EngineSettings(), DEEP], ids=["plain", "deep"])
@pytest.mark.parametrize("start", ["u", "y", "z"])
async def test_lists_over_the_branches_of_a_reused_group(settings: EngineSettings, start: str) -> None:
    async with world(GROUP_SCRIPTS, settings=settings) as w:
        w.executor.scripts["c"] = lambda e: {"y": e.inputs["x"] * 10 + e.inputs["y"]}
        await w.define(*GROUP, outputs={"all": "${{ v.outputs.ys }}", "n": "${{ r.outputs.n }}"})
        old = await w.finish()
        before = Counter(w.executor.executed)
        run = await rerun(w, old.run_id, start)
        assert run.result == old.result == {"all": LISTS, "n": 6}
        again = w.executor.executed - before
        assert again == dict.fromkeys("uyz"["uyz".index(start) :], 1)
        states = await w.states(run.run_id)
        assert run.totals.succeeded == len(states) == len(await w.states(old.run_id))
        (last,) = [state for state in states if state.identifier == "z"]
        assert last.outputs == ({"lists": LISTS, "all": LISTS},)
        inside = await w.states(run.run_id, branch="1.3")
        assert len(inside) == 1 + 5 + 1
        assert {state.reused_from for state in inside} == {old.run_id}


async def test_a_rerun_of_a_rerun_and_of_that() -> None:
    async with world(GROUP_SCRIPTS, settings=DEEP) as w:
        await w.define(*GROUP)
        old = await w.finish()
        run = old
        history = {0: old.run_id}
        for start in ["z", "y", "z", "z", "u", "z", "r", "z", "y"]:
            before = w.executor.executed["b"]
            new = await rerun(w, run.run_id, start)
            assert (new.status, new.result, new.totals.succeeded) == (
                "SUCCEEDED",
                old.result,
                old.totals.succeeded,
            )
            assert w.executor.executed["b"] == before + 6 * (start == "r")
            assert new.rerun_of == run.run_id
            run = new
            history = {0: run.run_id} if start == "r" else history
            states = await w.states(run.run_id)
            assert {s.reused_from for s in states if s.branch} == {None if start == "r" else history[0]}


async def test_groups_are_told_of_a_rerun() -> None:
    async with world(GROUP_SCRIPTS, settings=DEEP) as w:
        await w.define(*GROUP)
        old = await w.finish()
        run = await rerun(w, old.run_id, "y")
        for parent in (None, "--1"):
            shown = []
            for run_id in (old.run_id, run.run_id):
                page = await w.engine.list_groups(NS, run_id, parent=parent and f"{run_id}{parent}")
                shown.append([(g.state_id.removeprefix(run_id), g.width, g.succeeded) for g in page.groups])
            assert shown[0] == shown[1] != []


async def test_what_failed_is_run_again_from_a_state_before_it() -> None:
    async with world(
        {"a": count_to(9), "b": give_inputs, "u": give_inputs, "y": give_inputs, "z": broken_until(1)},
        settings=DEEP,
    ) as w:
        await w.define(
            node("a", "b"),
            node("b", "u", x="${{ a.outputs.x }}"),
            node("u", "y", unites="a", xs="${{ b.outputs.x }}"),
            node("y", "z", xs="${{ b.outputs.x }}"),
            node("z", x="${{ y.outputs.xs }}"),
        )
        old = await w.finish()
        assert old.status == "FAILED"
        new = await rerun(w, old.run_id, "y")
        assert (new.status, new.error) == ("FAILED", "z: Broken: turn 0")
        # It is a run as any: its failed state is retried, and what is reused counts once.
        await w.engine.operations.retry_state(NS, new.run_id, f"{new.run_id}--3")
        await w.drive()
        new = await exact(w, new.run_id)
        assert (new.status, new.epoch, new.result) == ("SUCCEEDED", 1, {"y": list(range(9)), "turn": 1})
        third = await rerun(w, new.run_id, "z")
        assert third.status == "FAILED"
        fourth = await w.engine.retry(NS, third.run_id)
        await w.drive()
        assert (await exact(w, fourth.run_id)).status == "SUCCEEDED"
        assert w.executor.executed == {"a": 1, "b": 9, "u": 1, "y": 2, "z": 5}


async def test_of_a_run_that_was_retried_over_many_epochs() -> None:
    chances = {x: x % 4 for x in range(23)}
    async with world(
        {
            "a": count_to(23),
            "b": lambda e: broken_until(chances[e.inputs["x"]])(e),
            **dict.fromkeys("uz", give_inputs),
        },
        settings=DEEP,
    ) as w:
        await w.define(
            node("a", "b"),
            node("b", "u", x="${{ a.outputs.x }}"),
            node("u", "z", unites="a", ys="${{ b.outputs.y }}"),
            node("z", ys="${{ b.outputs.y }}"),
        )
        old = await w.finish()
        while old.status == "FAILED":
            left = [s for s in await w.states(old.run_id) if s.status == "FAILED"]
            if old.epoch % 2:
                await w.engine.operations.retry_state(NS, old.run_id, left[0].state_id)
                await w.drive()
                old = await w.view(old.run_id)
            else:
                old = await retry(w, old.run_id)
        assert old.epoch > 3
        for start in "uz":
            run = await rerun(w, old.run_id, start)
            again = await rerun(w, run.run_id, start)
            for each in (run, again):
                assert (each.status, each.result) == ("SUCCEEDED", {"ys": list(range(23))})
                assert each.totals.succeeded == old.totals.succeeded
                group = await w.engine.get_group(NS, each.run_id, f"{each.run_id}--0")
                assert (group.succeeded, group.open) == (23, 0)


async def test_failures_in_a_reused_group_count_and_stay() -> None:
    async with world(
        {"a": count_to(5), "b": broken_until(9, when=lambda i: i["x"] == 2), "u": give_inputs}
    ) as w:
        await w.define(
            node("a", "b"),
            node("b", "u", x="${{ a.outputs.x }}"),
            node("u", unites="a", strategy="ALL_DONE", ys="${{ b.outputs.y }}"),
        )
        old = await w.finish()
        run = await rerun(w, old.run_id, "u")
        assert (run.status, run.result, run.totals.failed) == ("SUCCEEDED", {"ys": [0, 1, 3, 4]}, 1)


async def test_loops() -> None:
    """The last round of an identifier, or any by its id; rounds before count."""

    def think(execution: Execution) -> Any:
        rounds = (parse_state_id(execution.state_id)[2] - 1) // 2
        return choose("do" if rounds < 3 else "end", {"n": rounds})

    async with world(
        {"start": give(n=0), "think": think, "do": lambda _: choose("think"), "end": give_inputs}
    ) as w:
        await w.define(
            node("start", "think"),
            node("think", "do", "end", n="${{ start.outputs.n }}"),
            node("do", n="${{ think.outputs.n }}", loops=[{"to": "think", "max_rounds": 3}]),
            node("end", n="${{ think.outputs.n }}"),
        )
        old = await w.finish()
        names = [state.identifier for state in await w.states(old.run_id)]
        assert names == ["start", *["think", "do"] * 3, "think", "end"]
        run = await rerun(w, old.run_id, "think")
        states = await w.states(run.run_id)
        assert (run.status, len(reused(states))) == ("SUCCEEDED", 7)
        run = await rerun(w, old.run_id, f"{old.run_id}--3")
        states = await w.states(run.run_id)
        assert (run.status, len(reused(states))) == ("SUCCEEDED", 3)
        assert [state.identifier for state in states] == names


async def test_the_store_begins_with_the_values_of_now_and_from_the_first_state_with_those_of_the_trigger() -> (
    None
):
    def write(execution: Execution) -> Any:
        return then({}, StoreIncrement("n"), StoreSet("set", 2), StoreDelete("gone"), StoreAppend("list", 1))

    async with world({"a": write, "b": give_inputs, "c": write}) as w:
        await w.define(
            node("a", "b"),
            node("b", "c", n="${{ store.n }}"),
            node("c"),
            store_config={"default_values": {"n": 10, "gone": "default"}, "required_keys": ["given"]},
        )
        old = await w.finish(store={"given": 1, "set": 1, "list": [0], "gone": 3})
        assert await w.store(old.run_id) == {"n": 12, "given": 1, "set": 2, "list": [0, 1, 1]}
        run = await rerun(w, old.run_id, "b")
        assert (await w.state(run.run_id, "b")).outputs == ({"n": 12},)
        assert await w.store(run.run_id) == {"n": 13, "given": 1, "set": 2, "list": [0, 1, 1, 1]}
        run = await rerun(w, run.run_id, "a")
        assert (await w.state(run.run_id, "b")).outputs == ({"n": 11},)
        assert await w.store(run.run_id) == {"n": 12, "given": 1, "set": 2, "list": [0, 1, 1]}
        assert (await w.store(old.run_id))["n"] == 12


async def test_inputs_replace_the_trigger_s_and_are_checked_as_there() -> None:
    schema = {
        "type": "object",
        "properties": {"x": {"type": "integer"}, "t": {"type": "string"}},
        "required": ["x"],
    }
    async with world({"a": give_inputs, "b": give_inputs}) as w:
        await w.define(
            node("a", "b", x=0), node("b", x="${{ a.outputs.x }}"), tags={"x": "${{ initial.inputs.x }}"}
        )
        typed = RegisteredNode(name="a", runtime="rt", inputs_schema=schema)
        await w.engine.register_nodes(NS, [typed])
        old = await w.finish(inputs={"x": 1})
        run = await rerun(w, old.run_id, "a")
        assert (run.inputs, run.result, run.tags) == ({"x": 1}, {"x": 1}, {"x": "1"})
        run = await rerun(w, old.run_id, "a", inputs={"x": 2})
        assert (run.inputs, run.result, run.tags) == ({"x": 2}, {"x": 2}, {"x": "2"})
        operate = w.engine.operations.rerun
        for wrong in ({"x": "text"}, {"x": 1, "other": 2}):
            with pytest.raises(InvalidInput):
                await operate(NS, old.run_id, "a", inputs=wrong)
        with pytest.raises(PayloadTooLarge):
            await operate(NS, old.run_id, "a", inputs={"x": 1, "t": "t" * 300_000})
        assert w.messages_left() == 0


async def test_inputs_of_a_later_state_stand_in_place_of_what_it_would_read() -> None:
    """Of that state alone, however often it is tried, and of the same state when the rerun is run again."""
    schema = {"type": "object", "properties": {"x": {"type": "integer"}, "y": {}}, "required": ["x", "y"]}

    def second_attempt(execution: Execution) -> Any:
        return give_inputs(execution) if execution.attempt > 1 else Errored("Broken", "the first attempt")

    async with world({"a": give(x=1, y=2), "b": second_attempt, "c": give_inputs}) as w:
        await w.define(
            node("a", "b"),
            node("b", "c", x="${{ a.outputs.x }}", y="${{ a.outputs.y }}"),
            node("c", x="${{ b.outputs.x }}", y="${{ a.outputs.y }}"),
            tags={"t": "${{ initial.inputs.t }}"},
        )
        await w.engine.register_nodes(NS, [RegisteredNode(name="b", runtime="rt", inputs_schema=schema)])
        old = await w.finish(inputs={"t": "trigger"})
        first = await rerun(w, old.run_id, "b", inputs={"x": 3})
        assert (first.inputs, first.tags, first.result) == (
            {"t": "trigger"},
            {"t": "trigger"},
            {"x": 3, "y": 2},
        )
        same = await rerun(w, first.run_id, "b")
        before = await rerun(w, first.run_id, "a")
        after = await rerun(w, first.run_id, "c", inputs={"y": "changed"})
        assert [run.result for run in (same, before, after)] == [
            {"x": 3, "y": 2},
            {"x": 1, "y": 2},
            {"x": 3, "y": "changed"},
        ]
        operate = w.engine.operations.rerun
        for wrong in ({"x": "text"}, {"other": 2}):
            with pytest.raises(InvalidInput):
                await operate(NS, old.run_id, "b", inputs=wrong)
        with pytest.raises(PayloadTooLarge):
            await operate(NS, old.run_id, "c", inputs={"y": "t" * 262_120})
        assert w.messages_left() == 0


async def test_one_key_is_one_run() -> None:
    async with world(CHAIN_SCRIPTS) as w:
        await w.define(*CHAIN)
        old = await w.finish()
        operate = w.engine.operations.rerun
        first = await operate(NS, old.run_id, "c", idempotency_key="k")
        await w.drive()
        again = await operate(NS, old.run_id, "c", idempotency_key="k")
        assert (first.created, again.created, again.run_id) == (True, False, first.run_id)
        for start, inputs in (("b", None), ("c", {"x": 1})):
            with pytest.raises(Conflict, match="another request"):
                await operate(NS, old.run_id, start, inputs=inputs, idempotency_key="k")
        with pytest.raises(Conflict, match="another request"):
            await w.engine.trigger(NS, "g", idempotency_key="k")
        other = await operate(NS, old.run_id, "c")
        assert other.run_id != first.run_id


async def test_where_a_run_cannot_be_run_again_from() -> None:
    async with world({"a": count_to(3), "b": give_inputs, "u": fail, "z": give()}) as w:
        await w.define(
            node("a", "b"),
            node("b", "u", x="${{ a.outputs.x }}"),
            node("u", "z", unites="a"),
            node("z"),
        )
        run_id = await w.start()
        operate = w.engine.operations.rerun
        with pytest.raises(Conflict, match=r"has not come to 'u'.*again from: a"):
            await operate(NS, run_id, "u")
        await w.drive()
        for start in ("z", f"{run_id}--2", "b"):
            with pytest.raises(Conflict, match="has not come to"):
                await operate(NS, run_id, start)
        with pytest.raises(Conflict, match="first branch"):
            await operate(NS, run_id, f"{run_id}-0.1-0")
        for start in ("nobody", "other--0", "-"):
            with pytest.raises(NotFound):
                await operate(NS, run_id, start)
        with pytest.raises(NotFound):
            await operate(NS, "nobody", "a")
        assert (await operate(NS, run_id, "u")).created


async def test_the_new_run_has_the_version_of_the_old_one_and_may_be_one_of_a_run_that_goes_on() -> None:
    async with world(CHAIN_SCRIPTS) as w:
        await w.define(*CHAIN)
        run_id = await w.start()
        await w.drive()
        await w.define(node("a", "b"), node("b"))
        run = await rerun(w, run_id, "c")
        assert (run.graph_version, run.status) == (1, "SUCCEEDED")
