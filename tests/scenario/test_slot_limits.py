"""Limits that change, or refuse instead of queueing: for new runs, retries, reruns, and the namespace's quota."""

from __future__ import annotations

import pytest

from karman_core.domain.branches import state_id
from karman_core.domain.errors import Conflict, QuotaExceeded
from karman_core.domain.outcome import Errored
from karman_core.engine import slots
from karman_core.ports.timers import Schedule
from tests.scenario.faults import Crashed, once
from tests.scenario.harness import NS, World, node
from tests.scenario.invariants import check
from tests.scenario.nodes import give_inputs
from tests.scenario.slots import (
    CUSTOMER,
    MENDED_SECONDS,
    WAITS,
    began,
    break_once,
    go,
    held,
    left,
    limited,
    set_quota,
    statuses,
    wait,
    waiting,
)


@pytest.mark.parametrize(("new", "began"), [(3, 3), (1, 0)])
async def test_runs_that_wait_go_by_the_limit_of_the_current_version(new: int, began: int) -> None:
    w = World(WAITS)
    await w.define(node("a"), concurrency={"limit": 2})
    runs = [await w.start() for _ in range(6)]
    await w.drive()
    await w.define(node("a"), concurrency={"limit": new})
    await go(w, runs[0])
    assert (await statuses(w, runs[1:])).count("WAITING") == max(new, 1)
    assert len(held(w)) == new
    w.backend.close()


@pytest.mark.parametrize("after", ["another key", "no limit", "deleted"])
async def test_where_the_current_version_does_not_count_so_the_limit_is_that_of_the_run(after: str) -> None:
    w = World(WAITS)
    await w.define(node("a"), concurrency={"limit": 1})
    runs = [await w.start() for _ in range(3)]
    await w.drive()
    if after == "deleted":
        await w.engine.delete_graph(NS, "g")
    else:
        await w.define(
            node("a"), concurrency={"limit": 9, "key": CUSTOMER} if after == "another key" else None
        )
    for run_id in runs:
        assert held(w) == {run_id}
        await go(w, run_id)
    assert left(w) == []
    w.backend.close()


# --- refused instead of queued ----------------------------------------------------------------------------------------


async def test_a_graph_may_refuse_instead_of_queueing() -> None:
    w = await limited(1, scripts=WAITS, key=CUSTOMER, when_full="refuse")
    first = await w.start(inputs={"customer": "a"}, idempotency_key="k")
    with pytest.raises(
        QuotaExceeded, match=r"no free slot .*of 1 for runs with the concurrency key 'a'"
    ) as caught:
        await w.start(inputs={"customer": "a"})
    assert (caught.value.code, caught.value.status) == ("quota_exceeded", 429)
    assert (await w.engine.trigger(NS, "g", inputs={"customer": "a"}, idempotency_key="k")).run_id == first
    await w.start(inputs={"customer": "b"})
    await w.drive()
    assert len((await w.engine.list_runs(NS)).runs) == 2
    await go(w, first)
    again = await w.start(inputs={"customer": "a"})
    await w.drive()
    assert (await w.view(again)).status == "WAITING"


async def test_a_slot_whose_trigger_died_is_found_when_the_next_one_is_refused() -> None:
    w = await limited(1, when_full="refuse")
    api = w.api()

    async def fail() -> None:
        raise RuntimeError("the process dies")

    once(w.faults.before, "queue.send", fail)
    once(w.faults.before, "table.transact", fail, where=lambda _: held(w))
    with pytest.raises(RuntimeError):
        await api.trigger(NS, "g")
    assert len(held(w)) == 1
    with pytest.raises(QuotaExceeded):
        await w.start()
    w.clock.advance(MENDED_SECONDS)
    run_id = await w.start()
    await w.drive()
    assert (await check(w, run_id)).status == "SUCCEEDED"
    assert left(w) == []


async def test_a_trigger_that_fails_gives_its_slot_back() -> None:
    w = await limited(1, when_full="refuse")

    async def fail() -> None:
        raise RuntimeError("the queue is gone")

    once(w.faults.before, "queue.send", fail)
    with pytest.raises(RuntimeError):
        await w.start()
    assert left(w) == []


@pytest.mark.parametrize("dies", [None, "sending", "sent"])
async def test_a_trigger_that_lost_against_another_of_its_key_keeps_no_slot(dies: str | None) -> None:
    """Where it dies, its message gives back what it took, or what was forgotten is found while the run goes on."""
    w = await limited(1, scripts=WAITS, key=CUSTOMER, when_full="refuse")
    slower = w.api()

    async def come_in_between() -> None:
        await w.engine.trigger(NS, "g", inputs={"customer": "a"}, idempotency_key="k")
        if dies == "sending":
            raise Crashed

    async def die() -> None:
        raise Crashed

    once(w.faults.before, "queue.send", come_in_between)
    if dies == "sent":
        once(w.faults.after, "queue.send", die, where=lambda _: w.messages_left() == 2)
    with pytest.raises(Conflict if dies is None else Crashed):
        await slower.trigger(NS, "g", inputs={"customer": "b"}, idempotency_key="k")
    await w.drive()
    if dies == "sending":
        with pytest.raises(QuotaExceeded):
            await w.start(inputs={"customer": "b"})
        w.clock.advance(MENDED_SECONDS)
    other = await w.start(inputs={"customer": "b"})
    await w.drive()
    runs = began(w)
    assert (len(runs), held(w)) == (2, set(runs))
    for run_id in runs:
        await go(w, run_id)
    assert (await check(w, other)).status == "SUCCEEDED"
    assert left(w) == []


async def test_a_trigger_that_fails_and_lost_against_another_keeps_no_slot() -> None:
    w = await limited(1, scripts=WAITS, key=CUSTOMER, when_full="refuse")

    async def fail() -> None:
        await w.api().trigger(NS, "g", inputs={"customer": "a"}, idempotency_key="k")
        raise RuntimeError("the queue is gone")

    once(w.faults.before, "queue.send", fail)
    with pytest.raises(RuntimeError):
        await w.start(inputs={"customer": "b"}, idempotency_key="k")
    await w.start(inputs={"customer": "b"})
    assert len(began(w)) == 2


async def test_the_slot_of_a_trigger_that_lost_goes_to_who_waits_for_it() -> None:
    """Runs of a version that queues wait beside triggers of one that refuses."""
    w = await limited(1, scripts=WAITS, key=CUSTOMER)
    waits = await w.start(inputs={"customer": "b"}, start_delay_ms=10_000)
    await w.define(node("a"), concurrency={"limit": 1, "key": CUSTOMER, "when_full": "refuse"})

    async def come_in_between() -> None:
        w.clock.advance(11)
        await w.drive()
        assert waiting(w) == [waits]
        await w.engine.trigger(NS, "g", inputs={"customer": "a"}, idempotency_key="k")

    once(w.faults.before, "queue.send", come_in_between)
    with pytest.raises(Conflict):
        await w.api().trigger(NS, "g", inputs={"customer": "b"}, idempotency_key="k")
    await w.drive()
    assert (await statuses(w, [waits]), waiting(w)) == (["WAITING"], [])


# --- retries and reruns -----------------------------------------------------------------------------------------------


async def test_a_retry_takes_a_slot_or_is_refused() -> None:
    w = await limited(1, scripts={"a": break_once})
    first, second = (await w.finish()).run_id, (await w.finish()).run_id
    assert (await w.engine.retry(NS, first)).status == "RUNNING"
    with pytest.raises(QuotaExceeded, match="no free slot"):
        await w.engine.retry(NS, second)
    with pytest.raises(QuotaExceeded):
        await w.engine.operations.retry_state(NS, second, state_id(second, (), 0))
    with pytest.raises(QuotaExceeded):
        await w.engine.operations.skip(NS, second, state_id(second, (), 0), [{"x": 1}], by="local:ann")
    queued = await w.start()
    await w.drive()
    assert await statuses(w, [first, second, queued]) == ["WAITING", "FAILED", "QUEUED"]
    await go(w, first)
    assert await statuses(w, [first, queued]) == ["SUCCEEDED", "FAILED"]
    assert left(w) == []
    await w.engine.operations.skip(NS, second, state_id(second, (), 0), [{"x": 1}], by="local:ann")
    await w.drive()
    assert (await check(w, second)).status == "SUCCEEDED"
    assert left(w) == []


async def test_an_end_that_is_told_again_does_not_give_back_the_slot_of_the_retry() -> None:
    w = await limited(1, scripts={"a": break_once})
    run_id = await w.start()
    message = await w.take()
    await w.process(message)
    assert (await w.view(run_id)).status == "FAILED"

    async def again() -> None:
        await w.process(message, again=True)
        assert held(w) == {run_id}

    # Between taking the slot for the retry and sending its command.
    once(w.faults.before, "queue.send", again)
    await w.engine.retry(NS, run_id)
    await w.process(message, again=True)
    await w.drive()
    assert held(w) == {run_id}
    assert (await w.view(run_id)).status == "WAITING"


async def test_a_retry_that_comes_to_nothing_gives_its_slot_back() -> None:
    w = await limited(1, scripts={"a": lambda _: Errored("Broken", "", retry=False)})
    run_id = (await w.finish()).run_id

    async def fail() -> None:
        raise RuntimeError("the queue is gone")

    once(w.faults.before, "queue.send", fail)
    with pytest.raises(RuntimeError):
        await w.engine.retry(NS, run_id)
    assert left(w) == []


async def test_what_a_retry_gives_back_that_comes_to_nothing_goes_to_who_waits_for_it() -> None:
    w = await limited(1, scripts={"a": break_once})
    failed = (await w.finish()).run_id
    others: list[str] = []

    async def come_in_between() -> None:
        w.executor.scripts["a"] = wait
        others.append(await w.start())
        await w.work()
        assert waiting(w) == others
        raise RuntimeError("the queue is gone")

    once(w.faults.before, "queue.send", come_in_between)
    with pytest.raises(RuntimeError):
        await w.engine.retry(NS, failed)
    await w.drive()
    assert await statuses(w, others) == ["WAITING"]
    assert held(w) == set(others)


async def test_a_rerun_that_is_refused_does_not_keep_the_run_from_being_purged() -> None:
    nodes = (node("a", "b"), node("b", x="${{ a.outputs.x }}"))
    scripts = {"a": give_inputs, "b": give_inputs}
    w = await limited(1, scripts=scripts, nodes=nodes, when_full="refuse")
    old = await w.finish(inputs={"x": 1})
    w.executor.scripts["a"] = wait
    await w.start()
    with pytest.raises(QuotaExceeded):
        await w.engine.operations.rerun(NS, old.run_id, "b")
    assert (await w.engine.operations.purge(NS, old.run_id)).complete


async def test_a_rerun_waits_for_a_slot_of_its_key() -> None:
    nodes = (node("a", "b"), node("b", x="${{ a.outputs.x }}"))
    scripts = {"a": lambda e: {"x": e.inputs.get("customer")}, "b": give_inputs}
    w = await limited(1, scripts=scripts, nodes=nodes, key=CUSTOMER)
    old = await w.finish(inputs={"customer": "a"})
    w.executor.scripts["a"] = wait
    holder = await w.start(inputs={"customer": "a"})
    await w.drive()
    new = (await w.engine.operations.rerun(NS, old.run_id, "b")).run_id
    await w.drive()
    assert (await w.view(new)).status == "QUEUED"
    await w.engine.cancel(NS, holder)
    await w.drive()
    run = await w.view(new)
    assert (run.status, run.result) == ("SUCCEEDED", {"x": "a"})
    assert left(w) == []


# --- the namespace's quota --------------------------------------------------------------------------------------------


async def test_the_quota_of_a_namespace_refuses_at_once() -> None:
    w = World(WAITS)
    await w.define(node("a"))
    before = await w.start()
    await set_quota(w, 2)
    runs = [await w.start(), await w.start()]
    with pytest.raises(QuotaExceeded, match=r"quota allows \(2\)"):
        await w.start()
    await w.drive()
    assert len((await w.engine.list_runs(NS)).runs) == 3
    assert held(w) == set(runs)
    # One that began before the quota was set holds no slot, and gives none back.
    await go(w, before)
    assert held(w) == set(runs)
    with pytest.raises(QuotaExceeded):
        await w.start()
    await go(w, runs[0])
    runs.append(await w.start())
    await set_quota(w, None)
    free = await w.start()
    await w.drive()
    for run_id in (*runs[1:], free):
        await go(w, run_id)
    assert left(w) == []
    w.backend.close()


async def test_what_was_forgotten_is_found_behind_many_that_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "_MOST_HOLDERS", 2)
    w = World(WAITS)
    await w.define(node("a"))
    await set_quota(w, 6)
    for _ in range(5):
        await w.start()
    await w.drive()
    w.clock.advance(1)  # Ids begin with the time: what is forgotten is the last one.

    async def die() -> None:
        raise Crashed

    once(w.faults.before, "queue.send", die)
    with pytest.raises(Crashed):
        await w.api().trigger(NS, "g")
    for _ in range(2):
        w.clock.advance(MENDED_SECONDS)
        with pytest.raises(QuotaExceeded):
            await w.start()
    w.clock.advance(MENDED_SECONDS)
    await w.start()
    assert len(held(w)) == 6
    w.backend.close()


async def test_a_firing_beyond_the_quota_is_refused_and_the_next_one_is_not() -> None:
    w = World(WAITS)
    trigger = {"type": "CRON", "name": "t", "value": {"expression": "* * * * *"}}
    await w.define(node("a"), triggers=[trigger])
    await set_quota(w, 1)
    schedule = Schedule(NS, "g", "t", "* * * * *", "UTC")
    first = await w.engine.fire(schedule, 60_000)
    assert first is not None
    with pytest.raises(QuotaExceeded) as caught:
        await w.engine.fire(schedule, 120_000)
    assert not caught.value.retryable
    assert len((await w.engine.list_runs(NS)).runs) == 1
    await w.drive()
    await go(w, first.run_id)
    assert await w.engine.fire(schedule, 180_000) is not None
    w.backend.close()


async def test_a_run_from_before_the_quota_takes_a_slot_of_it_when_it_is_retried() -> None:
    w = World({"a": break_once})
    await w.define(node("a"))
    first, second = (await w.finish()).run_id, (await w.finish()).run_id
    await set_quota(w, 1)
    await w.engine.retry(NS, first)
    assert held(w) == {first}
    with pytest.raises(QuotaExceeded):
        await w.engine.retry(NS, second)
    await w.drive()
    await go(w, first)
    assert left(w) == []
    w.backend.close()
