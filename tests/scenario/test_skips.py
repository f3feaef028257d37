"""Skipping a state: its outputs are somebody's word, and the run goes on as if its node had given them."""

from __future__ import annotations

from typing import Any

import pytest

from karman_core.domain.definition import RegisteredNode
from karman_core.domain.errors import Conflict, InvalidInput, NotFound, PayloadTooLarge
from karman_core.domain.messages import CommandKind
from karman_core.domain.outcome import Awaiting, Errored, Requeued, Succeeded
from karman_core.engine import EngineSettings
from karman_core.engine.views import StateView
from karman_core.ports.executor import Execution
from tests.scenario.epochs import broken_until
from tests.scenario.faults import once
from tests.scenario.groups import DEEP, group_nodes, group_scripts
from tests.scenario.harness import NS, RUNTIME, World, node, world
from tests.scenario.invariants import check, items
from tests.scenario.nodes import Answer, choose, count_to, fail, give, give_inputs

BY = "local:ann"


async def skip(w: World, run_id: str, identifier: str, *outputs: Any, **more: Any) -> StateView:
    """Skip the one state of an identifier that has no good outcome."""
    (state,) = [
        state
        for state in await w.states(run_id, identifier=identifier)
        if state.status not in {"SUCCEEDED", "PRUNED"}
    ]
    given = outputs or None
    return await w.engine.operations.skip(NS, run_id, state.state_id, given, by=BY, **more)


async def chain(w: World) -> str:
    """Start a run of a, b (which the test scripts) and c, and work until b stands."""
    await w.define(node("a", "b"), node("b", "c", x="${{ a.outputs.x }}"), node("c", y="${{ b.outputs.y }}"))
    return await w.start()


def wait(execution: Execution) -> Answer:
    return {"y": "signal"} if execution.resumed else Awaiting("go", 10**9)


async def test_a_failed_state_of_a_failed_run() -> None:
    async with world({"a": give(x=3), "b": fail, "c": give_inputs}) as w:
        run_id = await chain(w)
        await w.drive()
        state = await skip(w, run_id, "b", {"y": "given"})
        assert (state.status, state.outputs, state.skipped_by) == ("SUCCEEDED", ({"y": "given"},), BY)
        assert state.error is None
        assert [attempt.error_kind for attempt in state.attempts][-1] is None
        assert (await w.view(run_id)).epoch == 1
        executed = w.executor.executed["b"]
        await w.drive()
        run = await check(w, run_id)
        assert (run.status, run.result) == ("SUCCEEDED", {"y": "given"})
        assert w.executor.executed["b"] == executed


async def test_without_outputs_it_is_as_if_the_node_had_returned_nothing() -> None:
    async with world({"a": fail, "b": give(y=1)}) as w:
        await w.define(node("a", "b"), node("b"))
        run = await w.finish()
        assert (await skip(w, run.run_id, "a")).outputs == ({},)
        await w.drive()
        assert (await check(w, run.run_id)).result == {"y": 1}


async def test_a_state_that_nobody_has_begun() -> None:
    async with world({"a": give(x=1), "b": give(y=1), "c": give_inputs}, runtimes={"b": "other"}) as w:
        run_id = await chain(w)
        await w.work()
        assert (await w.state(run_id, "b")).status == "QUEUED"
        await skip(w, run_id, "b", {"y": 2})
        await w.drive()
        run = await check(w, run_id)
        assert (run.status, run.result, run.epoch) == ("SUCCEEDED", {"y": 2}, 0)


@pytest.mark.parametrize(
    ("script", "status"),
    [
        (lambda _: Errored("Flaky", "no"), "RETRYING"),
        (lambda _: Requeued(10**8), "QUEUED"),
        (wait, "WAITING"),
    ],
)
async def test_a_state_that_waits_for_a_time_or_a_signal(script: Any, status: str) -> None:
    async with world({"a": give(x=1), "b": script, "c": give_inputs}) as w:
        run_id = await chain(w)
        await w.work()
        assert (await w.state(run_id, "b")).status == status
        at = w.clock.now_ms()
        await skip(w, run_id, "b", {"y": 2})
        while await w.work():
            pass
        run = await w.view(run_id)
        assert (run.status, run.result, run.awaiting) == ("SUCCEEDED", {"y": 2}, ())
        assert w.clock.now_ms() == at
        assert items(w, f"%#run#{run_id}#sig#%") == []
        await w.drive()
        await check(w, run_id)
        assert w.executor.executed["b"] == 1


async def test_a_run_whose_start_was_delayed() -> None:
    async with world({"a": give(x=1), "b": give(y=1)}) as w:
        await w.define(node("a", "b"), node("b"))
        run_id = await w.start(start_delay_ms=10**6)
        await skip(w, run_id, "a", {"x": 2})
        await w.drive()
        assert (await check(w, run_id)).result == {"y": 1}
        assert "a" not in w.executor.executed


async def test_a_wait_that_is_skipped_leaves_its_signal_to_the_next() -> None:
    async with world({"a": wait, "b": wait}) as w:
        await w.define(node("a", "b"), node("b"))
        run_id = await w.start()
        await w.work()
        await skip(w, run_id, "a", {"y": "given"})
        await w.drive(until=lambda: waiting_at(w, run_id, "b"))
        await w.engine.signal(NS, run_id, "go")
        await w.drive()
        assert (await check(w, run_id)).result == {"y": "signal"}


async def waiting_at(w: World, run_id: str, identifier: str) -> bool:
    found = await w.states(run_id, identifier=identifier)
    return bool(found) and found[0].status == "WAITING"


async def test_a_state_that_is_running() -> None:
    async with world({"a": give(x=1), "c": give_inputs}) as w:
        w.executor.scripts["b"] = lambda _: {"y": "late"}
        run_id = await chain(w)

        async def skip_it() -> None:
            await skip(w, run_id, "b", {"y": "given"})

        is_b = lambda call: "b" in w.executor.executed and call.arguments[0].sk == "s#00000001"  # noqa: E731
        once(w.faults.before, "table.update", skip_it, where=is_b)
        await w.drive()
        run = await check(w, run_id)
        assert (run.status, run.result) == ("SUCCEEDED", {"y": "given"})
        assert (await w.state(run_id, "b")).skipped_by == BY


async def test_a_state_that_is_leased() -> None:
    async with world({"a": give(x=1), "c": give_inputs}) as w:
        await w.engine.register_nodes(NS, [RegisteredNode(name="b", runtime="http")])
        run_id = await chain(w)
        await w.work()
        (work,) = await w.engine.poll(NS, ["b"])
        await skip(w, run_id, "b", {"y": "given"})
        with pytest.raises(Conflict):
            await w.engine.report(NS, work.state_id, Succeeded(({"y": "late"},)), lease=work.lease)
        await w.drive()
        assert (await check(w, run_id)).result == {"y": "given"}


async def test_of_several_failures_the_others_stay() -> None:
    async with world(group_scripts("sffs"), settings=DEEP) as w:
        await w.define(*group_nodes("ALL_SUCCESS"))
        run = await w.finish()
        first, second = await w.states(run.run_id, identifier="b", status="FAILED")
        await w.engine.operations.skip(NS, run.run_id, first.state_id, [{"y": "x"}], by=BY)
        await w.drive()
        assert (await check(w, run.run_id)).status == "FAILED"
        await w.engine.operations.skip(NS, run.run_id, second.state_id, [{"y": "z"}], by=BY)
        await w.drive()
        run = await check(w, run.run_id)
        assert (run.status, run.result, run.epoch) == ("SUCCEEDED", {"ys": [0, "x", "z", 3]}, 2)


async def test_a_fork_is_given_by_hand() -> None:
    async with world({"a": fail, "b": give_inputs, "u": give_inputs}, settings=DEEP) as w:
        await w.define(
            node("a", "b"),
            node("b", "u", x="${{ a.outputs.x }}"),
            node("u", unites="a", xs="${{ b.outputs.x }}"),
        )
        run = await w.finish()
        await skip(w, run.run_id, "a", *({"x": x} for x in range(9)))
        await w.drive()
        assert (await check(w, run.run_id)).result == {"xs": list(range(9))}


async def test_large_outputs_go_to_blobs() -> None:
    async with world({"a": fail, "b": give_inputs}, settings=EngineSettings(inline_payload_bytes=50)) as w:
        await w.define(node("a", "b"), node("b", x="${{ a.outputs.x }}"))
        run = await w.finish()
        text = "".join(chr(97 + n * n % 26) for n in range(5_000))
        await skip(w, run.run_id, "a", {"x": text})
        await w.drive()
        assert (await check(w, run.run_id)).result == {"x": text}


async def test_the_next_node_may_be_chosen() -> None:
    async with world({"a": fail, "b": give(at="b"), "c": give(at="c")}) as w:
        await w.define(node("a", "b", "c"), node("b"), node("c"))
        run = await w.finish()
        with pytest.raises(InvalidInput, match="does not follow"):
            await skip(w, run.run_id, "a", chosen="d")
        await skip(w, run.run_id, "a", chosen="c")
        await w.drive()
        assert (await check(w, run.run_id)).result == {"at": "c"}
        assert "b" not in w.executor.executed


async def test_a_loop_is_left_by_hand() -> None:
    scripts = {"a": lambda e: choose("a", {}) if e.turn == 0 else choose("z", {}), "z": give(z=1)}
    async with world({**scripts, "a": lambda _: choose("a", {})}) as w:
        await w.define(node("a", "z", loops=[{"to": "a", "max_rounds": 2}]), node("z"))
        run = await w.finish()
        assert run.error is not None
        assert "loop_limit" in run.error
        with pytest.raises(InvalidInput, match="max_rounds"):
            await skip(w, run.run_id, "a", {}, chosen="a")
        await skip(w, run.run_id, "a", {}, chosen="z")
        await w.drive()
        assert (await check(w, run.run_id)).result == {"z": 1}


async def test_a_paused_run_stays_so() -> None:
    async with world({"a": give(x=1), "b": wait, "c": give_inputs}) as w:
        run_id = await chain(w)
        await w.work()
        await w.engine.pause(NS, run_id)
        await skip(w, run_id, "b", {"y": 2})
        w.restart()
        await w.drive(until=lambda: idle(w))
        assert (await w.view(run_id)).status == "PAUSED"
        await w.engine.resume(NS, run_id)
        await w.drive()
        assert (await check(w, run_id)).result == {"y": 2}


async def idle(w: World) -> bool:
    return not await w.work()


async def test_the_same_again_is_no_error_and_another_is() -> None:
    async with world({"a": give(x=1), "b": fail, "c": give_inputs}) as w:
        run_id = await chain(w)
        await w.drive()
        state = await skip(w, run_id, "b", {"y": 1})
        again = await w.engine.operations.skip(NS, run_id, state.state_id, [{"y": 1}], by="key:other")
        assert again == state
        with pytest.raises(Conflict, match="has an outcome"):
            await w.engine.operations.skip(NS, run_id, state.state_id, [{"y": 2}], by=BY)
        await w.drive()
        assert (await w.engine.operations.skip(NS, run_id, state.state_id, [{"y": 1}], by=BY)) == state
        with pytest.raises(Conflict, match="has ended: SUCCEEDED"):
            await w.engine.operations.skip(NS, run_id, state.state_id, [{"y": 2}], by=BY)
        await check(w, run_id)


async def test_a_retry_and_a_skip_of_one_state_at_once() -> None:
    async with world({"a": give(x=1), "b": broken_until(1), "c": give_inputs}) as w:
        run_id = await chain(w)
        await w.drive()
        state = await w.state(run_id, "b")

        async def retry_first() -> None:
            await w.engine.operations.retry_state(NS, run_id, state.state_id)

        once(w.faults.before, "queue.send", retry_first)
        with pytest.raises(Conflict):
            await w.engine.operations.skip(NS, run_id, state.state_id, [{"y": "given"}], by=BY)
        await w.drive()
        run = await check(w, run_id)
        assert (run.status, run.epoch, run.result) == ("SUCCEEDED", 1, {"y": 1})


async def test_what_cannot_be_skipped() -> None:
    schema = {"type": "object", "properties": {"y": {"type": "integer"}}, "required": ["y"]}
    async with world({"a": give(x=1), "b": fail, "c": give_inputs}) as w:
        run_id = await chain(w)
        await w.engine.register_nodes(NS, [RegisteredNode(name="b", runtime=RUNTIME, outputs_schema=schema)])
        w.clock.advance(60_000)
        await w.drive()
        skip_of = w.engine.operations.skip
        state = (await w.state(run_id, "b")).state_id
        wrong: list[tuple[list[dict[str, Any]], tuple[str, str]]] = [
            ([{"y": 1}, {"y": "x"}], ("outputs[1].y", "wrong_type")),
            ([{}], ("outputs[0].y", "missing_field")),
            ([{"y": float("nan")}], ("outputs[0].y", "not_json")),
        ]
        for outputs, found in wrong:
            with pytest.raises(InvalidInput) as refused:
                await skip_of(NS, run_id, state, outputs, by=BY)
            assert [(each.path, each.code) for each in refused.value.problems] == [found]
        with pytest.raises(PayloadTooLarge):
            await skip_of(NS, run_id, state, [{"y": 1, "z": "x" * 300_000}], by=BY)
        for unknown in (f"{run_id}--9", f"{run_id}-0.1-0", "x--0", "x"):
            with pytest.raises(NotFound):
                await skip_of(NS, run_id, unknown, None, by=BY)
        with pytest.raises(NotFound):
            await skip_of(NS, "nobody", "nobody--0", None, by=BY)
        with pytest.raises(Conflict, match="only one that has failed"):
            await skip_of(NS, run_id, f"{run_id}--0", None, by=BY)
        assert (await check(w, run_id)).epoch == 0


async def test_runs_that_were_cut_off_are_left_alone() -> None:
    async with world({"a": wait}) as w:
        await w.define(node("a"))
        run_id = await w.start()
        await w.work()
        await w.engine.cancel(NS, run_id)
        with pytest.raises(Conflict, match="has ended: CANCELLED"):
            await skip(w, run_id, "a")


async def test_commands_that_come_late_or_make_no_sense() -> None:
    async with world({"a": count_to(2), "b": fail, "u": give_inputs}) as w:
        await w.define(node("a", "b"), node("b", "u"), node("u", unites="a"))
        run = await w.finish()
        (one, _) = await w.states(run.run_id, identifier="b")
        given: dict[str, Any] = {"outputs": [{}], "next": None}
        common: dict[str, Any] = {"id": "1", "by": BY, "given": given, "reopens": True}
        for epoch, state in (
            (1, f"{run.run_id}--0"),
            (7, one.state_id),
            (0, one.state_id),
            (1, "x"),
            (1, ""),
        ):
            await w.send_command(CommandKind.SKIP, run.run_id, epoch=epoch, state=state, **common)
        await w.send_command(CommandKind.SKIP, "nobody", epoch=1, state="nobody--0", **common)
        before = await w.states(run.run_id)
        await w.drive()
        assert (await w.states(run.run_id), (await check(w, run.run_id)).epoch) == (before, 0)
