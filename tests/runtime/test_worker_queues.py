"""Several queues share the slots of one worker."""

from tests.runtime.workers import Bench, Gate, eventually, working

QUIET, BUSY = "default/quiet", "default/busy"


async def test_messages_of_every_queue_are_worked_on(bench: Bench) -> None:
    await bench.send("a", queue=QUIET)
    await bench.send("b", "c", queue=BUSY)
    async with working(bench.worker((QUIET, BUSY))):
        await eventually(lambda: sorted(bench.engine.ended) == ["a", "b", "c"])


async def test_a_quiet_queue_leaves_the_slots_to_a_busy_one(bench: Bench) -> None:
    gate = Gate()
    bench.engine.otherwise = gate
    await bench.send(queue=QUIET)
    await bench.send(*(str(number) for number in range(20)), queue=BUSY)
    async with working(bench.worker((QUIET, BUSY), concurrency=8)):
        await eventually(lambda: bench.engine.active == 7)  # the eighth slot listens to the quiet queue
        gate.open()
        await eventually(lambda: len(bench.engine.ended) == 20)


async def test_a_quiet_queue_is_heard_while_another_one_is_busy(bench: Bench) -> None:
    gate = Gate()
    bench.engine.otherwise = gate
    await bench.send(queue=QUIET)
    await bench.send(*(str(number) for number in range(20)), queue=BUSY)
    async with working(bench.worker((QUIET, BUSY), concurrency=8)):
        await eventually(lambda: bench.engine.active == 7)
        await bench.send("heard", queue=QUIET)
        await eventually(lambda: "heard" in bench.engine.begun)
        gate.open()
