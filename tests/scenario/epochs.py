"""Runs that fail and are retried: nodes that fail in early epochs, and the retry."""

from __future__ import annotations

from typing import Any

from karman_core.domain.outcome import Errored
from karman_core.engine.views import RunView
from karman_core.ports.executor import Execution
from tests.scenario.harness import NS, World
from tests.scenario.invariants import check
from tests.scenario.nodes import Answer, Script


def broken_until(epochs: int, *, when: Any = lambda _: True) -> Script:
    """Fails in its first so many turns, where `when(inputs)` holds."""

    def script(execution: Execution) -> Answer:
        if when(execution.inputs) and execution.turn < epochs:
            return Errored("Broken", f"turn {execution.turn}", retry=False)
        return {"y": execution.inputs.get("x"), "turn": execution.turn}

    return script


async def retry(w: World, run_id: str) -> RunView:
    """Retry the run and work until nothing is left to do."""
    await w.engine.retry(NS, run_id)
    await w.drive()
    return await check(w, run_id)
