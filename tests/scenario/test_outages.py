"""A service fails for long: no answer, no room. Nobody crashed, and the run goes on afterwards."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from karman_core.domain.errors import BackendError, Throttled, TransactionConflict, Unavailable
from karman_core.engine import EngineSettings
from karman_core.ports.executor import Execution
from karman_core.ports.queue import Incoming
from tests.scenario.faults import Call, Crashed
from tests.scenario.harness import HOME, World, node, world
from tests.scenario.invariants import check
from tests.scenario.nodes import give_inputs

SETTINGS = EngineSettings(crash_limit=3)
LARGE = "".join(f"{number:x}" for number in range(10_000))
PAUSE_SECONDS = 2
FAILING = 8
MOST_RECEIVES = 2
"""A fresh message takes the place of one that failed twice, so none becomes a dead letter."""


def outage(
    call: str, times: int, error: type[BackendError]
) -> tuple[list[int], Callable[[Call], Awaitable[None]]]:
    """Let the first calls of a name fail."""
    left = [times]

    async def fail(made: Call) -> None:
        if made.name == call and left[0] > 0:
            left[0] -= 1
            raise error("it does not answer")

    return left, fail


async def work_on(w: World) -> int:
    """Work as a worker does, which puts off what failed; the most often that one message was received."""
    receives = 0
    while True:
        messages = await w.backend.queue.receive(HOME, lease_seconds=SETTINGS.lease_seconds)
        for message in messages:
            receives = max(receives, message.receive_count)
            await deliver(w, message)
        if not messages and not w.skip_time():
            return receives


async def deliver(w: World, message: Incoming) -> None:
    try:
        await w.engine.process(HOME, message)
    except Crashed:
        w.restart()
    except (Throttled, Unavailable, TransactionConflict):
        with suppress(BackendError):
            await w.backend.queue.extend(HOME, [message.receipt], PAUSE_SECONDS)
    else:
        await w.backend.queue.delete(HOME, [message.receipt])


@pytest.mark.parametrize("error", [Unavailable, Throttled, TransactionConflict])
@pytest.mark.parametrize("call", ["blobs.put", "blobs.get"])
async def test_a_long_outage_is_no_crash(call: str, error: type[BackendError]) -> None:
    async with world({"a": give_inputs, "b": give_inputs}, settings=SETTINGS) as w:
        await w.define(node("a", "b", text=LARGE), node("b", text="${{ a.outputs.text }}"))
        left, fail = outage(call, 50, error)
        w.faults.before.append(fail)
        run_id = await w.start()
        receives = await work_on(w)

        run = await w.view(run_id)
        assert (run.status, run.result, run.totals.turns) == ("SUCCEEDED", {"text": LARGE}, 2), run.error
        assert left == [0]
        assert receives == MOST_RECEIVES
        assert w.messages_left() == 0
        await check(w, run_id)


async def test_crashes_count_beside_an_outage() -> None:
    begun = [0]

    def deadly_in_the_end(execution: Execution) -> object:
        begun[0] += 1
        if begun[0] > FAILING:
            raise Crashed
        return {"text": LARGE}

    async with world({"a": deadly_in_the_end}, settings=SETTINGS) as w:
        await w.define(node("a"))
        _, fail = outage("blobs.put", FAILING, Unavailable)
        w.faults.before.append(fail)
        run_id = await w.start()
        await work_on(w)

        run = await w.view(run_id)
        assert run.status == "FAILED"
        assert "died 4 times" in str(run.error)
        assert begun == [FAILING + SETTINGS.crash_limit + 1]
        await check(w, run_id)
