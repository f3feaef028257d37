"""What users hand over, as JSON: outputs, store values, payloads, literals in graphs."""

from __future__ import annotations

import math
from collections.abc import Callable

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_jsonable_python

from karman.errors import InvalidInput
from karman_core.domain.definition import JSON
from karman_core.domain.json_values import json_problems


def to_json(value: object, what: str) -> JSON:
    """A copy of the value as JSON: models, dataclasses, datetimes, enums and sets are turned into what stands for them.

    Raises:
        InvalidInput: if JSON has nothing that stands for it (an open file, NaN, ...); `what` names it in the message.
    """
    try:
        plain = to_jsonable_python(value)
    except (PydanticSerializationError, ValueError, RecursionError) as error:
        raise InvalidInput(f"{what} cannot be written as JSON: {error}.") from error
    require_json(plain, what)
    return plain


def require_json(plain: JSON, what: str) -> None:
    """Check a value that is made of JSON's types for what its text cannot hold, or others could not read.

    Raises:
        InvalidInput: for NaN, Infinity, halves of surrogate pairs and values nested too deep, naming where they stand.
    """
    problems = json_problems(plain)
    if problems:
        told = "; ".join(f"{problem.path or 'the value'}: {problem.message}" for problem in problems[:5])
        raise InvalidInput(f"{what} cannot be written as JSON: {told}")


def model_to_json(model: BaseModel, what: str) -> JSON:
    """A model as JSON, by the serialization aliases of its fields.

    Raises:
        InvalidInput: if JSON has nothing that stands for a value in it.
    """
    try:
        plain = model.model_dump(mode="json", by_alias=True, warnings="error")
    except PydanticSerializationError as error:
        raise InvalidInput(f"{what} cannot be written as JSON: {error}") from error
    require_json(plain, what)
    # pydantic writes null for NaN in fields of type Any; where a null is, look at what it stands for.
    if _holds(plain, lambda value: value is None) and _holds(model.model_dump(by_alias=True), _not_finite):
        raise InvalidInput(
            f"{what} cannot be written as JSON: it holds NaN or Infinity, which JSON does not have."
        )
    return plain


def _not_finite(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _holds(value: object, wanted: Callable[[object], bool]) -> bool:
    """Whether a value, or one inside its containers, is what is wanted."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            waiting.extend(each.values())
        elif isinstance(each, list | tuple | set | frozenset):
            waiting.extend(each)
        elif wanted(each):
            return True
    return False
