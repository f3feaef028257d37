"""Checking values against JSON Schemas, by the jsonschema library, and fitting values to text fields.

Validators are compiled once a schema and kept. They fetch nothing that a schema refers to, and their work is bounded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any

from karman_core.domain.definition import JSON
from karman_core.domain.errors import Problem
from karman_core.domain.json_values import json_problems
from karman_core.domain.paths import child, describe
from karman_core.domain.placeholders import as_text
from karman_core.domain.schemas import Schema, accepts_text

if TYPE_CHECKING:
    from jsonschema import ValidationError
    from jsonschema.protocols import Validator

MAX_PROBLEMS = 50
"""Of one value; who sends a list of a million wrong items does not get a million problems."""

_MAX_MESSAGE = 200


def check_schema(schema: Schema) -> list[Problem]:
    """What keeps a schema from being one (code `invalid_schema`), to be asked before it is stored."""
    from karman_core.domain.schema_bounds import bounded  # noqa: PLC0415  (as below)

    problems = json_problems(schema)
    if problems:
        return problems
    try:
        with bounded():
            _compile(_key(schema))
    except _failures() as error:
        return [Problem("", "invalid_schema", f"The schema cannot be used: {error}"[:_MAX_MESSAGE])]
    return []


def check_value(schema: Schema, value: JSON) -> list[Problem]:
    """What keeps a value from fitting a schema, at most 50 problems; paths are relative to the value.

    Codes: `wrong_type`, `missing_field`, `unknown_field`, `invalid_value`, and `invalid_schema` if the schema is to
    blame. `format` is not checked, nor are patterns that have no matcher of linear time.
    """
    from karman_core.domain.schema_bounds import bounded, quiet  # noqa: PLC0415  (as below)

    try:
        with bounded():
            errors = _compile(_key(schema)).iter_errors(quiet(value))
            return [_problem(error) for error in islice(errors, MAX_PROBLEMS)]
    except _failures() as error:
        return [Problem("", "invalid_schema", f"The schema cannot be used: {error}"[:_MAX_MESSAGE])]


def fits(root: Schema, schema: Schema, value: JSON) -> bool:
    """Whether a value fits a schema that is a part of `root`; True when that cannot be found out."""
    from karman_core.domain.schema_bounds import bounded, quiet  # noqa: PLC0415  (as below)

    try:
        with bounded():
            return bool(_compile(_key(root)).evolve(schema=schema).is_valid(quiet(value)))
    except _failures():
        return True


def fit(schema: Schema, value: JSON) -> JSON:
    """What a field is given when its input is one placeholder: the value, or its JSON text.

    A field that takes text and does not take the value gets the value as JSON text: a string field that reads a number,
    or a list from a united group. Nodes whose fields are all strings, as Exosphere's are, work with all others by this.

    Args:
        schema: of the field, as `schemas.field_schema` gives it.
        value: what the placeholder resolved to.
    """
    if isinstance(value, str) or not accepts_text(schema) or fits(schema, schema, value):
        return value
    return as_text(value)


class _InvalidSchemaError(Exception):
    """Not a JSON Schema."""


def _key(schema: Schema) -> str:
    return json.dumps(schema)


@lru_cache(maxsize=1024)
def _compile(key: str) -> Validator:
    """The validator of a schema, given as JSON text."""
    from jsonschema import Draft202012Validator  # noqa: PLC0415  100 ms that most functions do not need
    from jsonschema.exceptions import best_match  # noqa: PLC0415  (as above)
    from jsonschema.validators import validator_for  # noqa: PLC0415  (as above)
    from referencing import Registry  # noqa: PLC0415  (as above)

    from karman_core.domain.schema_bounds import bounded_class, quiet  # noqa: PLC0415  (as above)

    schema = json.loads(key)
    try:
        dialect = validator_for(schema, default=Draft202012Validator)
    except (AttributeError, TypeError, ValueError) as error:
        raise _InvalidSchemaError("its '$schema' is no URI") from error
    validator: Any = bounded_class(dialect, patterns='"patternProperties"' in key)
    meta: Any = bounded_class(dialect, patterns=False)
    wrong = best_match(meta(dialect.META_SCHEMA).iter_errors(quiet(schema)))
    if wrong is not None:
        raise _InvalidSchemaError(f"it is no JSON Schema: {wrong.message}")
    return validator(schema, registry=Registry())  # type: ignore[no-any-return]


def _failures() -> tuple[type[Exception], ...]:
    """What checking raises when the schema is to blame: references, patterns, huge numbers, malformed URIs."""
    from referencing.exceptions import Unresolvable  # noqa: PLC0415  (as above)

    from karman_core.domain.schema_bounds import TooCostlyError  # noqa: PLC0415  (as above)

    return (
        _InvalidSchemaError,
        TooCostlyError,
        Unresolvable,
        RecursionError,
        re.error,
        ArithmeticError,
        ValueError,
    )


def _problem(error: ValidationError) -> Problem:
    path = ""
    for part in error.absolute_path:
        path = child(path, part)
    wanted: Any = error.validator_value
    match error.validator:
        case "required" if name := next(_missing(error, wanted), None):
            return Problem(child(path, name), "missing_field", "The field is required.")
        case "type":
            names = wanted if isinstance(wanted, str) else " or ".join(wanted)
            return Problem(
                path, "wrong_type", f"It must be of type {names} and is {describe(error.instance)}."
            )
        case "additionalProperties" | "unevaluatedProperties":
            return Problem(path, "unknown_field", f"{error.message[:_MAX_MESSAGE]}.")
    return Problem(path, "invalid_value", f"{error.message[:_MAX_MESSAGE]}.")


def _missing(error: ValidationError, names: Any) -> Iterator[str]:  # noqa: ANN401  a list of names, or a draft 3 bool
    """The name that a `required` error is about; it says so in its message only."""
    if isinstance(names, list):
        yield from (name for name in names if error.message.startswith(f"{name!r} is "))
