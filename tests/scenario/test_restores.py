"""A table that was restored as it stood some time ago: what its runs need to end as they would have.

The runbook (docs/operate.md) empties the queues and the timers first. The last test tells why: they are of a later time
than the table, and a unite's message does not say whether the branches that it unites are in this table.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from karman_core.domain.errors import NotFound
from karman_core.domain.outcome import StoreIncrement
from karman_core.engine import EngineSettings
from karman_core.ports.executor import Execution
from tests.scenario.harness import HOME, NS, World, node
from tests.scenario.nodes import Answer, give_inputs, then
from tests.upgrade import scene, snapshots
from tests.upgrade.record import DEPLOYMENT

SETTINGS = EngineSettings(
    shard_width=4, direct_branches=3, inline_payload_bytes=300, carried_value_bytes=100, inline_states=1
)
LARGE = "".join(hashlib.sha256(b"%d" % number).hexdigest() for number in range(20))
"""Is a blob, and is read from the table by the states after it."""


def count(execution: Execution) -> Answer:
    return then({"y": execution.inputs["x"], "t": execution.inputs["t"][-1]}, StoreIncrement("n", 1))


SCRIPTS: dict[str, Any] = {
    "a": lambda _: [{"x": number, "text": f"{LARGE}{number}"} for number in range(7)],
    "b": count,
    "c": lambda execution: {"z": execution.inputs["y"], "w": execution.inputs["t"][-1]},
    "u": give_inputs,
    "v": give_inputs,
}
GRAPH = (
    node("a", "b"),
    node("b", "c", x="${{ a.outputs.x }}", t="${{ a.outputs.text }}"),
    node("c", "u", y="${{ b.outputs.y }}", t="${{ a.outputs.text }}"),
    node("u", "v", unites="a", zs="${{ c.outputs.z }}", ws="${{ c.outputs.w }}"),
    node("v", zs="${{ u.outputs.zs }}", ws="${{ u.outputs.ws }}"),
)
RIGHT = {"zs": list(range(7)), "ws": [str(number) for number in range(7)]}
MESSAGES = 19
"""Of a run."""


async def begun() -> tuple[World, str]:
    w = World(SCRIPTS, settings=SETTINGS)
    await w.define(*GRAPH, store_config={"default_values": {"n": 0}})
    return w, await w.start()


async def work(w: World, messages: int) -> None:
    """Work on so many messages, one after the other."""
    for _ in range(messages):
        received = await w.backend.queue.receive(HOME, limit=1)
        if not received:
            return
        await w.process(received[0])
        await w.backend.queue.delete(HOME, [received[0].receipt])


async def restore(w: World, table: snapshots.Snapshot, *, empty_queues: bool = True) -> None:
    """The table as it was. Blobs are never restored; every process begins anew."""
    with w.backend.database.write() as connection:
        connection.execute("DELETE FROM items")
    await snapshots.put_items(w, table)
    if empty_queues:
        await w.lose_messages()
    w.restart()


async def sweep(w: World) -> None:
    """What happens in the hours after."""
    await w.drive()
    for _ in range(3):
        w.clock.advance(2 * 3600)
        assert (await w.engine.sweep()).failed == 0
        await w.drive()


@pytest.mark.parametrize("later", [1, 9, MESSAGES])
async def test_with_empty_queues_a_run_ends_as_it_would_have(later: int) -> None:
    for at in range(1, MESSAGES, 2):
        w, run_id = await begun()
        await work(w, at)
        table = await snapshots.take(w)
        await work(w, later)
        before = {execution.state_id for execution in w.executor.log}
        await restore(w, table)
        w.executor.log.clear()
        await sweep(w)

        run = await w.view(run_id)
        assert (run.status, run.result) == ("SUCCEEDED", RIGHT), at
        assert (run.totals.succeeded, run.totals.failed) == (17, 0)
        assert await w.store(run_id) == {"n": 7}
        # What had been executed after that time is executed again, under the same id.
        again = {execution.state_id for execution in w.executor.log} & before
        assert len(again) <= later
        w.backend.close()


async def test_with_empty_queues_a_whole_deployment_goes_on() -> None:
    w = scene.new_world()
    deployment = await scene.begin(w)
    runs, lease = deployment["runs"], deployment["lease"]
    table = await snapshots.take(w)
    await scene.settle(w)
    w.clock.advance(120)
    await scene.settle(w)

    await restore(w, table)
    # A signal that lay in a queue is lost with it; whoever sent it has to send it again.
    await w.engine.signal(NS, runs["asks"], "go", "yes")
    await scene.go_on(w, runs, lease)
    await sweep(w)

    ends = json.loads(DEPLOYMENT.read_text(encoding="utf-8"))["ends"]
    assert await scene.ends(w, runs) == ends
    w.backend.close()


async def test_a_run_that_was_begun_later_is_unknown_and_its_key_is_free() -> None:
    w, _ = await begun()
    table = await snapshots.take(w)
    later = await w.engine.trigger(NS, "g", idempotency_key="k")
    await w.drive()
    await restore(w, table)
    await sweep(w)
    with pytest.raises(NotFound):
        await w.view(later.run_id)
    again = await w.engine.trigger(NS, "g", idempotency_key="k")
    assert (again.run_id, again.created) == (later.run_id, True)
    await w.drive()
    assert (await w.view(again.run_id)).result == RIGHT
    w.backend.close()


async def test_messages_of_a_later_time_make_wrong_ends() -> None:
    ends = []
    for at in range(1, 4):
        w, run_id = await begun()
        await work(w, at)
        table = await snapshots.take(w)
        await work(w, 5)
        await restore(w, table, empty_queues=False)
        await sweep(w)
        run = await w.view(run_id)
        ends.append((run.status, run.result))
        w.backend.close()
    assert ("SUCCEEDED", RIGHT) not in ends, "the runbook need not empty the queues any more"
