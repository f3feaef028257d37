"""Validators of JSON Schemas that come from anyone: bounded work, patterns in linear time, one dialect.

jsonschema's own do what a schema asks for. A few lines of one can ask for 2^40 steps (`allOf` of references that
double), for hours (`pattern` with nested repetitions, by a matcher that backtracks) or for the square of a value's size
(`uniqueItems` of objects), and one process checks the values of all namespaces. Here every step is counted, patterns
are matched by the engine that pydantic has (Rust's, no backtracking), and messages quote no large values.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache, partial
from typing import Any, TypeAlias

from jsonschema import ValidationError, validators
from jsonschema.protocols import Validator
from pydantic_core import SchemaError, SchemaValidator, core_schema

from karman_core.domain.definition import JSON

MAX_STEPS = 1_000_000
"""Of one check: some seconds. A list of 800,000 items of a plain type takes less, one of a million more."""

MAX_PATTERN_CHARACTERS = 4_000
MAX_PATTERN_WEIGHT = 2_500
"""Of a pattern: about as many states as it has when its repetitions are written out. A wide class has many of them."""

_CHARACTERS_A_STEP = 500
"""So many characters are matched against a pattern of weight 1 while a keyword is looked up."""

_COMPILE_STEPS = 10
_ITEMS_A_STEP = 8
_REFERENCE_STEPS = 3
_REFERENCES = frozenset({"$ref", "$dynamicRef", "$recursiveRef"})
_TEXT_SHOWN = 100

_TOKEN = re.compile(
    r"\\[wWpPsSdD]|\\.|\[(?:\\.|[^\]\\])*\]|\{(?P<least>[0-9]+)(?P<more>,(?P<most>[0-9]*))?\}|.", re.DOTALL
)
_WIDE = re.compile(r"\\[wWpP]")
_WIDE_WEIGHT = 50
_NEGATED_WEIGHT = 4

_Part: TypeAlias = Any
"""Of a schema or a value; or what is jsonschema's own and has no type."""

_Check: TypeAlias = Callable[[_Part, _Part, _Part, Mapping[str, _Part]], _Part]
_left: ContextVar[list[int]] = ContextVar("schema_steps_left")


class TooCostlyError(Exception):
    """A schema and a value that take too many steps to compare."""


@contextmanager
def bounded() -> Iterator[None]:
    """Count what is checked in the block; more than MAX_STEPS raise TooCostlyError."""
    token = _left.set([MAX_STEPS])
    try:
        yield
    finally:
        _left.reset(token)


def spend(steps: int) -> None:
    """Count steps, in a `bounded` block. Raises TooCostlyError."""
    left = _left.get()
    left[0] -= steps
    if left[0] < 0:
        raise TooCostlyError(f"to check this value takes more than {MAX_STEPS:,} steps")


class _Object(dict[str, Any]):
    def __repr__(self) -> str:
        return f"an object with {len(self)} keys"


class _List(list[Any]):
    def __repr__(self) -> str:
        return f"a list of {len(self)}"


class _Text(str):
    __slots__ = ()

    def __repr__(self) -> str:
        return f"a text of {len(self):,} characters"


def quiet(value: JSON) -> _Part:
    """The value as messages may quote it: of what is large, only that. Each error would copy all of it otherwise."""
    match value:
        case dict():
            return _Object({key: quiet(item) for key, item in value.items()})
        case list():
            return _List(map(quiet, value))
        case str() if len(value) > _TEXT_SHOWN:
            return _Text(value)
    return value


@lru_cache(maxsize=32)
def bounded_class(base: type[Validator], *, patterns: bool) -> type[Validator]:
    """A dialect's validator whose steps are counted; `patterns` if the schema has `patternProperties`."""
    checks: dict[str, _Check] = dict(base.VALIDATORS)
    own: dict[str, _Check] = {
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": partial(_additional_properties, checks["additionalProperties"]),
        "uniqueItems": _unique,
    }
    if patterns:
        own["unevaluatedProperties"] = _unevaluated_properties
    kept = {name: partial(_counted, own.get(name, check), name) for name, check in checks.items()}
    made: _Part = validators.extend(base, kept)  # type: ignore[no-untyped-call]
    evolve = made.evolve

    def evolve_within(self: _Part, *, schema: _Part = None, **changes: _Part) -> _Part:
        """A part that names a dialect would be checked by jsonschema's validator of it, which counts nothing."""
        part = self.schema if schema is None else schema
        if isinstance(part, dict) and "$schema" in part:
            part = {name: value for name, value in part.items() if name != "$schema"}
        return evolve(self, schema=part, **changes)

    made.evolve = evolve_within
    return made  # type: ignore[no-any-return]


def matches(pattern: str, text: str) -> bool | None:
    """Whether a text has what a pattern describes; None where that cannot be said in linear time.

    Those are patterns with look-around or back-references, and large ones. Raises re.error for what is no pattern.
    """
    if len(pattern) > MAX_PATTERN_CHARACTERS:
        return None
    weight = pattern_weight(pattern)
    if weight > MAX_PATTERN_WEIGHT:
        return None
    spend(len(text) * weight // _CHARACTERS_A_STEP)
    matcher = _matcher(pattern, weight)
    return None if matcher is None else matcher.isinstance_python(str(text))


def pattern_weight(pattern: str) -> int:
    """About how many states a matcher of the pattern has."""
    outside, total, last = [], 0, 0
    for token in _TOKEN.finditer(pattern):
        match token[0][0]:
            case "(":
                outside.append(total)
                total = 0
            case ")" if outside:
                last = total
                total += outside.pop()
            case "{" if token["least"]:
                times = max(int(token["least"][:9]), int((token["most"] or "0")[:9]), 1)
                total += last * (times - 1)
                last *= times
            case first:
                last = _atom_weight(token[0], first)
                total += last
    return total + sum(outside)


def _atom_weight(token: str, first: str) -> int:
    if _WIDE.search(token):
        return _WIDE_WEIGHT
    return _NEGATED_WEIGHT if first == "." or token.startswith("[^") or token[1:2] in set("SD") else 1


@lru_cache(maxsize=16)
def _matcher(pattern: str, weight: int) -> SchemaValidator | None:
    spend(_COMPILE_STEPS + weight)
    try:
        return SchemaValidator(core_schema.str_schema(pattern=pattern))
    except SchemaError:
        re.compile(pattern)  # says what is wrong with what is no pattern at all
        return None


def _counted(
    check: _Check, name: str, validator: _Part, wanted: _Part, instance: _Part, schema: Mapping[str, _Part]
) -> _Part:
    """No generator: one more frame a level would reach the interpreter's limit sooner."""
    if name == "required" and isinstance(wanted, list):
        spend(len(wanted))  # there may be an error for each
    sizes = sum(len(each) for each in (wanted, instance) if isinstance(each, (list, dict)))
    spend((_REFERENCE_STEPS if name in _REFERENCES else 1) + sizes // _ITEMS_A_STEP)
    return check(validator, wanted, instance, schema)


def _pattern(validator: _Part, wanted: _Part, instance: _Part, _: _Part) -> Iterator[ValidationError]:
    if validator.is_type(instance, "string") and matches(wanted, instance) is False:
        yield ValidationError(f"{instance!r} does not match {wanted!r}")


def _pattern_properties(
    validator: _Part, wanted: _Part, instance: _Part, _: _Part
) -> Iterator[ValidationError]:
    if not validator.is_type(instance, "object"):
        return
    for pattern, schema in wanted.items():
        for name, value in instance.items():
            spend(1)
            if matches(pattern, name):
                yield from validator.descend(value, schema, path=name, schema_path=pattern)


def _additional_properties(
    original: _Check,
    validator: _Part,
    wanted: _Part,
    instance: _Part,
    schema: Mapping[str, _Part],
) -> Iterator[ValidationError]:
    patterns = schema.get("patternProperties")
    if not patterns or not validator.is_type(instance, "object"):
        yield from original(validator, wanted, instance, schema)
        return
    known = schema.get("properties", {})
    extras = [name for name in instance if name not in known and not _described(name, patterns)]
    if isinstance(wanted, dict):
        for name in extras:
            yield from validator.descend(instance[name], wanted, path=name)
    elif wanted is False and extras:
        shown = ", ".join(map(repr, map(quiet, sorted(extras))))
        yield ValidationError(f"{shown} do not match any of the patterns")


def _described(name: str, patterns: Mapping[str, _Part]) -> bool:
    spend(len(patterns))
    return any(matches(pattern, name) is not False for pattern in patterns)


def _unevaluated_properties(*_: object) -> Iterator[ValidationError]:
    """Not checked beside `patternProperties`: jsonschema would match these by the matcher that backtracks."""
    return iter(())


def _unique(validator: _Part, wanted: _Part, instance: _Part, _: _Part) -> Iterator[ValidationError]:
    if wanted and validator.is_type(instance, "array"):
        seen = {_comparable(item) for item in instance}
        if len(seen) < len(instance):
            yield ValidationError(f"{instance!r} has non-unique elements")


def _comparable(value: JSON) -> object:
    """Equal for values that JSON Schema takes for the same: 1 and 1.0 are, 1 and true are not."""
    spend(1)
    match value:
        case dict():
            return ("object", frozenset((key, _comparable(item)) for key, item in value.items()))
        case list():
            return ("list", tuple(map(_comparable, value)))
        case bool():
            return ("boolean", value)
    return value
