"""What `execute` gave, as an outcome."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from pydantic import BaseModel, ValidationError

from karman._internal.failures import describe_validation
from karman._internal.journal import Journal
from karman._internal.json_values import model_to_json, to_json
from karman._internal.models import Result, Rooted
from karman._internal.outcomes import Next, Prune, RequeueAfter, WaitFor
from karman.errors import InvalidInput, NodeFailure
from karman_core.domain.definition import JSON
from karman_core.domain.outcome import Awaiting, Errored, Pruned, Requeued, Succeeded

NodeOutcome: TypeAlias = Succeeded | Errored | Pruned | Requeued | Awaiting
"""How an execution ends: every outcome but that of a state that is not run."""

INVALID_OUTPUT = "invalid_output"


def outcome_of(value: object, outputs: type[BaseModel], journal: Journal) -> NodeOutcome:
    """The outcome that a value returned from `execute` (or a signal raised there) stands for.

    Args:
        value: what was returned; async iterators have been collected into a list.
        outputs: the node's model of one output.
        journal: its effects go with the outcome.

    Raises:
        NodeFailure: kind `invalid_output`, not to be tried again: a node that returns the wrong type does so each time.
    """
    effects = journal.effects()
    match value:
        case Prune():
            return Pruned(_pruned_data(value), effects)
        case RequeueAfter():
            return Requeued(value.delay_ms, effects)
        case WaitFor():
            return Awaiting(value.signal, value.timeout_ms, effects)
        case Next():
            return Succeeded(_rows(value.outputs, outputs), _chosen(value.identifier), effects)
        case _:
            return Succeeded(_rows(value, outputs), None, effects)


def _chosen(identifier: object) -> str:
    if isinstance(identifier, str) and identifier:
        return identifier
    raise _invalid(f"Next takes the identifier of a node instance as text, not {identifier!r:.100}.")


def _pruned_data(signal: Prune) -> Mapping[str, JSON]:
    try:
        data = to_json(signal.data, "The data of Prune")
    except InvalidInput as error:
        raise _invalid(error.message) from error
    if isinstance(data, dict):
        return data
    raise _invalid(f"Prune takes a mapping or a model, not {signal.data!r:.100}.")


def _rows(value: object, outputs: type[BaseModel]) -> tuple[dict[str, JSON], ...]:
    if value is None:
        return ({},)  # one empty output: the branch goes on; an empty list is a fanout of no branches
    if isinstance(value, list | Iterator) and not isinstance(value, outputs):
        return tuple(_numbered_rows(value, outputs))
    return (_row(value, outputs, "the output"),)


def _numbered_rows(values: Iterable[object], outputs: type[BaseModel]) -> Iterator[dict[str, JSON]]:
    for number, value in enumerate(values):
        yield _row(value, outputs, f"output {number}")


def _row(value: object, outputs: type[BaseModel], what: str) -> dict[str, JSON]:
    try:
        row = model_to_json(_as_output(value, outputs, what), what)
    except ValidationError as error:
        raise _invalid(f"{what} does not fit the return type: {describe_validation(error)}.") from error
    except InvalidInput as error:
        raise _invalid(error.message) from error
    if isinstance(row, dict):
        return row
    raise _invalid(f"{what} is no JSON object; make {outputs.__qualname__} a model with fields.")


def _as_output(value: object, outputs: type[BaseModel], what: str) -> BaseModel:
    if isinstance(value, outputs):
        return value
    if issubclass(outputs, Result | Rooted):
        return outputs.wrap(value)
    kind = type(value).__qualname__
    raise _invalid(
        f"{what} is of type {kind}; return {outputs.__qualname__}(...), a list of them for a fanout, None for no "
        "output, Next(...), or a signal."
    )


def _invalid(message: str) -> NodeFailure:
    return NodeFailure(INVALID_OUTPUT, message[0].upper() + message[1:], retry=False)
