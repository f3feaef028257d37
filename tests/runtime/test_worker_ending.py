"""How a worker ends: it stops receiving, lets nodes finish for a while, then gives the work back."""

import asyncio

import pytest

from karman_core.engine import Disposition
from karman_core.ports.queue import Incoming, Outgoing
from karman_runtime.worker import GIVE_BACK_SECONDS
from tests.runtime.workers import QUEUE, Bench, Gate, eventually, settled


async def test_what_is_running_may_finish(bench: Bench) -> None:
    gate = Gate()
    bench.engine.otherwise = gate
    await bench.send("a", "b")
    worker = bench.worker()
    running = asyncio.create_task(worker.run())
    await eventually(lambda: bench.engine.active == 2)
    worker.stop()
    await eventually(bench.engine.stopping)
    assert not running.done()
    gate.open()
    await running

    assert worker.snapshot().finished == 2
    assert await bench.left() == 0


async def test_nothing_is_received_once_it_stops(bench: Bench) -> None:
    gate = Gate()
    bench.engine.otherwise = gate
    await bench.send("a")
    worker = bench.worker()
    running = asyncio.create_task(worker.run())
    await eventually(lambda: bench.engine.active == 1)
    worker.stop()
    await settled()
    await bench.send("b")
    gate.open()
    await running

    assert bench.engine.begun == ["a"]
    assert (await bench.queue.depth(QUEUE)).ready == 1


async def test_leases_are_extended_during_the_grace(bench: Bench) -> None:
    gate = Gate()
    bench.engine.otherwise = gate
    await bench.send("a")
    worker = bench.worker(lease_seconds=60, grace_seconds=600)
    running = asyncio.create_task(worker.run())
    await eventually(lambda: bench.engine.active == 1)
    worker.stop()
    await settled()
    bench.clock.skip(20)
    await bench.called("extend", 1)
    gate.open()
    await running


async def test_after_the_grace_the_engine_gives_the_work_back(bench: Bench) -> None:
    async def give_back_when_cancelled(message: Incoming) -> Disposition:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await bench.queue.send(QUEUE, [Outgoing("given back")])
        return Disposition.DONE

    bench.engine.acts["long"] = give_back_when_cancelled
    await bench.send("long")
    worker = bench.worker(grace_seconds=30)
    running = asyncio.create_task(worker.run())
    await eventually(lambda: bench.engine.active == 1)
    worker.stop()
    await eventually(lambda: bench.clock.sleeps(30))
    bench.clock.skip(31)
    await running

    assert [message.body for message in await bench.queue.receive(QUEUE)] == ["given back"]
    assert await bench.left() == 1


async def test_work_that_ignores_its_cancellation_is_abandoned(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    release = asyncio.Event()

    async def stubborn(message: Incoming) -> Disposition:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        return Disposition.DONE

    bench.engine.otherwise = stubborn
    await bench.send("stubborn")
    worker = bench.worker(grace_seconds=30)
    running = asyncio.create_task(worker.run())
    await eventually(lambda: bench.engine.active == 1)
    worker.stop()
    await eventually(lambda: bench.clock.sleeps(30))
    bench.clock.skip(31)
    await eventually(lambda: bench.clock.sleeps(GIVE_BACK_SECONDS))
    bench.clock.skip(31)
    await running
    release.set()
    await eventually(lambda: bench.engine.active == 0)

    assert "work abandoned until its lease ends" in [record.message for record in caplog.records]
    assert await bench.left() == 1


async def test_it_ends_when_what_it_waits_for_has_come(bench: Bench) -> None:
    await bench.send("a")
    ended = asyncio.Event()

    async def end(message: Incoming) -> Disposition:
        ended.set()
        return Disposition.DONE

    bench.engine.acts["a"] = end
    worker = bench.worker()
    await worker.run_until(ended.wait())

    assert bench.engine.ended == ["a"]
    assert worker.snapshot().stopping
    assert await bench.left() == 0


async def test_it_raises_what_it_waits_for_raised(bench: Bench) -> None:
    async def fail() -> None:
        raise LookupError("gone")

    await bench.send()

    with pytest.raises(LookupError, match="gone"):
        await bench.worker().run_until(fail())


async def test_an_idle_worker_ends_at_once(bench: Bench) -> None:
    await bench.send()
    worker = bench.worker()
    running = asyncio.create_task(worker.run())
    await bench.called("receive", 1)
    worker.stop()
    # Nobody skips the time that its receive would wait.
    await asyncio.wait_for(running, 60)


@pytest.mark.parametrize("finishes", [True, False])
async def test_what_a_receive_gets_after_the_stop_is_given_back(bench: Bench, *, finishes: bool) -> None:
    await bench.send("late")
    bench.queue.receive_gate = asyncio.Event()
    worker = bench.worker(finishes_receives=finishes)
    running = asyncio.create_task(worker.run())
    await bench.called("receive", 1)
    worker.stop()
    await settled()  # the receiver is cancelled
    bench.queue.receive_gate.set()
    await running

    assert bench.engine.begun == []
    assert (await bench.queue.depth(QUEUE)).ready == 1  # for the next worker, at once
    assert len(bench.queue.named("extend")) == finishes
