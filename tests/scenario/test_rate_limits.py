"""Rate limits of graphs: runs begin later or are refused, by key; with delays, duplicates, crashes and cancels."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest

from karman_core.domain.errors import QuotaExceeded
from karman_core.domain.windows import read_log
from karman_core.engine import EngineSettings
from karman_core.engine.views import RunView
from karman_core.ports.timers import Schedule
from tests.scenario.faults import Call, Crashed
from tests.scenario.harness import HOME, NS, World, node, world
from tests.scenario.invariants import check, items
from tests.scenario.nodes import fail, give_inputs

BY_CUSTOMER = "${{ initial.inputs.customer }}"
MINUTE = 60_000


async def limited(made: World, **limit: Any) -> None:
    await made.define(node("a"), rate_limit={"starts": 3, "per_seconds": 60, **limit})


def minutes(views: list[RunView], since: int) -> list[int]:
    """In which minutes the runs began."""
    assert all(0 <= (view.ended_ms or 0) - view.starts_ms < 1_000 for view in views)
    return [(view.starts_ms - since) // MINUTE for view in views]


async def test_runs_that_are_too_many_begin_later() -> None:
    async with world({"a": give_inputs}) as made:
        await limited(made)
        since = made.clock.now_ms()
        runs = [await made.start() for _ in range(8)]
        views = [await made.view(run) for run in runs]
        assert [view.status for view in views] == ["RUNNING"] * 3 + ["QUEUED"] * 5
        assert ["rate limit" in (view.queued_for or "") for view in views] == [False] * 3 + [True] * 5
        assert [(view.starts_ms - since) // MINUTE for view in views] == [0, 0, 0, 1, 1, 1, 2, 2]

        await made.drive()

        views = [await check(made, run) for run in runs]
        assert minutes(views, since) == [0, 0, 0, 1, 1, 1, 2, 2]
        assert {view.queued_for for view in views} == {None}


async def test_each_value_of_the_key_has_its_own() -> None:
    async with world({"a": give_inputs}) as made:
        await limited(made, starts=1, key=BY_CUSTOMER)
        since = made.clock.now_ms()
        given = [
            {"customer": "x"},
            {"customer": "y"},
            {"customer": "x"},
            {},
            {"customer": None},
            {"customer": "x"},
        ]
        runs = [await made.start(inputs=inputs) for inputs in given]

        await made.drive()

        assert minutes([await check(made, run) for run in runs], since) == [0, 0, 1, 0, 1, 2]


async def test_a_graph_may_refuse_instead() -> None:
    async with world({"a": give_inputs}) as made:
        await limited(made, when_over="refuse", key=BY_CUSTOMER)
        for _ in range(3):
            await made.start(inputs={"customer": "x"})
        made.clock.advance(20)

        with pytest.raises(
            QuotaExceeded, match="at most 3 runs with the rate limit key 'x' in 60 s"
        ) as refused:
            await made.start(inputs={"customer": "x"})

        assert refused.value.retry_after_seconds == 40
        await made.start(inputs={"customer": "y"})
        made.clock.advance(40)
        await made.start(inputs={"customer": "x"})
        await made.drive()
        assert made.executor.executed["a"] == 5


async def test_a_run_that_is_triggered_again_by_its_key_counts_once() -> None:
    async with world({"a": give_inputs}) as made:
        await limited(made, starts=2, when_over="refuse")
        first = [await made.start(idempotency_key="k") for _ in range(5)]
        second = await made.start(idempotency_key="other")

        assert len({*first, second}) == 2
        with pytest.raises(QuotaExceeded):
            await made.start(idempotency_key="third")


async def test_the_time_limit_counts_from_the_start() -> None:
    async with world({"a": give_inputs}) as made:
        await limited(made, starts=1)
        runs = [await made.start(timeout_ms=30_000) for _ in range(3)]

        await made.drive()

        views = [await check(made, run) for run in runs]
        assert [view.deadline_ms - view.starts_ms for view in views] == [30_000] * 3
        assert [view.starts_ms - view.created_ms for view in views] == [0, MINUTE, 2 * MINUTE]


async def test_a_start_delay_is_waited_for_first() -> None:
    async with world({"a": give_inputs}) as made:
        await limited(made, starts=1)
        since = made.clock.now_ms()
        delayed = [await made.start(start_delay_ms=10 * MINUTE, timeout_ms=MINUTE) for _ in range(3)]
        at_once = [await made.start() for _ in range(2)]  # They do not wait behind what begins much later.
        waiting = [await made.view(run) for run in delayed]
        assert [(view.status, view.queued_for) for view in waiting] == [("QUEUED", None)] * 3

        await made.drive()

        views = [await check(made, run) for run in [*at_once, *delayed]]
        assert sorted(minutes(views, since)) == [0, 1, 10, 11, 12]
        assert {view.deadline_ms - view.starts_ms for view in views[2:]} == {MINUTE}


async def test_a_run_that_would_wait_for_longer_than_a_run_may_take_is_refused() -> None:
    async with world({"a": give_inputs}, settings=EngineSettings(run_deadline_seconds=3600)) as made:
        await limited(made, starts=1, per_seconds=3600)
        runs = [await made.start() for _ in range(2)]

        with pytest.raises(QuotaExceeded, match="never would") as refused:
            await made.start()

        assert refused.value.retry_after_seconds is None
        assert len(runs) == 2


@pytest.mark.parametrize("delayed", [False, True])
async def test_a_run_that_is_cancelled_while_it_waits_ends_and_runs_nothing(*, delayed: bool) -> None:
    async with world({"a": give_inputs}) as made:
        await limited(made, starts=1)
        delay_ms = 5_000 if delayed else 0
        first, second = [await made.start(start_delay_ms=delay_ms) for _ in range(2)]

        async def first_is_done() -> bool:
            return (await made.view(first)).status == "SUCCEEDED"

        await made.drive(until=first_is_done)
        await made.engine.cancel(NS, second)

        async def only_its_start_is_left() -> bool:
            return made.messages_left() == 1

        await made.drive(until=only_its_start_is_left)
        made.restart()  # This one has not heard of it.
        await made.drive()

        assert (await made.view(second)).status == "CANCELLED"
        assert made.executor.executed["a"] == 1
        assert made.messages_left() == 0


async def test_a_run_that_is_paused_while_it_waits_goes_on_when_it_is_resumed() -> None:
    async with world({"a": give_inputs}) as made:
        await limited(made, starts=1)
        first, second = [await made.start() for _ in range(2)]
        await made.engine.pause(NS, second)
        await made.drive()
        assert (await made.view(second)).status == "PAUSED"

        await made.engine.resume(NS, second)
        await made.drive()

        for run in (first, second):
            await check(made, run)


async def test_retries_and_states_that_go_on_are_no_starts_and_reruns_are() -> None:
    async with world({"a": give_inputs, "b": fail}) as made:
        await made.define(node("a", "b"), node("b"), rate_limit={"starts": 1, "per_seconds": 3600})
        failed = await made.finish()
        at = made.clock.now_ms()
        await made.engine.retry(NS, failed.run_id)
        await made.drive()
        assert made.clock.now_ms() - at < MINUTE

        again = await made.engine.operations.rerun(NS, failed.run_id, "a")

        assert (await made.view(again.run_id)).starts_ms == failed.starts_ms + 3_600_000
        await made.drive()
        assert (await made.view(again.run_id)).status == "FAILED"


async def test_cron_firings_are_counted() -> None:
    async with world({"a": give_inputs}) as made:
        cron = {"type": "CRON", "name": "c", "value": {"expression": "* * * * *"}}
        await made.define(node("a"), triggers=[cron], rate_limit={"starts": 1, "per_seconds": 150})
        schedule = (await made.backend.schedules.list(NS, "g"))[0]
        assert isinstance(schedule, Schedule)
        since, views = made.clock.now_ms(), []
        for at in range(3):
            told = [await made.engine.fire(schedule, since + at * MINUTE) for _ in range(2)]
            runs = {started.run_id for started in told if started is not None}
            assert len(runs) == 1  # A firing may be told again.
            views.append(await made.view(runs.pop()))

        assert [view.starts_ms - since for view in views] == [0, 150_000, 300_000]


async def test_many_triggers_at_once_keep_to_the_limit() -> None:
    async with world({"a": give_inputs}) as made:
        await limited(made, starts=5)
        since, apis = made.clock.now_ms(), [made.api() for _ in range(4)]
        made.faults.yields = random.Random(7)
        triggers = [apis[number % 4].trigger(NS, "g") for number in range(40)]
        begun: list[str] = []

        async def trigger(one: Any) -> None:
            begun.append((await one).run_id)

        await made.finish_all([trigger(one) for one in triggers])
        made.faults.yields = None
        views = [await made.view(run) for run in begun]

        starts = sorted(view.starts_ms for view in views)
        assert len(views) == 40
        for place, at in enumerate(starts[5:]):
            assert at >= starts[place] + MINUTE
        assert starts[-1] - since < 9 * MINUTE
        await made.drive()
        for run in begun:
            await check(made, run)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("delay_ms", [0, 5_000])
async def test_crashes_lose_a_start_at_most_and_no_run(*, after: bool, delay_ms: int) -> None:
    async def act(made: World, crash: tuple[int, bool] | None) -> tuple[list[RunView], list[int], int]:
        await limited(made, starts=1)
        first, reserved = made.faults.count, noting_starts(made)
        if crash is not None:
            made.faults.crash_at = (first + crash[0], crash[1])
        runs = []
        for number in range(2):
            while True:
                try:
                    runs.append(await made.start(idempotency_key=f"{number}", start_delay_ms=delay_ms))
                    break
                except Crashed:
                    made.restart()
        await made.drive()
        return [await check(made, run) for run in runs], reserved, made.faults.count - first

    async with world({"a": give_inputs}) as made:
        _, reserved, calls = await act(made, None)
    assert (len(reserved), calls > 20) == (2, True)
    for crash in range(calls):
        async with world({"a": give_inputs}) as made:
            views, reserved, _ = await act(made, (crash, after))
            assert all(later - before >= MINUTE for before, later in pairwise(reserved)), crash
            assert 2 <= len(reserved) <= 3, crash
            assert {view.status for view in views} == {"SUCCEEDED"}
            assert made.faults.crashes == 1, crash


def noting_starts(made: World) -> list[int]:
    """The starts that are reserved from now on."""
    reserved: list[int] = []

    async def note(call: Call) -> None:
        item = call.arguments[0] if call.arguments else None
        if call.name == "table.put" and isinstance(item, dict) and "#starts#" in item["pk"]:
            reserved.append(read_log(item["log"])[-1].at_ms)

    made.faults.after.append(note)
    return reserved


@pytest.mark.parametrize("delay_ms", [0, 5_000])
async def test_duplicates_of_first_messages_begin_no_run_early(delay_ms: int) -> None:
    async with world({"a": give_inputs}) as made:
        await limited(made, starts=1)
        made.deliveries = 2
        reserved = noting_starts(made)
        runs = [await made.start(start_delay_ms=delay_ms) for _ in range(3)]

        await made.drive()

        starts = sorted([(await check(made, run)).starts_ms for run in runs])
        assert starts == reserved
        assert all(later - before >= MINUTE for before, later in pairwise(starts))


async def test_the_log_of_starts_goes_away_by_itself() -> None:
    async with world({"a": give_inputs}) as made:
        await limited(made)
        await made.finish()
        (log,) = items(made, f"{NS}#starts#%")

        assert log["ttl"] == made.clock.now_ms() // 1000 + 60 + 86_400


async def test_a_graph_without_a_limit_pays_nothing() -> None:
    async with world({"a": give_inputs}) as made:
        await made.define(node("a"))
        touched: list[Call] = []

        async def note(call: Call) -> None:
            if call.arguments and "#starts#" in str(call.arguments[0]):
                touched.append(call)

        made.faults.before.append(note)
        run = await made.finish()

        assert (run.status, touched) == ("SUCCEEDED", [])


async def test_a_start_is_reserved_once_for_a_message_that_two_workers_have() -> None:
    async with world({"a": give_inputs}) as made:
        await limited(made, starts=1)
        run = await made.start(start_delay_ms=5_000, timeout_ms=MINUTE)
        made.skip_time()
        message = await made.take()
        others: list[Any] = []

        async def another_comes_first(call: Call) -> None:
            if call.name == "table.update" and "placed" in str(call.arguments) and not others:
                others.append(made.other_worker())
                await others[0].process(HOME, message)

        made.faults.before.append(another_comes_first)
        due = (await made.view(run)).starts_ms
        await made.process(message)
        view = await made.view(run)

        assert len(others) == 1
        assert (view.starts_ms, view.deadline_ms) == (
            due + MINUTE,
            due + 2 * MINUTE,
        )  # The other's, who was quicker.
        assert made.executor.executed["a"] == 0
        await made.drive()
        await check(made, run)
        assert made.executor.executed["a"] == 1
