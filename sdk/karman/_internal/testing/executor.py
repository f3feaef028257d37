"""The executor of a test: nodes, and what the test makes happen to them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping

from pydantic import BaseModel, ValidationError

from karman._internal.declaration import Declaration
from karman._internal.execution import NodeExecutor
from karman._internal.failures import describe_validation, errored
from karman._internal.journal import Journal
from karman._internal.models import Empty, Result, Rooted
from karman._internal.outcomes import Cancelled, Next, Signal
from karman._internal.results import INVALID_OUTPUT, NodeOutcome, outcome_of
from karman._internal.testing.scripts import Fault, Stub
from karman.errors import NodeFailure
from karman_core.domain.outcome import Errored, SentSignal
from karman_core.ports.executor import Execution


class WorkerCrashed(BaseException):
    """The worker is dead: what it was doing is neither committed nor given back."""


class ScriptedExecutor:
    """Runs nodes as a worker does, with faults and stubs, and keeps count.

    Args:
        nodes: runs what has no stub.
        declarations: of node instances whose class is known.
        faults: what goes wrong.
        stubs: what is run in place of nodes.
    """

    def __init__(
        self,
        nodes: NodeExecutor,
        declarations: Mapping[str, Declaration],
        *,
        faults: Iterable[Fault],
        stubs: Iterable[Stub],
    ) -> None:
        self._nodes = nodes
        self._declarations = declarations
        self._faults = tuple(faults)
        self._stubs = {stub.identifier: stub for stub in stubs}
        self._struck: Counter[tuple[int, str]] = Counter()
        self.executions: Counter[str] = Counter()
        self._signals: dict[tuple[str, int], tuple[SentSignal, ...]] = {}

    @property
    def signals(self) -> tuple[SentSignal, ...]:
        """What nodes have sent, each turn of a state once."""
        return tuple(signal for signals in self._signals.values() for signal in signals)

    def runs(self, node_name: str) -> bool:  # noqa: ARG002 - the signature of the port
        """Any: a node without a class has a stub."""
        return True

    def declared_secrets(self, node_name: str) -> tuple[str, ...]:
        """As the node declares them."""
        return self._nodes.declared_secrets(node_name) if self._nodes.runs(node_name) else ()

    async def execute(self, execution: Execution) -> NodeOutcome:
        """Run the node, its stub, or what goes wrong with it."""
        self.executions[execution.identifier] += 1
        fault = self._fault(execution)
        if fault is not None:
            if fault.after:
                await self._run(execution)
            return self._strike(fault, execution)
        outcome = await self._run(execution)
        if not isinstance(outcome, Errored):
            self._signals[execution.state_id, execution.turn] = outcome.effects.signals
        return outcome

    def _fault(self, execution: Execution) -> Fault | None:
        for number, fault in enumerate(self._faults):
            key = (number, execution.state_id)
            # Attempts count failures; a crash is none, so crashes are counted here.
            before = self._struck[key] if fault.error is None else execution.attempt - 1
            if fault.identifier == execution.identifier and fault.strikes(execution.inputs, before):
                self._struck[key] += 1
                return fault
        return None

    def _strike(self, fault: Fault, execution: Execution) -> NodeOutcome:
        if fault.error is None:
            raise WorkerCrashed
        declaration = self._declarations.get(execution.identifier)
        classes = declaration.non_retryable if declaration else ()
        return errored(fault.error, execution.secrets.values(), classes)

    async def _run(self, execution: Execution) -> NodeOutcome:
        stub = self._stubs.get(execution.identifier)
        if stub is None:
            return await self._nodes.execute(execution)
        await asyncio.sleep(0)
        declaration = self._declarations.get(execution.identifier)
        try:
            answer = stub.answer(dict(execution.inputs))
            if isinstance(answer, BaseException) and (
                not isinstance(answer, Signal) or isinstance(answer, Cancelled)
            ):
                return errored(answer, ())
            model = declaration.outputs if declaration else _Anything
            return outcome_of(_as_outputs(answer, model), model, Journal())
        except Exception as error:  # noqa: BLE001 - a stub stands for a node, and may raise what one may
            return errored(error, ())


class _Anything(Rooted[dict[str, object]]):
    """One output of a node whose class is not known."""


def _as_outputs(answer: object, model: type[BaseModel]) -> object:
    """What a stub gave, with models in place of dicts."""
    match answer:
        case Next(identifier, outputs):
            return Next(identifier, _as_outputs(outputs, model))
        case list():
            return [_as_outputs(each, model) for each in answer]
        case dict() if model is not Empty:
            return _validated(answer, model)
        case _:
            return answer


def _validated(answer: dict[object, object], model: type[BaseModel]) -> BaseModel:
    if issubclass(model, Result) and "result" not in answer:
        return model.wrap(answer)
    try:
        return model.model_validate(answer)
    except ValidationError as error:
        told = f"The stub's output does not fit {model.__qualname__}: {describe_validation(error)}."
        raise NodeFailure(INVALID_OUTPUT, told, retry=False) from error
