"""What a test makes happen in a run beside what its nodes do: failures, crashes, and outputs in place of nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from karman.errors import InvalidInput
from karman_core.domain.definition import JSON

Inputs = Mapping[str, JSON]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong with a node instance; made by `fail` and `crash`.

    Attributes:
        identifier: of the node instance.
        error: what is raised; None for a crash of the worker.
        times: how often for each state; None for always.
        after: whether the node runs first.
        where: which states, by their inputs; None for all.
    """

    identifier: str
    error: BaseException | None
    times: int | None
    after: bool
    where: Callable[[Inputs], bool] | None

    def strikes(self, inputs: Inputs, before: int) -> bool:
        """Whether it happens to a state, to which it happened so often before."""
        return (self.times is None or before < self.times) and (self.where is None or self.where(inputs))


def fail(
    identifier: str,
    *,
    times: int | None = 1,
    error: BaseException | type[BaseException] = ConnectionError,
    after: bool = False,
    where: Callable[[Inputs], bool] | None = None,
) -> Fault:
    """Make the first attempts of a node instance fail.

    Args:
        identifier: of the node instance.
        times: how many attempts of each of its states; None for all.
        error: what they raise.
        after: True lets the node run first, so that what it does outside has happened.
        where: which states, by their inputs: `where=lambda inputs: inputs["page"] == 3`.

    Raises:
        InvalidInput: if `times` is below 1.
    """
    raised = error("failed by the test") if isinstance(error, type) else error
    return Fault(identifier, raised, _checked(times), after, where)


def crash(
    identifier: str,
    *,
    times: int | None = 1,
    after: bool = False,
    where: Callable[[Inputs], bool] | None = None,
) -> Fault:
    """Make the worker die during the first executions of a node instance.

    What it was doing is taken over when its lease ends (60 s by the run's clock), and the state is executed again; this
    is no failed attempt. For the arguments see `fail`.

    Raises:
        InvalidInput: if `times` is below 1.
    """
    return Fault(identifier, None, _checked(times), after, where)


@dataclass(frozen=True, slots=True)
class Stub:
    """Outputs in place of a node; made by `stub`."""

    identifier: str
    answer: Callable[[Inputs], object]


def stub(identifier: str, outputs: Any = None) -> Stub:  # noqa: ANN401 - whatever execute may return, and dicts
    """Replace a node instance, so that its node is not run.

    Args:
        identifier: of the node instance.
        outputs: what its executions give: an output as a model or a dict, a list of them, None, `Next(...)`, a signal,
            an exception to raise, or a function that is given the inputs as a dict and returns one of these.
    """
    if callable(outputs) and not isinstance(outputs, type):
        return Stub(identifier, outputs)
    return Stub(identifier, lambda _inputs: outputs)


def _checked(times: int | None) -> int | None:
    if times is not None and times < 1:
        raise InvalidInput(f"times is {times}; give 1 or more, or None for always.")
    return times
