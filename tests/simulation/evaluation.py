"""What a run must look like, given only what its nodes gave: the oracle's recursion over the committed outcomes.

Where the oracle takes an outcome from the plan, this one takes it from the record. What is left to find out is what the
engine made of them: which states there are, with which inputs, and how the run ends. So runs of nodes that give
something else each time are checked as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from karman_core.domain.branches import Branch, branch_text
from karman_core.domain.outcome import Errored, Pruned, Succeeded
from karman_core.domain.records import Record
from karman_core.domain.transitions import StateStatus
from tests.scenario.nodes import Answer
from tests.scenario.oracle import MISSING, Ending, Env, Expected, as_recorded
from tests.simulation.plans import Planned
from tests.simulation.violations import Violation

Recorded = Mapping[Branch, Mapping[int, Record]]
Outputs = Mapping[tuple[Branch, int], tuple[Mapping[str, Any], ...]]


class Inputs(Protocol):
    """What the state of a place was given from outside; the trigger's inputs if it is the graph's `first`."""

    def __call__(self, path: Branch, number: int, *, first: bool) -> Mapping[str, Any]: ...


Fired = Callable[[Branch, int, int], int | None]
"""Of a group, by branch and number of the fork and its width, the branch whose success fired its unite."""


class Evaluation(Expected):
    """The oracle over records."""

    def __init__(
        self, planned: Planned, records: Recorded, outputs: Outputs, fired: Fired, inputs: Inputs
    ) -> None:
        super().__init__(planned.plan, dict(planned.inside))
        self._trigger = inputs
        self._fired = fired
        self._loops = planned.loops
        self._records = records
        self._given = outputs

    def _state(self, path: Branch, number: int, identifier: str, env: Env) -> Answer:
        record = self._records.get(path, {}).get(number)
        if record is None:
            raise Violation(
                f"{identifier} at {branch_text(path) or '-'} {number} should have run and has no record"
            )
        if record.identifier != identifier:
            raise Violation(
                f"{branch_text(path) or '-'} {number} is {record.identifier}, should be {identifier}"
            )
        self.states[path, number] = (identifier, record.status.value)
        self.inputs[path, number] = {
            name: env.get(name, MISSING) for name in self.plan.reads.get(identifier, [])
        }
        first = identifier == next(iter(self.plan.nodes))
        self.inputs[path, number] |= self._trigger(path, number, first=first)
        match record.status:
            case StateStatus.SUCCEEDED:
                return Succeeded(self._given[path, number], record.chosen)
            case StateStatus.PRUNED:
                return Pruned({})
            case StateStatus.FAILED | StateStatus.CANCELLED:
                return Errored("", "")
        raise Violation(
            f"{identifier} at {branch_text(path) or '-'} {number} is {record.status.value} in a run that ended"
        )

    def branch(self, path: Branch, number: int, identifier: str, env: Env) -> Ending:
        """Evaluate a branch, its loops included."""
        record = self._records.get(path, {}).get(number)
        loop = self._loops.get(identifier)
        if record is None or loop is None or record.chosen != loop[0]:
            return super().branch(path, number, identifier, env)
        outcome = self._state(path, number, identifier, env)
        if not isinstance(outcome, Succeeded):
            return super().branch(path, number, identifier, env)
        values = [output.get("v", MISSING) for output in outcome.outputs]
        self.outputs[path, number] = (identifier, tuple(value for value in values if value is not MISSING))
        return self.branch(path, number + 1, loop[0], {**env, identifier: values[0] if values else MISSING})

    def _unite(
        self, path: Branch, number: int, width: int, unite: str, endings: list[Ending], env: Env
    ) -> Ending:
        """As the oracle's, where the join item says which success was the first."""
        if self.plan.unites[unite][1] != "ANY_SUCCESS" or "s" not in endings:
            return super()._unite(path, number, width, unite, endings, env)
        only = self._fired(path, number, width)
        if only is None or endings[only] != "s":
            raise Violation(
                f"branch {only} of {endings} has fired {unite} at {branch_text(path) or '-'} {number}"
            )
        lists = self._lists(path, number, [only])
        return self.branch((*path, (number, width)), 0, unite, {**env, **lists})

    def _lists(self, path: Branch, number: int, indexes: Any) -> Env:
        """As the oracle's, where of several rounds the last one counts."""
        every = self.outputs
        last: dict[tuple[Branch, str], int] = {}
        for (branch, place), (identifier, _) in every.items():
            last[branch, identifier] = max(place, last.get((branch, identifier), 0))
        self.outputs = {(b, n): found for (b, n), found in every.items() if last[b, found[0]] == n}
        try:
            return super()._lists(path, number, indexes)
        finally:
            self.outputs = every


def evaluate(
    planned: Planned,
    records: Recorded,
    outputs: Outputs,
    *,
    fired: Fired,
    status: str,
    inputs: Inputs,
) -> Evaluation:
    """Evaluate a run that ended SUCCEEDED or FAILED. Raises Violation where it is not what it should be.

    Args:
        records, outputs: also of the states that the run reuses.
        inputs: what the run was triggered with that has the state of a place.
    """
    evaluation = Evaluation(planned, records, outputs, fired, inputs)
    ending = evaluation.run()
    if status != ("FAILED" if ending == "f" else "SUCCEEDED"):
        raise Violation(f"the run is {status}, its states say {ending}")
    there = {(path, number) for path, some in records.items() for number in some}
    if there != set(evaluation.states):
        raise Violation(f"states that should not be: {sorted(there - set(evaluation.states))}")
    _check_inputs(evaluation, records)
    return evaluation


def _check_inputs(evaluation: Evaluation, records: Recorded) -> None:
    for (path, number), wanted in evaluation.inputs.items():
        record = records[path][number]
        if record.status is StateStatus.SUCCEEDED and record.inputs is not None:
            expected = {
                name: as_recorded(value, {}) if value is MISSING else value for name, value in wanted.items()
            }
            if dict(record.inputs) != expected:
                raise Violation(f"inputs of {path} {number}: {dict(record.inputs)}, should be {expected}")
