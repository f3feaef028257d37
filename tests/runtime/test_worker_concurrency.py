"""How much a worker takes on: never more than it has room for, and several messages at a time."""

import pytest

from karman_core.ports.queue import Outgoing
from tests.runtime.workers import QUEUE, Bench, Gate, eventually, working


async def test_messages_are_worked_on_at_the_same_time(bench: Bench) -> None:
    gate = Gate()
    bench.engine.otherwise = gate
    await bench.send("a", "b", "c")
    async with working(bench.worker(concurrency=4)):
        await eventually(lambda: bench.engine.active == 3)
        gate.open()
        await eventually(lambda: len(bench.engine.ended) == 3)


async def test_no_more_is_received_than_there_are_free_slots(bench: Bench) -> None:
    gate = Gate()
    bench.engine.otherwise = gate
    await bench.send(*(str(number) for number in range(25)))
    async with working(bench.worker(concurrency=12)):
        await eventually(lambda: bench.engine.active == 12)

        assert (await bench.queue.depth(QUEUE)).ready == 13

        gate.open()
        await eventually(lambda: len(bench.engine.ended) == 25)
    assert bench.engine.most_active == 12
    assert await bench.left() == 0


async def test_a_receive_asks_for_at_most_ten(bench: Bench) -> None:
    await bench.send(*(str(number) for number in range(30)))
    async with working(bench.worker(concurrency=100)):
        await eventually(lambda: len(bench.engine.ended) == 30)

    assert max(limit for _, limit, _ in bench.queue.named("receive")) == 10


async def test_a_busy_worker_receives_in_batches(bench: Bench) -> None:
    await bench.send(*(str(number) for number in range(200)))
    async with working(bench.worker(concurrency=10)):
        await eventually(lambda: len(bench.engine.ended) == 200)

    assert len(bench.queue.named("receive")) <= 60


async def test_a_message_that_comes_while_it_waits_is_taken_at_once(bench: Bench) -> None:
    await bench.send()
    async with working(bench.worker()):
        await bench.called("receive", 1)
        await bench.queue.send(QUEUE, [Outgoing("late")])
        await eventually(lambda: bench.engine.ended == ["late"])


def test_a_worker_has_a_slot_for_each_of_its_queues(bench: Bench) -> None:
    with pytest.raises(ValueError, match="slot for each"):
        bench.worker(("default/a", "default/b"), concurrency=1)
    with pytest.raises(ValueError, match="at least one queue"):
        bench.worker(())
