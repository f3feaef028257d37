"""Work that a worker passes on, because another one has its node, loses nothing on the way."""

from __future__ import annotations

from typing import Any

from karman_core.domain.outcome import Awaiting
from karman_core.ports.executor import Execution
from tests.scenario.harness import NS, World, node
from tests.scenario.invariants import check
from tests.scenario.nodes import Answer, ScriptedExecutor


def waits(execution: Execution) -> Answer:
    """Waits for a signal, and gives its payload."""
    return Awaiting("go", None) if execution.resumed is None else {"payload": execution.resumed.payload}


async def test_a_signal_reaches_its_state_through_a_worker_of_another_version() -> None:
    """That worker has no such node yet; the message comes back, and still says to look at the record first."""
    w = World({"a": waits})
    await w.define(node("a"))
    run_id = await w.start()
    await w.work()
    await w.engine.signal(NS, run_id, "go", "yes")
    await w.work()  # the signal finds its wait, and sends the state's next turn
    newer: dict[str, Any] = dict(w.executor.scripts)
    older = w.executors["rt"] = ScriptedExecutor({})
    w.restart()
    await w.work()
    older.scripts.update(newer)
    await w.drive()
    assert (await check(w, run_id)).result == {"payload": "yes"}
    w.backend.close()
