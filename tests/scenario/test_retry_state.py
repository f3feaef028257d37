"""Retry of one failed state: it alone runs again in the new epoch, others stay failed, and every state counts once."""

from __future__ import annotations

import random
from typing import Any

import pytest

from karman_core.domain.branches import state_id
from karman_core.domain.errors import Conflict, NotFound
from karman_core.domain.messages import CommandKind
from karman_core.domain.outcome import Errored, Pruned
from karman_core.engine import EngineSettings
from karman_core.engine.views import RunView, StateView
from karman_core.ports.executor import Execution
from tests.scenario.epochs import broken_until, retry
from tests.scenario.faults import once
from tests.scenario.groups import DEEP
from tests.scenario.harness import NS, World, graph, node, world
from tests.scenario.invariants import check
from tests.scenario.nodes import Answer, count_to, fail, give, give_inputs
from tests.scenario.oracle import Expected, TooLarge
from tests.scenario.test_random_runs import compare, drive, trouble, valid_plan, world_of_steps


async def retry_state(w: World, run_id: str, state_id: str) -> RunView:
    """Retry one state and work until nothing is left to do."""
    await w.engine.operations.retry_state(NS, run_id, state_id)
    await w.drive()
    return await check(w, run_id)


async def failed(w: World, run_id: str) -> list[StateView]:
    return [state for state in await w.states(run_id) if state.status in {"FAILED", "CANCELLED"}]


async def test_the_one_failure_of_a_chain() -> None:
    async with world({"a": give(x=3), "b": broken_until(1), "c": give_inputs}) as w:
        await w.define(
            node("a", "b"), node("b", "c", x="${{ a.outputs.x }}"), node("c", y="${{ b.outputs.y }}")
        )
        run = await w.finish()
        (state,) = await failed(w, run.run_id)
        view = await w.engine.operations.retry_state(NS, run.run_id, state.state_id)
        assert (view.status, view.epoch) == ("RUNNING", 1)
        await w.drive()
        run = await check(w, run.run_id)
        assert (run.status, run.result) == ("SUCCEEDED", {"y": 3})
        assert w.executor.executed == {"a": 1, "b": 2, "c": 1}


def wide(strategy: str = "ALL_SUCCESS", **fields: Any) -> list[Any]:
    return [
        node("a", "b"),
        node("b", "c", x="${{ a.outputs.x }}"),
        node("c", "u", y="${{ b.outputs.y }}"),
        node("u", "z", unites="a", strategy=strategy, ys="${{ c.outputs.y }}", **fields),
        node("z", ys="${{ u.outputs.ys }}"),
    ]


@pytest.mark.parametrize("settings", [EngineSettings(), DEEP], ids=["plain", "deep"])
@pytest.mark.parametrize("width", [1, 3, 4, 5, 17, 65])
async def test_one_after_the_other_in_a_group_of_any_width(settings: EngineSettings, width: int) -> None:
    rng = random.Random(width)
    bad = rng.sample(range(width), min(width, 4))
    async with world(
        {
            "a": count_to(width),
            "b": broken_until(1, when=lambda i: i["x"] in bad),
            **dict.fromkeys("cuz", give_inputs),
        },
        settings=settings,
    ) as w:
        w.order = rng
        await w.define(*wide())
        run = await w.finish()
        for epoch in range(len(bad)):
            left = await failed(w, run.run_id)
            assert (run.status, len(left)) == ("FAILED", len(bad) - epoch)
            run = await retry_state(w, run.run_id, rng.choice(left).state_id)
            assert run.epoch == epoch + 1
            assert w.executor.executed["b"] == width + epoch + 1
        assert (run.status, run.result) == ("SUCCEEDED", {"ys": list(range(width))})
        assert w.executor.executed["c"] == width
        assert w.executor.executed["u"] == 1


@pytest.mark.parametrize("first", ["one", "all"])
async def test_one_then_all_and_all_then_one(first: str) -> None:
    async with world(
        {
            "a": count_to(23),
            "b": broken_until(2, when=lambda i: i["x"] % 5 == 0),
            **dict.fromkeys("cuz", give_inputs),
        },
        settings=DEEP,
    ) as w:
        await w.define(*wide())
        run = await w.finish()
        while run.status == "FAILED":
            assert run.epoch < 12
            left = await failed(w, run.run_id)
            one = (run.epoch % 2 == 0) == (first == "one")
            run = await (retry_state(w, run.run_id, left[-1].state_id) if one else retry(w, run.run_id))
        assert run.result == {"ys": list(range(23))}


async def test_one_that_fails_again_is_retried_again() -> None:
    async with world(
        {
            "a": count_to(6),
            "b": broken_until(3, when=lambda i: i["x"] == 2),
            **dict.fromkeys("cuz", give_inputs),
        },
        settings=DEEP,
    ) as w:
        await w.define(*wide())
        run = await w.finish()
        for _ in range(3):
            assert run.status == "FAILED"
            (state,) = await failed(w, run.run_id)
            run = await retry_state(w, run.run_id, state.state_id)
        assert (run.status, run.epoch) == ("SUCCEEDED", 3)


def nested(**fields: Any) -> list[Any]:
    return [
        node("r", "a"),
        node("a", "b", x="${{ r.outputs.x }}"),
        node("b", "c", x="${{ a.outputs.x }}"),
        node("c", "v", x="${{ a.outputs.x }}", y="${{ b.outputs.y }}"),
        node("v", "u", unites="b", ys="${{ c.outputs.y }}"),
        node("u", unites="a", lists="${{ v.outputs.ys }}", **fields),
    ]


@pytest.mark.parametrize("fail_fast", [False, True])
@pytest.mark.parametrize("seed", range(4))
async def test_nested_groups_one_failure_at_a_time(seed: int, *, fail_fast: bool) -> None:
    rng = random.Random(seed)
    bad = {(rng.randrange(5), rng.randrange(6)) for _ in range(4)}
    async with world(
        {
            "r": give(x=1),
            "a": count_to(5),
            "b": count_to(6, "y"),
            "c": broken_until(1, when=lambda i: (i["x"], i["y"]) in bad),
            "v": give_inputs,
            "u": give_inputs,
        },
        settings=DEEP,
    ) as w:
        w.order = rng
        await w.define(*nested(), fail_fast=fail_fast)
        run = await w.finish()
        while run.status == "FAILED":
            await check(w, run.run_id)
            assert run.epoch < 40
            run = await retry_state(w, run.run_id, rng.choice(await failed(w, run.run_id)).state_id)
        assert run.result == {"lists": [[x] * 6 for x in range(5)]}
        assert w.executor.executed["u"] == 1
        assert w.executor.executed["v"] == 5


async def test_a_group_that_nobody_unites() -> None:
    async with world({"a": count_to(9), "b": broken_until(1, when=lambda i: i["x"] > 6)}, settings=DEEP) as w:
        await w.define(node("a", "b"), node("b", x="${{ a.outputs.x }}"))
        run = await w.finish()
        one, other = await failed(w, run.run_id)
        run = await retry_state(w, run.run_id, other.state_id)
        assert (run.status, run.totals.failed) == ("FAILED", 1)
        assert run.error == "b: Broken: turn 0"
        run = await retry_state(w, run.run_id, one.state_id)
        assert run.status == "SUCCEEDED"


async def test_a_unite_runs_again_by_itself_and_its_branches_do_not() -> None:
    async with world({"a": count_to(5), "b": give_inputs, "u": broken_until(1)}, settings=DEEP) as w:
        await w.define(
            node("a", "b"),
            node("b", "u", x="${{ a.outputs.x }}"),
            node("u", unites="a", x="${{ b.outputs.x }}"),
        )
        run = await w.finish()
        run = await retry_state(w, run.run_id, (await w.state(run.run_id, "u")).state_id)
        assert run.status == "SUCCEEDED"
        assert w.executor.executed == {"a": 1, "b": 5, "u": 2}


@pytest.mark.parametrize("width", [2, 9])
async def test_any_success(width: int) -> None:
    """Without a success any branch may bring one; after one, its unite alone is to blame."""
    async with world({"a": count_to(width), "b": broken_until(1), "u": broken_until(1)}, settings=DEEP) as w:
        await w.define(
            node("a", "b"),
            node("b", "u", x="${{ a.outputs.x }}"),
            node("u", unites="a", strategy="ANY_SUCCESS", x="${{ b.outputs.y }}"),
        )
        run = await w.finish()
        assert len(await failed(w, run.run_id)) == width
        branch = (await failed(w, run.run_id))[1]
        run = await retry_state(w, run.run_id, branch.state_id)
        assert (run.status, w.executor.executed["u"]) == ("FAILED", 1)
        other = (await failed(w, run.run_id))[0]
        assert other.identifier == "b"
        with pytest.raises(Conflict, match="unite"):
            await w.engine.operations.retry_state(NS, run.run_id, other.state_id)
        unite = await w.state(run.run_id, "u")
        run = await retry_state(w, run.run_id, unite.state_id)
        assert (run.status, run.result) == ("SUCCEEDED", {"y": [1], "turn": 1})
        assert w.executor.executed == {"a": 1, "b": width + 1, "u": 2}


async def test_what_cannot_be_retried() -> None:
    async with world(
        {
            "a": count_to(3),
            "b": broken_until(9, when=lambda i: i["x"] == 1),
            "u": give(),
            "z": broken_until(9),
        }
    ) as w:
        await w.define(
            node("a", "b"),
            node("b", "u", x="${{ a.outputs.x }}"),
            node("u", "z", unites="a", strategy="ALL_DONE"),
            node("z"),
        )
        run = await w.finish()
        operate = w.engine.operations.retry_state
        made_up_for, _ = await failed(w, run.run_id)
        with pytest.raises(Conflict, match="unite above it has committed"):
            await operate(NS, run.run_id, made_up_for.state_id)
        with pytest.raises(Conflict, match="is SUCCEEDED"):
            await operate(NS, run.run_id, f"{run.run_id}--0")
        for unknown in (f"{run.run_id}--9", f"{run.run_id}-0.9-0", f"{run.run_id}-7.0-0", "other--0", "-"):
            with pytest.raises(NotFound):
                await operate(NS, run.run_id, unknown)
        with pytest.raises(NotFound):
            await operate(NS, "nobody", f"{run.run_id}--2")
        assert (await w.view(run.run_id)).epoch == 0
        await operate(NS, run.run_id, f"{run.run_id}--2")
        assert (await operate(NS, run.run_id, f"{run.run_id}--2")).epoch == 1  # it is under way
        with pytest.raises(Conflict, match="only a FAILED run"):
            await w.engine.retry(NS, run.run_id)  # of all that had failed, which is something else


async def test_two_retries_at_once_are_not_mixed() -> None:
    """Both open the same epoch; who comes second is told so, and its message changes nothing."""
    for other in ("state", "all"):
        async with world(
            {"a": count_to(9), "b": broken_until(1, when=lambda i: i["x"] > 5)}, settings=DEEP
        ) as w:
            await w.define(node("a", "b"), node("b", x="${{ a.outputs.x }}"))
            run = await w.finish()
            one, two, _ = await failed(w, run.run_id)

            async def meanwhile(w: World = w, other: str = other, run: Any = run, two: Any = two) -> None:
                api = w.api().operations
                await (
                    api.retry(NS, run.run_id)
                    if other == "all"
                    else api.retry_state(NS, run.run_id, two.state_id)
                )

            once(w.faults.before, "queue.send", meanwhile)
            with pytest.raises(Conflict, match="otherwise"):
                await w.engine.operations.retry_state(NS, run.run_id, one.state_id)
            await w.drive()
            run = await check(w, run.run_id)
            assert (run.epoch, run.totals.failed) == (1, 2 if other == "state" else 0)


async def test_a_command_again_late_or_of_no_failure_changes_nothing() -> None:
    async with world({"a": count_to(4), "b": broken_until(2, when=lambda i: i["x"] < 2)}, settings=DEEP) as w:
        await w.define(node("a", "b"), node("b", x="${{ a.outputs.x }}"))
        run = await w.finish()
        one, two = await failed(w, run.run_id)
        for state in (f"{run.run_id}--0", f"{run.run_id}-0.3-0", "garbage", "other-0.0-0"):
            await w.send_command(CommandKind.RETRY_STATE, run.run_id, epoch=1, state=state)
        await w.send_command(CommandKind.RETRY_STATE, "nobody", epoch=1, state=one.state_id)
        await w.drive()
        assert (await check(w, run.run_id)).epoch == 0
        run = await retry_state(w, run.run_id, one.state_id)
        assert run.epoch == 1
        for epoch in (0, 1, 5):
            for state in (one.state_id, two.state_id):
                await w.send_command(CommandKind.RETRY_STATE, run.run_id, epoch=epoch, state=state)
        await w.drive()
        assert (await check(w, run.run_id)).epoch == 1
        assert w.executor.executed["b"] == 5


def ends_by_chance(seed: int) -> Any:
    def script(execution: Execution) -> Answer:
        rng = random.Random(f"{seed} {execution.inputs} {execution.turn}")
        if rng.random() < 0.35:
            return Errored("Broken", "", retry=False)
        return Pruned({}) if rng.random() < 0.1 else {"y": execution.inputs["y"]}

    return script


@pytest.mark.parametrize("seed", range(6))
async def test_chance_crashes_and_duplicates(seed: int) -> None:
    """Failures anywhere, one retried at a time or all, in any order, with messages repeated and workers dying."""
    rng = random.Random(seed)
    async with world(
        {
            "r": give(x=1),
            "a": count_to(3),
            "b": count_to(5, "y"),
            "c": ends_by_chance(seed),
            **dict.fromkeys("vu", give_inputs),
        },
        settings=DEEP,
    ) as w:
        await w.define(*nested(), fail_fast=bool(seed % 2))
        run = await w.finish()
        w.order, w.repeats = rng, 0.2
        while run.status == "FAILED" and run.epoch < 25:
            state = rng.choice(await failed(w, run.run_id))
            if rng.random() < 0.1:
                await w.engine.retry(NS, run.run_id)
            else:
                await w.engine.operations.retry_state(NS, run.run_id, state.state_id)
            w.faults.crash_at = (w.faults.count + rng.randrange(40), rng.random() < 0.5)
            await w.drive(at_once=rng.choice([1, 3]))
            w.faults.crash_at = None
            run = await check(w, run.run_id)
        assert run.epoch > 1


@pytest.mark.parametrize("seed", range(6))
async def test_random_runs_that_are_retried_one_state_at_a_time(seed: int) -> None:
    """Each epoch comes to what the plain rules say of a run in which these states alone are well."""
    rng, w = random.Random(3000 + seed), await world_of_steps(seed)
    for _ in range(4):
        expected = await valid_plan(w, rng)
        w.executor.scripts["step"] = expected.plan.script
        await w.engine.put_graph(NS, graph(*expected.plan.definition()))
        run_id = await w.start()
        await w.drive()
        for _epoch in range(6):
            again = Expected(expected.plan, expected.inside, expected.healed)
            try:
                ending = again.run()
            except TooLarge:
                break
            await compare(w, again, run_id, ending)
            if ending != "f":
                break
            place = rng.choice(sorted(again.causes))
            expected = Expected(expected.plan, expected.inside, expected.healed | {place})
            await w.engine.operations.retry_state(NS, run_id, state_id(run_id, *place))
            trouble(w, rng)
            await drive(w, rng)
    w.backend.close()


async def test_the_sweeper_redrives_a_retry_of_one() -> None:
    async with world({"a": count_to(9), "b": broken_until(1), "u": give_inputs}, settings=DEEP) as w:
        await w.define(
            node("a", "b"),
            node("b", "u", x="${{ a.outputs.x }}"),
            node("u", unites="a", strategy="ANY_SUCCESS"),
        )
        run = await w.finish()
        await w.engine.operations.retry_state(NS, run.run_id, (await failed(w, run.run_id))[4].state_id)
        await w.lose_messages()
        w.clock.advance(2 * 3600)
        report = await w.engine.sweep()
        assert report.sent == 1
        await w.drive()
        run = await check(w, run.run_id)
        assert (run.status, w.executor.executed["b"]) == ("SUCCEEDED", 10)


async def test_a_retried_run_may_be_paused_cancelled_and_read() -> None:
    async with world({"a": count_to(2), "b": fail}) as w:
        await w.define(node("a", "b"), node("b", x="${{ a.outputs.x }}"))
        run = await w.finish()
        one, _ = await failed(w, run.run_id)
        await w.engine.operations.retry_state(NS, run.run_id, one.state_id)
        assert (await w.engine.get_state(NS, run.run_id, one.state_id)).status == "RETRYING"
        assert (await w.engine.pause(NS, run.run_id)).status == "PAUSED"
        assert (await w.engine.cancel(NS, run.run_id)).status == "CANCELLED"
        with pytest.raises(Conflict):
            await w.engine.operations.retry_state(NS, run.run_id, one.state_id)
