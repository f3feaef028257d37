"""A worker that lost its lease goes on with a run that was retried meanwhile."""

from __future__ import annotations

from tests.scenario.epochs import broken_until
from tests.scenario.harness import HOME, NS, World, node
from tests.scenario.invariants import check


async def test_a_message_of_an_earlier_epoch_leaves_a_reopened_state_alone() -> None:
    """It would run the state for the epoch that has ended, and the retry's command, delivered later, open it again."""
    w = World({"a": broken_until(2)})
    await w.define(node("a"))
    run_id = await w.start()
    late = await w.take()
    await w.process(late)
    assert (await w.view(run_id)).status == "FAILED"
    await w.engine.retry(NS, run_id)
    await w.process(late, again=True)
    messages = await w.backend.queue.receive(HOME)
    # What the late worker sent, then the retry's command once more, then the retried state.
    messages.sort(key=lambda message: ('"e":1' in message.body, '"k":"retry"' in message.body))
    for message in messages:
        await w.process(message)
        await w.backend.queue.delete(HOME, [message.receipt])
    await w.backend.queue.delete(HOME, [late.receipt])
    await w.drive()
    assert (await check(w, run_id)).status == "FAILED"
    assert w.executor.executed["a"] == 2
    w.backend.close()
