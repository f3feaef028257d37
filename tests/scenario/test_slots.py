"""At most so many runs of a graph, or of a concurrency key, go on at a time; the others wait."""

from __future__ import annotations

import pytest

from karman_core.domain.branches import state_id
from karman_core.domain.definition import RegisteredNode
from karman_core.domain.errors import Conflict, NotFound
from karman_core.engine import keys
from karman_core.ports.table import Set
from tests.scenario.faults import Call
from tests.scenario.harness import HOME, NS, World, node
from tests.scenario.invariants import check
from tests.scenario.nodes import count_to, give_inputs
from tests.scenario.slots import (
    CUSTOMER,
    MENDED_SECONDS,
    WAITS,
    go,
    held,
    left,
    limited,
    statuses,
    wait,
    waiting,
)


async def test_runs_wait_in_the_order_of_their_triggers() -> None:
    w = await limited(2, scripts=WAITS)
    runs = []
    for _ in range(5):
        runs.append(await w.start())
        w.clock.advance(1)
    await w.drive()
    assert await statuses(w, runs) == ["WAITING"] * 2 + ["QUEUED"] * 3
    assert held(w) == set(runs[:2])
    assert waiting(w) == runs[2:]
    assert (await w.view(runs[0])).queued_for is None
    assert (await w.view(runs[2])).queued_for == "a slot (of 2 for runs of the graph)"
    queued = await w.engine.list_runs(NS, status="QUEUED")
    assert [run.run_id for run in queued.runs] == runs[:1:-1]
    assert w.messages_left() == 0
    for place in (1, 0, 2):
        await go(w, runs[place])
    assert await statuses(w, runs) == ["SUCCEEDED"] * 3 + ["WAITING"] * 2
    for run_id in runs[3:]:
        await go(w, run_id)
        assert (await check(w, run_id, empty=False)).status == "SUCCEEDED"
    assert left(w) == []


async def test_a_run_that_comes_later_does_not_go_before_one_that_waits() -> None:
    w = await limited(1, scripts=WAITS)
    first, second = await w.start(), await w.start()
    await w.drive()
    await w.engine.cancel(NS, first)
    third = await w.start()
    await w.drive()
    assert await statuses(w, [first, second, third]) == ["CANCELLED", "WAITING", "QUEUED"]
    w.backend.close()


async def test_each_key_has_its_own_slots() -> None:
    w = await limited(1, scripts=WAITS, key=CUSTOMER)
    given = [{"customer": "a"}, {"customer": "b"}, {}, {"customer": "a"}, {"customer": None}]
    runs = [await w.start(inputs=inputs) for inputs in given]
    await w.drive()
    assert await statuses(w, runs) == ["WAITING"] * 3 + ["QUEUED"] * 2
    told = (await w.view(runs[3])).queued_for
    assert told == "a slot (of 1 for runs with the concurrency key 'a')"
    await go(w, runs[0])
    assert await statuses(w, runs[3:]) == ["WAITING", "QUEUED"]


async def test_a_run_holds_its_slot_through_forks_waits_and_pauses() -> None:
    scripts = {
        "a": count_to(3),
        "b": lambda e: give_inputs(e) if e.inputs["x"] else wait(e),
        "u": give_inputs,
    }
    nodes = (
        node("a", "b"),
        node("b", "u", x="${{ a.outputs.x }}"),
        node("u", unites="a", xs="${{ b.outputs.x }}"),
    )
    w = await limited(1, scripts=scripts, nodes=nodes)
    first, second = await w.start(), await w.start()
    await w.drive()
    assert (await w.engine.pause(NS, first)).status == "PAUSED"
    await w.drive()
    assert await statuses(w, [first, second]) == ["PAUSED", "QUEUED"]
    assert held(w) == {first}
    await w.engine.resume(NS, first)
    await go(w, first)
    assert (await w.view(first)).status == "SUCCEEDED"
    await go(w, second)
    assert (await w.view(second)).status == "SUCCEEDED"
    assert left(w) == []


@pytest.mark.parametrize("end", ["cancel", "expire"])
async def test_a_run_that_ends_while_it_waits_leaves_nothing_and_wakes_nobody_wrongly(end: str) -> None:
    w = await limited(1, scripts=WAITS)
    first = await w.start()
    second = await w.start(timeout_ms=60_000)
    third = await w.start()
    await w.drive(until=lambda: _no_message(w))
    assert await statuses(w, [second, third]) == ["QUEUED"] * 2
    if end == "cancel":
        assert (await w.engine.cancel(NS, second)).queued_for is None
    await w.drive()
    assert await statuses(w, [first, second, third]) == [
        "WAITING",
        "CANCELLED" if end == "cancel" else "TIMED_OUT",
        "QUEUED",
    ]
    assert waiting(w) == [third]
    await go(w, first)
    assert (await w.view(third)).status == "WAITING"
    await w.engine.operations.purge(NS, second)
    await go(w, third)
    assert left(w) == []


async def _no_message(w: World) -> bool:
    return w.messages_left() <= 1  # That of the deadline.


async def test_a_run_that_is_paused_while_it_waits_takes_its_slot_in_its_turn() -> None:
    w = await limited(1, scripts=WAITS)
    first, second = await w.start(), await w.start()
    await w.drive()
    assert (await w.engine.pause(NS, second)).status == "PAUSED"
    await go(w, first)
    assert held(w) == {second}
    assert (await w.view(second)).status == "PAUSED"
    assert w.executor.executed["a"] == 2
    await w.engine.resume(NS, second)
    await go(w, second)
    assert await statuses(w, [first, second]) == ["SUCCEEDED"] * 2


async def test_a_late_duplicate_of_a_first_message_takes_no_slot() -> None:
    w = await limited(1)
    run_id = await w.start()
    (queue, body) = (HOME, (await w.take()).body)
    await w.send_body(body)
    await w.drive()
    assert (await check(w, run_id)).status == "SUCCEEDED"
    await w.send_body(body, queue)
    await w.drive()
    cancelled = await w.start()
    body = (await w.take()).body
    await w.engine.cancel(NS, cancelled)
    await w.send_body(body)
    await w.drive()
    assert left(w) == []
    assert w.executor.executed["a"] == 1


async def test_a_run_that_waits_is_not_redriven_past_its_slot() -> None:
    w = await limited(1, scripts=WAITS)
    first, second = await w.start(), await w.start()
    await w.drive()
    assert (await w.engine.operations.redrive(NS, second)).sent == 1
    await w.drive()
    w.clock.advance(w.settings.stalled_seconds + 1)
    assert (await w.engine.sweep()).redriven == 0
    await w.drive()
    assert await statuses(w, [first, second]) == ["WAITING", "QUEUED"]
    assert w.executor.executed["a"] == 1
    with pytest.raises(Conflict, match="waits for its slot"):
        await w.engine.operations.skip(NS, second, state_id(second, (), 0), [{"x": 1}], by="local:ann")


async def test_a_first_message_that_was_lost_is_redriven_to_its_slot() -> None:
    w = await limited(1)
    runs = [await w.start(), await w.start()]
    await w.lose_messages()
    w.clock.advance(w.settings.stalled_seconds + 1)
    await w.engine.sweep()
    await w.drive()
    assert await statuses(w, runs) == ["SUCCEEDED"] * 2
    assert left(w) == []


async def test_a_run_that_waited_begins_where_its_node_runs_by_now() -> None:
    w = await limited(1, scripts={**WAITS, "z": give_inputs}, runtimes={"z": "new"})
    first, second = await w.start(), await w.start()
    await w.drive()
    assert waiting(w) == [second]
    w.executors["new"].scripts["a"] = w.executor.scripts.pop("a")
    await w.engine.register_nodes(NS, [RegisteredNode(name="a", runtime="new")])
    w.clock.advance(w.settings.node_cache_seconds + 1)
    await w.engine.signal(NS, first, "go", {"x": 1})

    async def be_gone(call: Call) -> None:
        if call.name == "queue.send" and call.arguments[0] == HOME:
            raise NotFound("there is no queue")

    w.faults.before.append(be_gone)
    await w.drive()
    assert await statuses(w, [first, second]) == ["SUCCEEDED", "WAITING"]
    assert held(w) == {second}


async def test_a_run_whose_queue_is_gone_keeps_no_other_waiting() -> None:
    w = await limited(1, scripts={**WAITS, "z": wait}, runtimes={"z": "new"})
    first, lost = await w.start(), await w.start()
    await w.drive()
    await w.define(node("z"), concurrency={"limit": 1})
    third = await w.start()
    await w.drive()
    assert waiting(w) == [lost, third]

    async def be_gone(call: Call) -> None:
        if call.name == "queue.send" and call.arguments[0] == HOME and lost in call.arguments[1][0].body:
            raise NotFound("there is no queue")

    w.faults.before.append(be_gone)
    await go(w, first)
    assert (held(w), waiting(w)) == ({third}, [lost])
    w.faults.before.clear()
    await go(w, third)
    assert held(w) == {lost}


async def test_the_sweeper_gives_back_what_was_forgotten_and_wakes_who_waits() -> None:
    w = await limited(1, scripts=WAITS)
    first, second = await w.start(), await w.start()
    await w.drive()
    await w.engine.cancel(NS, first)
    await w.lose_messages()
    await w.lose_messages()
    assert held(w) == {second}
    third = await w.start()
    await w.drive()
    # As one whose process died between its end and giving back: nobody comes back to it.
    await w.backend.table.update(keys.run(NS, second), [Set("status", "CANCELLED")])
    w.clock.advance(MENDED_SECONDS)
    await w.engine.sweep()
    await w.drive()
    assert held(w) == {third}
    assert (await w.view(third)).status == "WAITING"
