"""What pydantic found wrong with the shape of a definition, in Karman's words and with stable codes."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from karman_core.domain import definition
from karman_core.domain.errors import Problem
from karman_core.domain.paths import describe, place

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_KEY = "[key]"
"""How pydantic marks that a key is wrong, not what is at it."""

MODELS: Mapping[str, type[BaseModel]] = {
    "nodes": definition.NodeInstance,
    "unites": definition.Unites,
    "loops": definition.Loop,
    "retry_policy": definition.RetryPolicy,
    "store_config": definition.StoreConfig,
    "concurrency": definition.Concurrency,
    "rate_limit": definition.RateLimit,
    "triggers": definition.CronTrigger,
    "value": definition.CronValue,
}
"""By the field that holds them, or lists of them."""

_NAME = "start with a letter or '_', with letters, digits, '_' and '-' after it, at most 128"
_PATTERNS = {
    definition.NAME_PATTERN: _NAME,
    definition.NODE_NAME_PATTERN: _NAME.replace("'_' and '-'", "'_', '.' and '-'"),
    definition.TAG_PATTERN: "have 1 to 256 characters, no ':' and no control character among them",
    definition.STORE_KEY_PATTERN: "have 1 to 128 characters, no dot and no whitespace among them",
}

_TYPES = {
    "string_type": "a string",
    "int_type": "an integer",
    "int_parsing": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "dict_type": "an object",
    "model_type": "an object",
    "tuple_type": "a list",
}

_BOUNDS = {
    "greater_than": ("gt", "greater than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than_equal": ("le", "at most"),
}


def shape_problem(detail: ErrorDetails) -> Problem:
    """The problem that one of pydantic's errors stands for.

    Codes: `missing_field`, `unknown_field`, `wrong_type`, and `invalid_value` for all else.
    """
    location = tuple(part for part in detail["loc"] if part != _KEY)
    return Problem(place(location), *_code_and_message(detail, location))


def _code_and_message(detail: ErrorDetails, location: tuple[int | str, ...]) -> tuple[str, str]:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "missing":
        return "missing_field", f"The field '{location[-1]}' is required."
    if kind == "extra_forbidden":
        return "unknown_field", _unknown(location)
    if kind in _TYPES:
        return "wrong_type", f"It must be {_TYPES[kind]} and is {describe(detail['input'])}."
    return "invalid_value", _invalid(kind, context) or f"{detail['msg']}."


def _unknown(location: tuple[int | str, ...]) -> str:
    name = place(location[-1:])
    holder = next((part for part in reversed(location[:-1]) if isinstance(part, str)), "")
    model = MODELS.get(holder, definition.GraphDefinition)
    close = difflib.get_close_matches(name, model.model_fields, n=1)
    hint = f"did you mean '{close[0]}'?" if close else f"there are {', '.join(sorted(model.model_fields))}."
    return f"There is no field '{name}'; {hint}"


def _invalid(kind: str, context: Mapping[str, Any]) -> str | None:
    if kind in _BOUNDS:
        key, words = _BOUNDS[kind]
        return f"It must be {words} {context[key]}."
    if kind in ("enum", "literal_error"):
        return f"It must be {context['expected']}."
    if kind == "string_pattern_mismatch" and context["pattern"] in _PATTERNS:
        return f"It must {_PATTERNS[context['pattern']]}."
    return None
