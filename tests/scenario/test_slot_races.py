"""Slots while several processes take them, give them back and end runs at the same moment."""

from __future__ import annotations

import random

import pytest

from karman_core.domain.errors import Conflict
from karman_core.domain.outcome import Requeued
from karman_core.ports.queue import Incoming
from tests.scenario.faults import Call, once
from tests.scenario.harness import HOME, NS, World
from tests.scenario.slots import CUSTOMER, WAITS, break_once, held, left, limited, statuses, wait, waiting


@pytest.mark.parametrize("seed", range(8))
async def test_never_more_than_the_limit_whatever_comes_in_between(seed: int) -> None:
    """Several workers at once, messages in any order and twice, cancels in between."""
    chance = random.Random(seed)
    w = await limited(2, scripts={"a": lambda e: {} if e.turn else Requeued(500)}, key=CUSTOMER)
    runs = [await w.start(inputs={"customer": chance.choice("ab")}) for _ in range(8)]
    w.order, w.faults.yields, w.repeats = chance, chance, 0.3
    doomed = chance.sample(runs, 2)

    async def interfere(call: Call) -> None:
        if doomed and call.name in {"table.transact", "queue.send"} and chance.random() < 0.2:
            await _cancel(w, doomed.pop())

    w.faults.after.append(interfere)
    await w.drive(at_once=5)
    found = await statuses(w, runs)
    assert set(found) <= {"SUCCEEDED", "CANCELLED"}, found
    assert found.count("CANCELLED") <= 2
    assert left(w) == []
    assert w.messages_left() == 0
    w.backend.close()


async def _cancel(w: World, run_id: str) -> None:
    try:
        await w.api().cancel(NS, run_id)
    except Conflict:
        return


async def test_who_looks_for_a_slot_while_the_last_one_is_given_back_gets_it() -> None:
    """The one has written that it waits, the other has looked for who waits: one of them sees the other."""
    w = await limited(1, scripts=WAITS)
    first, second = await w.start(), await w.start()
    await w.process(await _first_of(w, first))

    async def end() -> None:
        await w.api().cancel(NS, first)
        assert waiting(w) == []

    once(w.faults.before, "table.put", end, where=lambda call: call.arguments[0]["sk"].startswith("wait#"))
    await w.process(await _first_of(w, second))
    assert held(w) == {second}
    await w.drive()
    assert await statuses(w, [first, second]) == ["CANCELLED", "WAITING"]


async def test_a_slot_is_not_taken_for_a_run_that_took_it_itself_and_has_ended() -> None:
    w = await limited(1, scripts={"a": lambda e: {} if w_ends else wait(e)})
    w_ends: list[bool] = []
    first, second = await w.start(), await w.start()
    await w.drive()
    assert await statuses(w, [first, second]) == ["WAITING", "QUEUED"]

    async def work() -> None:
        w_ends.append(True)
        await w.other_worker().process(HOME, await _first_of(w, second))
        assert (await w.view(second)).status == "SUCCEEDED"

    # The message of the second run was sent; its slot is about to be taken in its name.
    once(w.faults.before, "table.transact", work, where=lambda call: len(call.arguments[0]) == 3)
    await w.api().cancel(NS, first)
    assert await statuses(w, [first, second]) == ["CANCELLED", "SUCCEEDED"]
    assert left(w) == []


async def test_a_retry_takes_over_the_slot_that_was_not_given_back_yet() -> None:
    w = await limited(1, scripts={"a": break_once})
    run_id = await w.start()
    message = await w.take()

    async def fail() -> None:
        raise RuntimeError("the process is cut off")

    once(w.faults.before, "table.transact", fail, where=lambda _: held(w) == {run_id})
    with pytest.raises(RuntimeError):
        await w.process(message)
    assert (await statuses(w, [run_id]), held(w)) == (["FAILED"], {run_id})
    await w.engine.retry(NS, run_id)
    await w.process(message, again=True)
    await w.drive()
    assert (await statuses(w, [run_id]), held(w)) == (["WAITING"], {run_id})


async def test_a_retry_that_was_not_acknowledged_and_has_lost_its_slot_is_not_made() -> None:
    w = await limited(1, scripts={"a": break_once})
    run_id = (await w.finish()).run_id

    async def fail() -> None:
        raise RuntimeError("the process is cut off")

    once(w.faults.after, "queue.send", fail)
    with pytest.raises(RuntimeError):
        await w.engine.retry(NS, run_id)
    assert (held(w), w.messages_left()) == (set(), 1)
    await w.drive()
    run = await w.view(run_id)
    assert (run.status, run.epoch) == ("FAILED", 0)
    await w.engine.retry(NS, run_id)
    await w.drive()
    assert (await w.view(run_id)).status == "WAITING"


async def test_a_slot_that_was_just_given_back_is_for_who_waits() -> None:
    w = await limited(1, scripts=WAITS)
    first, second = await w.start(), await w.start()
    await w.drive()
    third = await w.start()

    async def come() -> None:
        assert held(w) == set()
        await w.other_worker().process(HOME, await _first_of(w, third))

    once(w.faults.after, "table.transact", come)
    await w.api().cancel(NS, first)
    await w.drive()
    assert await statuses(w, [first, second, third]) == ["CANCELLED", "WAITING", "QUEUED"]


@pytest.mark.parametrize("where", ["before", "after"])
async def test_a_run_that_is_cancelled_while_it_takes_its_slot_holds_none_and_begins_nothing(
    where: str,
) -> None:
    w = await limited(1)
    run_id = await w.start()

    async def cancel() -> None:
        await w.api().cancel(NS, run_id)
        assert (await w.view(run_id)).status == "CANCELLED"

    once(getattr(w.faults, where), "table.transact", cancel)
    await w.process(await _first_of(w, run_id))
    assert left(w) == []
    assert not w.executor.executed


async def test_a_run_that_is_cancelled_while_it_begins_to_wait_does_not_wait() -> None:
    w = await limited(1, scripts=WAITS)
    first, second = await w.start(), await w.start()
    await w.drive()
    third = await w.start()

    async def cancel() -> None:
        await w.api().cancel(NS, third)

    once(w.faults.before, "table.put", cancel, where=lambda call: call.arguments[0]["sk"].startswith("wait#"))
    await w.process(await _first_of(w, third))
    assert await statuses(w, [first, second, third]) == ["WAITING", "QUEUED", "CANCELLED"]
    assert waiting(w) == [second]


async def _first_of(w: World, run_id: str) -> Incoming:
    """The first message of a run; the others are left where they are."""
    messages = await w.backend.queue.receive(HOME, limit=10)
    (found,) = [message for message in messages if run_id in message.body and '"advance"' in message.body]
    for message in messages:
        if message is not found:
            await w.backend.queue.extend(HOME, [message.receipt], 0)
    return found
