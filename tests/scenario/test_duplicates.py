"""Queues deliver at least once: twice in a row, at once, late, in any order. The run ends the same."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import pytest

from karman_core.domain.outcome import Requeued, StoreIncrement
from karman_core.ports.executor import Execution
from tests.scenario.faults import Call, Crashed, once
from tests.scenario.harness import World, node, world
from tests.scenario.invariants import check
from tests.scenario.nodes import Answer, count_to, give_inputs, one_by_one, then
from tests.scenario.references import REFERENCES, Journal, Reference, run_through, told

NAMES = [name for name in REFERENCES if name != "paused"]
"""A late pause undoes a resume: see test_control."""


async def without_faults(reference: Reference) -> dict[str, Any]:
    w = reference.world()
    try:
        return await told(w, await run_through(w, reference))
    finally:
        w.backend.close()


async def same(w: World, reference: Reference, run_id: str, journal: Journal) -> None:
    assert await told(w, run_id) == await without_faults(reference)
    assert max(journal.commits.values()) == 1
    assert journal.after_the_end == []


@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize("times", [2, 3])
async def test_every_message_is_delivered_more_than_once(name: str, times: int) -> None:
    reference = REFERENCES[name]
    w = reference.world()
    journal, w.deliveries = Journal(w), times
    run_id = await run_through(w, reference)
    await same(w, reference, run_id, journal)
    w.backend.close()


@pytest.mark.parametrize("name", NAMES)
async def test_every_message_is_delivered_again_after_the_end(name: str) -> None:
    reference = REFERENCES[name]
    w = reference.world()
    journal = Journal(w)
    run_id = await run_through(w, reference)
    before = await told(w, run_id), await w.view(run_id)
    commits = sum(journal.commits.values())
    w.restart()
    for queue, body in list(w.bodies):
        await w.send_body(body, queue)
        await w.drive()
    assert (await told(w, run_id), await w.view(run_id)) == before
    assert sum(journal.commits.values()) == commits
    assert journal.after_the_end == []
    w.backend.close()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(10))
async def test_messages_come_in_any_order_twice_and_many_at_once(name: str, seed: int) -> None:
    reference, rng = REFERENCES[name], random.Random(seed)
    w = reference.world()
    journal = Journal(w)
    w.order, w.faults.yields = rng, rng
    w.deliveries = 1 + seed % 2

    async def work() -> None:
        await w.drive(at_once=2 + seed % 5)

    run_id = await run_through(w, reference, work)
    await same(w, reference, run_id, journal)
    w.backend.close()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(6))
async def test_leases_end_while_the_work_goes_on(name: str, seed: int) -> None:
    """Zombies: a message is delivered again, to another worker, while the first one is still at it."""
    reference, rng = REFERENCES[name], random.Random(seed)
    w = reference.world()
    journal = Journal(w)
    w.order, w.faults.yields = rng, rng

    async def work() -> None:
        for _ in range(1000):
            messages = [
                (q, m)
                for q in w.backend.queue.queues()
                for m in await w.backend.queue.receive(q, lease_seconds=1)
            ]
            if rng.random() < 0.5:
                w.clock.advance(2)
                messages += [
                    (q, m) for q in w.backend.queue.queues() for m in await w.backend.queue.receive(q)
                ]
            if not messages and not w.skip_time():
                return
            await w.finish_all([w._deliver(queue, message) for queue, message in messages])  # noqa: SLF001
        raise AssertionError("no end")

    run_id = await run_through(w, reference, work)
    await same(w, reference, run_id, journal)
    w.backend.close()


async def test_a_duplicate_of_a_branch_that_was_not_last_does_not_fire_the_unite_again() -> None:
    async with world({"a": count_to(3), "b": give_inputs, "u": give_inputs}) as w:

        def die(_: Execution) -> Answer:
            raise Crashed

        w.executor.scripts["u"] = die
        await w.define(
            node("a", "b"),
            node("b", "u", x="${{ a.outputs.x }}"),
            node("u", unites="a", xs="${{ b.outputs.x }}"),
        )
        run_id = await w.start()
        await w.work()
        await w.work()
        assert w.executor.executed == {"a": 1, "b": 3, "u": 1}
        w.executor.scripts["u"] = give_inputs
        for _, body in w.bodies[1:3]:
            await w.send_body(body)
            await w.process(await w.take(), again=True)
        assert w.executor.executed["u"] == 1
        await w.drive()
        assert (await check(w, run_id)).result == {"xs": [0, 1, 2]}


async def test_a_message_of_a_turn_long_past_sends_nothing() -> None:
    async with world({"a": one_by_one(Requeued(1000), Requeued(9000), {"x": 1})}) as w:
        await w.define(node("a"))
        run_id = await w.start()
        await w.work()
        w.clock.advance(1)
        await w.work()
        assert (await w.state(run_id, "a")).turns == 2
        left = w.messages_left()
        await w.send_body(w.bodies[0][1])
        message = await w.take()
        await w.process(message, again=True)
        await w.backend.queue.delete("ns/rt", [message.receipt])
        assert w.messages_left() == left == 1
        assert w.executor.executed == {"a": 2}
        await w.drive()
        assert (await check(w, run_id)).status == "SUCCEEDED"


@pytest.mark.parametrize("effects", [False, True], ids=["plain", "with a store write"])
async def test_who_lost_the_commit_follows_the_winner_s_output_and_never_its_own(*, effects: bool) -> None:
    """The winner dies right after its commit, so that the loser alone goes on."""
    async with world({"a": count_to(1), "b": give_inputs, "u": give_inputs}) as w:

        def another_time_another_answer(_: Execution) -> Answer:
            times = w.executor.executed["a"]
            outputs: list[Mapping[str, Any]] = [{"x": [times, i]} for i in range(times)]
            return then(outputs, StoreIncrement("n")) if effects else outputs

        w.executor.scripts["a"] = another_time_another_answer
        await w.define(
            node("a", "b"),
            node("b", "u", x="${{ a.outputs.x }}"),
            node("u", unites="a", xs="${{ b.outputs.x }}"),
        )
        run_id = await w.start()
        message = await w.take()

        def a_commits(call: Call) -> bool:
            if call.name == "table.transact":
                return True
            return call.name == "table.update" and call.arguments[0].sk.startswith("s#")

        async def die() -> None:
            raise Crashed

        async def win_and_die() -> None:
            name = "table.transact" if effects else "table.update"
            once(w.faults.after, name, die, where=a_commits)
            with pytest.raises(Crashed):
                await w.other_worker().process("ns/rt", message)

        once(w.faults.before, "table.transact" if effects else "table.update", win_and_die, where=a_commits)
        await w.process(message)
        await w.backend.queue.delete("ns/rt", [message.receipt])
        await w.drive()
        run = await check(w, run_id)
        assert (await w.state(run_id, "a")).outputs == ({"x": [2, 0]}, {"x": [2, 1]})
        assert run.result == {"xs": [[2, 0], [2, 1]]}
        assert await w.store(run_id) == ({"n": 1} if effects else {})
