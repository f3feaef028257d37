"""Finished messages are deleted soon, in company."""

from karman_core.domain.errors import BackendError, Throttled
from tests.runtime.workers import Bench, eventually, working


async def test_deletes_are_collected(bench: Bench) -> None:
    await bench.send(*(str(number) for number in range(100)))
    async with working(bench.worker(concurrency=50)):
        await eventually(lambda: len(bench.engine.ended) == 100)

    assert sum(map(len, bench.queue.named("delete"))) == 100
    assert len(bench.queue.named("delete")) <= 20
    assert await bench.left() == 0


async def test_what_is_pending_is_deleted_before_the_worker_ends(bench: Bench) -> None:
    await bench.send("a")
    worker = bench.worker()
    async with working(worker):
        await eventually(lambda: bench.engine.ended == ["a"])
        worker.stop()

    assert await bench.left() == 0


async def test_a_delete_is_tried_again(bench: Bench) -> None:
    bench.queue.faults["delete"] = [Throttled("slow down")]
    await bench.send("a")
    async with working(bench.worker()):
        await bench.called("delete", 1)
        bench.clock.skip(1)
        await bench.called("delete", 2)
    assert await bench.left() == 0


async def test_a_delete_that_cannot_be_made_is_dropped_and_the_work_goes_on(bench: Bench) -> None:
    bench.queue.faults["delete"] = [BackendError("broken")]
    await bench.send("a")
    async with working(bench.worker()):
        await bench.called("delete", 1)
        await bench.send("b")
        await bench.called("delete", 2)

    assert await bench.left() == 1
