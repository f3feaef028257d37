"""What goes wrong with one message stays with it."""

import logging

import pytest

from karman_core.domain.errors import BackendError, NotFound, Throttled, Unavailable
from karman_core.engine import Disposition
from karman_core.ports.queue import Incoming
from tests.runtime.workers import QUEUE, Act, Bench, eventually, working


def failing(error: Exception) -> Act:
    async def act(message: Incoming) -> Disposition:
        raise error

    return act


async def keep(message: Incoming) -> Disposition:
    return Disposition.KEEP


@pytest.mark.parametrize("error", [RuntimeError("a bug"), NotFound("no such graph"), BackendError("broken")])
async def test_a_message_that_fails_stays_and_harms_no_other(
    bench: Bench, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    bench.engine.acts["bad"] = failing(error)
    await bench.send("good", "bad", "better")
    worker = bench.worker()
    async with working(worker):
        await eventually(lambda: len(bench.engine.ended) == 3)
        await eventually(lambda: worker.snapshot().in_flight == 0)

    assert await bench.left() == 1
    assert worker.snapshot().failed == 1
    assert worker.snapshot().finished == 2
    assert "message failed" in [record.message for record in caplog.records]


async def test_what_failed_is_delivered_again_when_its_lease_ends(bench: Bench) -> None:
    bench.engine.acts["bad"] = failing(RuntimeError("a bug"))
    await bench.send("bad")
    async with working(bench.worker(lease_seconds=60)):
        await eventually(lambda: bench.engine.ended == ["bad"])
        del bench.engine.acts["bad"]
        bench.clock.skip(61)
        await eventually(lambda: bench.engine.ended == ["bad", "bad"])
    assert await bench.left() == 0


@pytest.mark.parametrize("error", [Throttled("too fast"), Unavailable("no answer")])
async def test_a_busy_backend_sees_the_message_again_after_a_short_while(
    bench: Bench, error: Exception
) -> None:
    bench.engine.acts["bad"] = failing(error)
    await bench.send("bad")
    async with working(bench.worker(lease_seconds=60)):
        await bench.called("extend", 1)
        assert bench.queue.named("extend")[0][1] == 2
        bench.clock.skip(3)
        await bench.called("extend", 2)
        assert bench.queue.named("extend")[1][1] == 4


async def test_a_kept_message_stays(bench: Bench) -> None:
    bench.engine.otherwise = keep
    await bench.send("later")
    worker = bench.worker()
    async with working(worker):
        await eventually(lambda: worker.snapshot().kept == 1)

    assert await bench.left() == 1


async def test_a_queue_that_throttles_is_asked_again_after_a_growing_pause(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.queue.faults["receive"] = [Throttled("slow down"), Unavailable("no answer"), Throttled("slow down")]
    await bench.send("a")
    async with working(bench.worker()):
        for calls in (1, 2, 3):
            await bench.called("receive", calls)
            bench.clock.skip(1)
        await eventually(lambda: bench.engine.ended == ["a"])

    pauses = [vars(record)["pause"] for record in caplog.records if record.message == "receive failed"]
    assert pauses == [0.1, 0.2, 0.4]


async def test_a_queue_that_is_broken_ends_the_worker(bench: Bench) -> None:
    bench.queue.faults["receive"] = [BackendError("the file is damaged")]
    await bench.send()

    with pytest.raises(BackendError, match="damaged"):
        await bench.worker().run()


async def test_a_missing_queue_ends_the_worker(bench: Bench) -> None:
    with pytest.raises(NotFound, match=QUEUE):
        await bench.worker().run()


async def test_a_message_that_was_received_too_often_is_dead(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    bench.engine.acts["bad"] = failing(RuntimeError("a bug"))
    await bench.send("bad")
    async with working(bench.worker(lease_seconds=60, max_receives=3)):
        for receives in (1, 2, 3):
            await bench.ended(*["bad"] * receives)
            bench.clock.skip(61)
        await eventually(lambda: bench.engine.dead == ["bad"])
    assert await bench.left() == 0


async def test_a_dead_message_of_no_run_is_buried(bench: Bench) -> None:
    bench.engine.acts["bad"] = keep
    bench.engine.knows_dead = False
    await bench.send("bad")
    async with working(bench.worker(lease_seconds=60, max_receives=1)):
        await eventually(lambda: bench.engine.ended == ["bad"])
        bench.clock.skip(61)
        await eventually(lambda: bench.queue.named("bury") == ["bad"])
    assert [letter.body for letter in bench.backend.queue.dead_letters(QUEUE)] == ["bad"]
