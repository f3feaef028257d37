"""A batch that Lambda received: its messages are worked on together, each for itself, within the time that there is."""

import asyncio
from collections.abc import Sequence

import pytest

from karman_core.domain.errors import BackendError, Throttled, Unavailable
from karman_core.engine import Disposition
from karman_core.ports.observer import LeaseLost, Observation
from karman_core.ports.queue import Incoming, Outgoing
from karman_runtime.batches import SHORTENING_SECONDS, BatchWorker, Times
from tests.runtime.workers import QUEUE, Bench, Gate, eventually, settled

VISIBILITY = 900


class Observed:
    def __init__(self) -> None:
        self.all: list[Observation] = []

    def observe(self, observation: Observation) -> None:
        self.all.append(observation)


def worker(bench: Bench, observed: Observed | None = None) -> BatchWorker:
    return BatchWorker(bench.engine, bench.queue, QUEUE, bench.clock, 60, observed)


async def received(bench: Bench, *bodies: str, receives: int = 1) -> list[Incoming]:
    """Messages as Lambda's poller has them: hidden for longer than the function may run."""
    await bench.queue.create(QUEUE)
    await bench.backend.queue.send(QUEUE, [Outgoing(body) for body in bodies])
    for _ in range(receives - 1):
        early = await bench.backend.queue.receive(QUEUE, lease_seconds=1)
        await bench.backend.queue.extend(QUEUE, [message.receipt for message in early], 0)
    messages = await bench.backend.queue.receive(QUEUE, lease_seconds=VISIBILITY)
    assert len(messages) == len(bodies)
    return messages


def times(bench: Bench, seconds: float = 600.0, handover: float = 10.0) -> Times:
    return Times.within(bench.clock.now_ms(), int(seconds * 1000), handover)


async def run(bench: Bench, messages: Sequence[Incoming], within: Times | None = None) -> list[str]:
    """The bodies of the messages that are to be delivered again."""
    again = await worker(bench).work(messages, within or times(bench))
    by_id = {message.id: message.body for message in messages}
    return sorted(by_id[message_id] for message_id in again)


async def test_messages_are_worked_on_side_by_side_and_what_ends_together_is_left_to_lambda(
    bench: Bench,
) -> None:
    gate = Gate()
    bench.engine.otherwise = gate
    messages = await received(bench, *"abcdefghij")
    working = asyncio.create_task(run(bench, messages))
    await eventually(lambda: bench.engine.active == 10)
    gate.open()

    assert await working == []
    assert bench.queue.named("delete") == []


async def test_one_call_shortens_the_visibility_to_the_lease_and_beats_extend_it(bench: Bench) -> None:
    gate = Gate()
    bench.engine.otherwise = gate
    messages = await received(bench, "a", "b")
    working = asyncio.create_task(run(bench, messages))
    await bench.called("extend", 1)
    assert bench.queue.named("extend") == [(tuple(message.receipt for message in messages), 60)]
    for beats in range(2, 6):
        bench.clock.skip(20)
        await bench.called("extend", beats)
    gate.open()

    assert await working == []


async def test_nothing_is_worked_on_before_the_leases_are_short(bench: Bench) -> None:
    """A node that kills the process at once would hide its batch for the queue's visibility."""
    bench.queue.extend_gate = asyncio.Event()
    messages = await received(bench, "a", "b")
    working = asyncio.create_task(run(bench, messages))
    await bench.called("extend", 1)
    await settled()
    assert bench.engine.begun == []
    bench.queue.extend_gate.set()

    assert await working == []
    assert sorted(bench.engine.begun) == ["a", "b"]


async def test_a_queue_that_does_not_answer_holds_work_up_for_a_moment_only(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.queue.extend_gate = asyncio.Event()
    messages = await received(bench, "a")
    working = asyncio.create_task(run(bench, messages))
    await bench.called("extend", 1)
    await eventually(lambda: bench.clock.sleeps(SHORTENING_SECONDS))
    await settled()
    assert bench.engine.begun == []
    bench.clock.skip(SHORTENING_SECONDS)
    await bench.ended("a")
    bench.queue.extend_gate.set()

    assert await working == []
    assert "leases not shortened in time" in caplog.text


async def test_a_queue_that_refuses_does_not_hold_work_up(bench: Bench) -> None:
    bench.queue.faults["extend"] = [Throttled("slow down")]

    assert await run(bench, await received(bench, "a")) == []
    assert bench.engine.ended == ["a"]


async def test_what_a_killed_process_held_comes_again_after_the_lease(bench: Bench) -> None:
    bench.engine.otherwise = Gate()
    messages = await received(bench, "a")
    working = asyncio.create_task(run(bench, messages))
    await bench.called("extend", 1)
    await eventually(lambda: bench.engine.active == 1)
    working.cancel()
    await asyncio.wait([working])
    bench.clock.skip(61)

    assert len(await bench.backend.queue.receive(QUEUE)) == 1


async def test_a_finished_message_does_not_wait_for_its_slowest_mate(bench: Bench) -> None:
    gate = Gate()
    bench.engine.acts["slow"] = gate
    messages = await received(bench, "quick", "slow")
    working = asyncio.create_task(run(bench, messages))
    await bench.called("delete", 1)
    assert bench.queue.named("delete") == [(messages[0].receipt,)]
    assert bench.engine.active == 1
    gate.open()

    assert await working == []
    assert len(bench.queue.named("delete")) == 1


async def test_a_fault_keeps_its_message_and_harms_no_other(bench: Bench) -> None:
    async def broken(message: Incoming) -> Disposition:
        raise ZeroDivisionError

    async def refused(message: Incoming) -> Disposition:
        raise BackendError("no")

    async def busy(message: Incoming) -> Disposition:
        raise Throttled("slow down")

    bench.engine.acts.update(broken=broken, refused=refused, busy=busy)
    messages = await received(bench, "broken", "fine", "refused", "busy", "good")

    assert await run(bench, messages) == ["broken", "busy", "refused"]
    put_off = [(receipts, seconds) for receipts, seconds in bench.queue.named("extend") if seconds != 60]
    assert put_off == [((messages[3].receipt,), 2)]


async def test_the_engine_may_keep_a_message(bench: Bench) -> None:
    async def keep(message: Incoming) -> Disposition:
        return Disposition.KEEP

    bench.engine.acts["kept"] = keep
    assert await run(bench, await received(bench, "kept", "done")) == ["kept"]


async def test_faults_of_the_queue_stop_nothing(bench: Bench) -> None:
    async def busy(message: Incoming) -> Disposition:
        raise Unavailable("gone")

    bench.queue.faults["extend"] = [Unavailable("gone")] * 3
    bench.engine.acts["busy"] = busy
    assert await run(bench, await received(bench, "a", "busy")) == ["busy"]


async def test_at_the_end_of_the_time_work_is_given_back(bench: Bench) -> None:
    async def long(message: Incoming) -> Disposition:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return Disposition.DONE  # as the engine does, once it has sent the work back
        raise AssertionError

    bench.engine.acts["long"] = long
    within = times(bench, 100)
    working = asyncio.create_task(run(bench, await received(bench, "long", "short"), within))
    await eventually(lambda: bench.engine.active == 1)
    bench.clock.jump_to(within.cancel_ms)

    assert await working == []


async def test_work_that_cannot_be_given_back_is_left_to_its_lease_in_time(bench: Bench) -> None:
    held = Gate()

    async def deaf(message: Incoming) -> Disposition:
        while True:
            try:
                return await held(message)
            except asyncio.CancelledError:
                continue

    bench.engine.acts["deaf"] = deaf
    within = times(bench, 100)
    working = asyncio.create_task(run(bench, await received(bench, "deaf", "short"), within))
    await eventually(lambda: bench.engine.active == 1)
    bench.clock.jump_to(within.cancel_ms)
    await settled()
    assert not working.done()
    bench.clock.jump_to(within.end_ms)

    assert await working == ["deaf"]
    assert bench.clock.now_ms() < within.begun_ms + 100_000
    held.open()
    await eventually(lambda: bench.engine.active == 0)


async def test_what_may_kill_its_workers_is_worked_on_last_and_alone(bench: Bench) -> None:
    gate = Gate()
    bench.engine.acts["fresh"] = gate
    suspects = await received(bench, "x", "y", receives=3)
    fresh = await received(bench, "fresh")
    working = asyncio.create_task(run(bench, [*suspects, *fresh]))
    await eventually(lambda: bench.engine.active == 1)
    await settled()
    assert bench.engine.begun == ["fresh"]
    gate.open()

    assert await working == []
    assert sorted(bench.engine.begun[1:]) == ["x", "y"]
    assert bench.engine.most_active == 1


async def test_it_is_given_back_when_the_others_took_most_of_the_time(bench: Bench) -> None:
    gate = Gate()
    bench.engine.acts["fresh"] = gate
    suspects = await received(bench, "x", receives=3)
    fresh = await received(bench, "fresh")
    working = asyncio.create_task(run(bench, [*suspects, *fresh], times(bench, 100)))
    await eventually(lambda: bench.engine.active == 1)
    bench.clock.skip(50)
    gate.open()

    assert await working == ["x"]
    assert ((suspects[0].receipt,), 0) in bench.queue.named("extend")
    assert bench.engine.begun == ["fresh"]


async def test_of_several_such_messages_one_that_takes_all_the_time_does_not_fail_the_next(
    bench: Bench,
) -> None:
    gate = Gate()
    bench.engine.otherwise = gate
    suspects = await received(bench, "x", "y", receives=3)
    working = asyncio.create_task(run(bench, suspects, times(bench, 100)))
    await eventually(lambda: bench.engine.active == 1)
    bench.clock.skip(50)
    gate.open()

    (first,) = bench.engine.begun
    assert await working == sorted({"x", "y"} - {first})
    assert bench.engine.begun == [first]


async def test_by_itself_it_is_worked_on_whatever_the_time(bench: Bench) -> None:
    assert await run(bench, await received(bench, "x", receives=5), times(bench, 1)) == []


async def test_a_lease_that_was_lost_is_told(bench: Bench) -> None:
    gate, observed = Gate(), Observed()
    bench.engine.otherwise = gate
    messages = await received(bench, "a")
    working = asyncio.create_task(worker(bench, observed).work(messages, times(bench)))
    await bench.called("extend", 1)
    await bench.backend.queue.extend(QUEUE, [messages[0].receipt], 0)
    await bench.backend.queue.receive(QUEUE)
    bench.clock.skip(20)
    await eventually(lambda: observed.all == [LeaseLost(QUEUE, messages[0].id)])
    gate.open()
    assert await working == []


@pytest.mark.parametrize(
    ("remaining", "handover", "until", "cancel", "end"),
    [(900_000, 10, 890_000, 897_500, 899_000), (8_000, 10, 6_000, 7_500, 7_800)],
)
def test_the_hand_over_takes_what_is_set_or_a_quarter(
    remaining: int, handover: float, until: int, cancel: int, end: int
) -> None:
    assert Times.within(0, remaining, handover) == Times(0, until, cancel, end)
