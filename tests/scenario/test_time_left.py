"""A worker that has to be done by a time (a Lambda function) begins no state that might not end by then."""

from __future__ import annotations

from typing import Any

import pytest

from karman_core.domain.outcome import Outcome, Succeeded
from karman_core.ports.executor import Execution
from tests.scenario.harness import HOME, NS, World, node, world
from tests.scenario.invariants import check
from tests.scenario.nodes import give


async def process_all(w: World, *, budget_seconds: float) -> int:
    """Work on messages one by one, each with so much time; how many there were."""
    messages = 0
    while received := await w.backend.queue.receive(HOME, limit=1):
        until_ms = w.clock.now_ms() + int(budget_seconds * 1000)
        await w.engine.process(HOME, received[0], until_ms=until_ms)
        await w.backend.queue.delete(HOME, [received[0].receipt])
        messages += 1
    return messages


def taking(w: World, seconds: float) -> Any:
    def script(execution: Execution) -> Outcome:
        w.clock.advance(seconds)
        assert w.clock.now_ms() <= execution.deadline_ms, "it would have been stopped"
        return Succeeded(({"x": 1},))

    return script


@pytest.mark.parametrize(
    ("timeout_seconds", "seconds", "messages"),
    [
        (None, 10, 2),  # begun while half of the time is left
        (20, 10, 2),  # 20 s are left after the third one, and not after the fourth
        (50, 1, 5),  # 50 s are as much as never fits: as long as most of the time is left
        (500, 1, 5),
        (None, 1, 1),
    ],
)
async def test_states_are_begun_while_they_have_time(
    timeout_seconds: float | None, seconds: float, messages: int
) -> None:
    async with world({"n": give(x=1)}) as w:
        w.executor.scripts["n"] = taking(w, seconds)
        names = [f"s{number}" for number in range(6 if seconds > 1 else 25)]
        fields: dict[str, Any] = {"node_name": "n", "timeout_seconds": timeout_seconds}
        nodes = [node(name, *names[at + 1 : at + 2], **fields) for at, name in enumerate(names)]
        await w.define(*nodes)
        run_id = await w.start()

        seen = await process_all(w, budget_seconds=54)

        assert (await check(w, run_id)).status == "SUCCEEDED"
        assert set(w.executor.by_state.values()) == {1}
        assert seen == messages


async def test_the_first_state_of_a_message_runs_whatever_its_time_out() -> None:
    async with world({"a": give(x=1)}) as w:
        await w.define(node("a", timeout_seconds=3_600))
        run_id = await w.start()
        assert await process_all(w, budget_seconds=10) == 1
        assert (await check(w, run_id)).status == "SUCCEEDED"


async def test_a_registered_time_out_counts_too_and_a_node_that_is_gone_fails_as_ever() -> None:
    async with world({"a": give(x=1), "b": give(x=2)}) as w:
        w.executor.scripts["a"] = taking(w, 8)
        await w.define(node("a", "b"), node("b"))
        declared = {each.name: each for each in await w.engine.list_nodes(NS)}
        await w.engine.register_nodes(NS, [declared["b"].model_copy(update={"timeout_seconds": 5.0})])
        run_id = await w.start()
        assert await process_all(w, budget_seconds=10) == 2
        assert (await check(w, run_id)).status == "SUCCEEDED"
