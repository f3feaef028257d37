"""Leases are extended while the work goes on; one that is lost does not stop the work."""

import pytest

from karman_core.domain.errors import Throttled
from tests.runtime.workers import QUEUE, Bench, Gate, eventually, working


async def test_leases_of_long_work_are_extended_in_one_call(bench: Bench) -> None:
    gate = Gate()
    bench.engine.otherwise = gate
    await bench.send("a", "b", "c")
    async with working(bench.worker(lease_seconds=60)):
        await eventually(lambda: bench.engine.active == 3)
        for beats in range(1, 8):  # more than two leases
            bench.clock.skip(20)
            await bench.called("extend", beats)
        gate.open()
        await eventually(lambda: len(bench.engine.ended) == 3)

    assert all(len(receipts) == 3 for receipts, _ in bench.queue.named("extend"))
    assert len(bench.engine.begun) == 3
    assert await bench.left() == 0


async def test_nothing_is_extended_while_nothing_is_in_flight(bench: Bench) -> None:
    await bench.send()
    worker = bench.worker(lease_seconds=60)
    async with working(worker):
        await bench.called("receive", 1)
        bench.clock.skip(20)
        await eventually(lambda: worker.snapshot().last_beat_ms is not None)

    assert bench.queue.named("extend") == []


async def test_a_beat_that_fails_is_made_up_for_before_the_lease_ends(bench: Bench) -> None:
    gate = Gate()
    bench.engine.otherwise = gate
    bench.queue.faults["extend"] = [Throttled("slow down")]
    await bench.send("a")
    async with working(bench.worker(lease_seconds=60)):
        await eventually(lambda: bench.engine.active == 1)
        bench.clock.skip(20)
        await bench.called("extend", 1)
        bench.clock.skip(5)
        await bench.called("extend", 2)
        gate.open()
    assert bench.engine.begun == ["a"]


async def test_work_whose_lease_was_lost_goes_on_and_is_noted(bench: Bench) -> None:
    gate = Gate()
    bench.engine.otherwise = gate
    await bench.send("a")
    worker = bench.worker(lease_seconds=60)
    async with working(worker):
        await eventually(lambda: bench.engine.active == 1)
        # Another worker is quicker than the beat: the machine stood still for longer than the lease.
        bench.queue.faults["receive"] = [Throttled("not now")] * 3
        bench.clock.skip(61)
        other = await bench.backend.queue.receive(QUEUE, lease_seconds=600)
        await eventually(lambda: worker.snapshot().lost_leases == 1)
        gate.open()
        await eventually(lambda: bench.engine.ended == ["a"])

    assert [message.receive_count for message in other] == [2]
    assert await bench.left() == 1  # the delete named a delivery that counts no more


async def test_a_message_that_comes_again_to_the_worker_at_work_on_it_is_not_begun_twice(
    bench: Bench,
) -> None:
    gate = Gate()
    bench.engine.otherwise = gate
    await bench.send("a")
    bench.queue.faults["extend"] = [Throttled("slow down")]
    worker = bench.worker(lease_seconds=60)
    async with working(worker):
        await eventually(lambda: bench.engine.active == 1)
        bench.clock.skip(61)
        await eventually(lambda: worker.snapshot().received == 2)
        gate.open()
        await eventually(lambda: bench.engine.ended == ["a"])

    assert bench.engine.begun == ["a"]
    assert await bench.left() == 0  # the delete names the delivery that counts


async def test_a_loop_that_was_blocked_is_pointed_out(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    await bench.send()
    worker = bench.worker(lease_seconds=60)
    async with working(worker):
        await bench.called("receive", 1)
        bench.clock.skip(60)
        await eventually(lambda: worker.snapshot().last_beat_ms is not None)

    assert any("event loop blocked" in record.message for record in caplog.records)
