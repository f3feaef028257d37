"""Scripted nodes: what a node does in a scenario is a function of its execution."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from karman_core.domain.outcome import (
    Awaiting,
    Effects,
    Errored,
    Outcome,
    Pruned,
    Requeued,
    SentSignal,
    StoreWrite,
    Succeeded,
)
from karman_core.ports.executor import Execution

Answer: TypeAlias = Outcome | Mapping[str, Any] | list[Mapping[str, Any]] | None
"""An outcome, or for short: one output, several, or none."""

Script: TypeAlias = Callable[[Execution], Answer | Awaitable[Answer]]

_OUTCOMES = (Succeeded, Errored, Pruned, Requeued, Awaiting)


class ScriptedExecutor:
    """Runs scripts by node name, and counts; an exception that a script raises is a failed attempt."""

    def __init__(self, scripts: Mapping[str, Script]) -> None:
        self.scripts = dict(scripts)
        self.executed: Counter[str] = Counter()
        self.by_state: Counter[str] = Counter()
        self.log: list[Execution] = []

    def runs(self, node_name: str) -> bool:
        """Whether there is a script."""
        return node_name in self.scripts

    def declared_secrets(self, node_name: str) -> tuple[str, ...]:
        """None: the registered node counts."""
        return ()

    async def execute(self, execution: Execution) -> Outcome:
        """Run the script."""
        self.executed[execution.identifier] += 1
        self.by_state[execution.state_id] += 1
        self.log.append(execution)
        try:
            answer = self.scripts[execution.node_name](execution)
            if inspect.isawaitable(answer):
                answer = await answer
        except Exception as error:  # noqa: BLE001  whatever a node raises is a failed attempt
            return Errored(type(error).__name__, str(error), "the traceback")
        return as_outcome(answer)


def as_outcome(answer: Any) -> Outcome:
    """The outcome that an answer stands for."""
    if isinstance(answer, _OUTCOMES):
        return answer
    if answer is None:
        return Succeeded(({},))
    return Succeeded(tuple(answer) if isinstance(answer, list) else (answer,))


# --- scripts ----------------------------------------------------------------------------------------------------------


def give(**output: Any) -> Script:
    """Always this one output."""
    return lambda _: output


def give_inputs(execution: Execution) -> Mapping[str, Any]:
    """The inputs as outputs."""
    return execution.inputs


def count_to(width: int, field: str = "x") -> Script:
    """Outputs 0 to width - 1."""
    return lambda _: [{field: number} for number in range(width)]


def fail(_: Execution) -> Answer:
    """Fails, and trying again cannot help."""
    return Errored("Broken", "it broke", retry=False)


def prune(_: Execution) -> Answer:
    """Ends its branch."""
    return Pruned({"reason": "pruned"})


def then(answer: Answer, *writes: StoreWrite, signals: tuple[SentSignal, ...] = ()) -> Outcome:
    """An answer with effects."""
    outcome = as_outcome(answer)
    assert isinstance(outcome, Succeeded | Pruned)
    effects = Effects(writes, signals)
    if isinstance(outcome, Succeeded):
        return Succeeded(outcome.outputs, outcome.chosen, effects)
    return Pruned(outcome.data, effects)


def choose(identifier: str, *outputs: Mapping[str, Any]) -> Succeeded:
    """Outputs, and the one node that follows."""
    return Succeeded(outputs or ({},), chosen=identifier)


def one_by_one(*answers: Answer | Exception) -> Script:
    """Each state of the node gives these in order, turn by turn; the last one again and again."""

    def script(execution: Execution) -> Answer:
        answer = answers[min(execution.turn, len(answers) - 1)]
        if isinstance(answer, Exception):
            raise answer
        return answer

    return script
