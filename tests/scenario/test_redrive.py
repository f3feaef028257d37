"""Redriving a run from its table, when its queue was lost: at once, in parts, and again."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from karman_core.domain.errors import Conflict, InvalidRequest, NotFound
from karman_core.domain.outcome import Awaiting, Errored, Requeued
from karman_core.ports.executor import Execution
from tests.scenario.harness import NS, World, node, world
from tests.scenario.invariants import check
from tests.scenario.nodes import Answer, count_to, give, give_inputs
from tests.scenario.references import REFERENCES


async def redrive(w: World, run_id: str, **more: Any) -> int:
    """Redrive all of a run; how many messages were sent."""
    sent, cursor = 0, None
    while True:
        view = await w.engine.operations.redrive(NS, run_id, cursor=cursor, **more)
        sent, cursor = sent + view.sent, view.cursor
        if cursor is None:
            return sent


@pytest.mark.parametrize("name", sorted(REFERENCES))
async def test_reference_runs_end_when_the_queue_is_lost_at_any_time(name: str) -> None:
    reference = REFERENCES[name]
    for steps in range(1, 8):
        w = reference.world()
        await w.define(*reference.nodes(), store_config={"default_values": {"n": 0, "list": []}})
        run_id = await w.start(timeout_ms=10**9)
        for _ in range(steps):
            await w.work()
        await w.lose_messages()
        if not (await w.view(run_id)).ended:
            assert await redrive(w, run_id) > 0
        await w.drive(until=partial(cut_off, w, run_id))
        for step in reference.steps:
            await step(w, run_id)
            await w.drive(until=partial(cut_off, w, run_id))
        assert (await w.view(run_id)).status in {"SUCCEEDED", "FAILED"}
        w.backend.close()


async def cut_off(w: World, run_id: str) -> bool:
    """Nothing is left but the deadline."""
    return (await w.view(run_id)).ended or w.messages_left() == 1


async def test_in_parts_and_again() -> None:
    async with world({"a": count_to(40), "b": give_inputs, "u": give_inputs}, runtimes={"b": "other"}) as w:
        await w.define(
            node("a", "b"),
            node("b", "u", x="${{ a.outputs.x }}"),
            node("u", unites="a", xs="${{ b.outputs.x }}"),
        )
        run_id = await w.start()
        await w.work()
        await w.lose_messages()
        first = await w.engine.operations.redrive(NS, run_id, limit=10)
        assert (first.looked_at, first.sent) == (10, 9)
        assert first.cursor is not None
        assert await redrive(w, run_id, limit=7) == 40
        await w.drive()
        run = await check(w, run_id)
        assert run.result == {"xs": list(range(40))}


async def test_what_waits_for_a_time_is_sent_for_that_time() -> None:
    def later(execution: Execution) -> Answer:
        return Requeued(10**7) if execution.turn == 0 else {}

    def flaky(execution: Execution) -> Answer:
        return Errored("Flaky", "no") if execution.turn == 0 else {}

    def asks(execution: Execution) -> Answer:
        return {} if execution.resumed else Awaiting("go", 10**8)

    policy = {"strategy": "FIXED", "backoff_factor": 10**6}
    async with world({"a": give(), "b": later, "c": flaky, "d": asks}) as w:
        await w.define(node("a", "b", "c", "d"), node("b"), node("c", retry_policy=policy), node("d"))
        begun = w.clock.now_ms()
        run_id = await w.start(start_delay_ms=10**6, timeout_ms=10**9)
        await w.lose_messages()
        assert await redrive(w, run_id) == 1
        await w.drive(until=lambda: at_rest(w, run_id))
        assert w.clock.now_ms() == begun + 10**6
        await w.lose_messages()
        assert await redrive(w, run_id) == 3
        await w.drive(until=lambda: ended(w, run_id))
        assert w.clock.now_ms() - begun == 10**6 + 10**8
        assert w.executor.executed == {"a": 1, "b": 2, "c": 2, "d": 2}
        assert (await w.view(run_id)).status == "SUCCEEDED"


async def at_rest(w: World, run_id: str) -> bool:
    states = await w.states(run_id)
    return len(states) == 4 and all(state.turns for state in states)


async def ended(w: World, run_id: str) -> bool:
    return (await w.view(run_id)).ended


async def test_the_deadline_is_sent_again() -> None:
    async with world({"a": lambda _: Awaiting("never")}) as w:
        await w.define(node("a"))
        run_id = await w.start(timeout_ms=10**6)
        await w.work()
        await w.lose_messages()
        await redrive(w, run_id)
        await w.drive()
        assert (await w.view(run_id)).status == "TIMED_OUT"


async def test_what_cannot_be_redriven() -> None:
    async with world({"a": lambda _: Awaiting("go")}) as w:
        await w.define(node("a"))
        run_id = await w.start()
        await w.work()
        with pytest.raises(InvalidRequest):
            await w.engine.operations.redrive(NS, run_id, cursor="x")
        await w.engine.pause(NS, run_id)
        with pytest.raises(Conflict, match="is paused"):
            await w.engine.operations.redrive(NS, run_id)
        await w.engine.cancel(NS, run_id)
        with pytest.raises(Conflict, match="has ended"):
            await w.engine.operations.redrive(NS, run_id)
        with pytest.raises(NotFound):
            await w.engine.operations.redrive(NS, "nobody")
