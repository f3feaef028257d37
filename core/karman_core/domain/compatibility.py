"""Whether what one node gives can be what another takes, judged by their schemas alone.

Only what is surely wrong is reported: if some value could come from the producer and suit the consumer, nothing is. Two
readings go beyond the letter of JSON Schema, because they are what is meant: an object of a schema with `properties`
has only these (pydantic's schemas do not say so), and a list of wrong items is wrong (though an empty one would do).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from karman_core.domain import schemas
from karman_core.domain.definition import JSON
from karman_core.domain.placeholders import as_text
from karman_core.domain.schema_values import fits
from karman_core.domain.schemas import ANY, Schema

_MAX_DEPTH = 32
"""Below it everything is taken to be compatible; it bounds recursion."""

_DISJOINT_FORMATS = frozenset({"date", "date-time", "time", "duration", "uuid", "email", "ipv4", "ipv6"})
"""Formats of which no string has two."""

_MAX_PAIRS = 20_000
"""Compared at most, listed values among them; what is left is taken to be compatible. Unions multiply."""

_VALUES_SHOWN = 5

_ARTICLES = {
    "null": "null",
    "boolean": "a boolean",
    "integer": "an integer",
    "number": "a number",
    "string": "a string",
    "array": "a list",
    "object": "an object",
}


def compatible(producer: Schema, consumer: Schema) -> str | None:
    """Why no value of the producer's schema suits the consumer's; None if one does or if that is not known."""
    return _Comparison(producer, consumer).clash(producer, consumer, depth=0, alone=True)


class _Comparison:
    """Pairs of subschemas, each compared once; a pair that contains itself is compatible as far as it does."""

    def __init__(self, producer: Schema, consumer: Schema) -> None:
        self._producer = producer
        self._consumer = consumer
        self._known: dict[tuple[int, int, bool], str | None] = {}
        self._left = _MAX_PAIRS

    def clash(self, given: Schema, wanted: Schema, *, depth: int, alone: bool) -> str | None:
        """Why nothing that is given is wanted. `alone`: no other schema lists properties of what is given."""
        key = (id(given), id(wanted), alone)
        if key not in self._known and depth < _MAX_DEPTH and self._left > 0:
            self._left -= 1
            self._known[key] = None
            self._known[key] = next(self._reasons(given, wanted, depth + 1, alone=alone), None)
        return self._known.get(key)

    def _reasons(self, given: Schema, wanted: Schema, depth: int, *, alone: bool) -> Iterator[str]:
        given_parts = schemas.parts_of(self._producer, given)
        wanted_parts = schemas.parts_of(self._consumer, wanted)
        for given_part in given_parts:
            for wanted_part in wanted_parts:
                closed = alone and len(given_parts) == 1 and schemas.closed(given_part)
                yield from self._own_reasons(given_part, wanted_part, depth, closed=closed)
        for part in given_parts:
            only = alone and schemas.says_all(given_parts)
            for union in schemas.alternatives(part):
                yield from _if_all(self.clash(option, wanted, depth=depth, alone=only) for option in union)
        for part in wanted_parts:
            for union in schemas.alternatives(part):
                yield from _if_all(self.clash(given, option, depth=depth, alone=alone) for option in union)

    def _own_reasons(
        self, given: Mapping[str, JSON], wanted: Mapping[str, JSON], depth: int, *, closed: bool
    ) -> Iterator[str]:
        given_values, wanted_values = self._listed(given), self._listed(wanted)
        if given_values and not any(fits(self._consumer, wanted, value) for value in given_values):
            yield f"{_show(given_values)} does not suit"
        elif wanted_values and not any(fits(self._producer, given, value) for value in wanted_values):
            yield f"only {_show(wanted_values)} would suit"
        both = schemas.types(given) & schemas.types(wanted)
        if not both:
            yield f"{_name(given)} is given where {_name(wanted)} is wanted"
        elif both == {"object"}:
            yield from self._object_reasons(given, wanted, depth, closed=closed)
        elif both == {"array"}:
            yield from self._array_reasons(given, wanted, depth)
        elif both == {"string"}:
            yield from _format_reasons(given, wanted)

    def _object_reasons(
        self, given: Mapping[str, JSON], wanted: Mapping[str, JSON], depth: int, *, closed: bool
    ) -> Iterator[str]:
        needed = schemas.required(wanted)
        for name in dict.fromkeys([*needed, *schemas.required(given)]):
            inside = _property(given, name, default=not closed)
            place = _property(wanted, name, default=True)
            if inside is False:
                if name in needed:
                    yield f"'{name}' is required and not given"
            elif place is False:
                yield f"'{name}' is given and not taken"
            elif reason := self.clash(inside, place, depth=depth, alone=True):
                yield f"in '{name}', {reason}"

    def _array_reasons(
        self, given: Mapping[str, JSON], wanted: Mapping[str, JSON], depth: int
    ) -> Iterator[str]:
        given_least, wanted_least = schemas.count(given, "minItems", 0), schemas.count(wanted, "minItems", 0)
        listed = max(len(schemas.first_items(given)), len(schemas.first_items(wanted)))
        sure = max(given_least, wanted_least, 1)
        for index in (*range(min(sure - 1, listed + 1)), sure - 1):
            inside, place = schemas.item(given, index), schemas.item(wanted, index)
            if inside is False or place is False:
                ends, least = ("given", wanted_least) if inside is False else ("wanted", given_least)
                if index < least:
                    yield f"no list of {least} is {ends}"
                return
            if reason := self.clash(inside, place, depth=depth, alone=True):
                yield f"in the items, {reason}"

    def _listed(self, part: Mapping[str, JSON]) -> list[JSON]:
        """The values that a part lists, if it does, and if there are not too many to look at."""
        values = [part["const"]] if "const" in part else part.get("enum")
        if not isinstance(values, list) or len(values) > self._left:
            return []
        self._left -= len(values)
        return values


def _if_all(reasons: Iterator[str | None]) -> Iterator[str]:
    """The first reason, if there is one for every alternative."""
    found = list(reasons)
    if found and all(found):
        yield str(found[0])


def _property(part: Mapping[str, JSON], name: str, *, default: bool) -> Any:  # noqa: ANN401  a schema or what stands for one
    listed = schemas.properties(part)
    if name in listed:
        return listed[name]
    return ANY if "patternProperties" in part else part.get("additionalProperties", default)


def _format_reasons(given: Mapping[str, JSON], wanted: Mapping[str, JSON]) -> Iterator[str]:
    one, other = given.get("format"), wanted.get("format")
    if one != other and {one, other} <= _DISJOINT_FORMATS:
        yield f"text of format {one} is given where {other} is wanted"


def _name(part: Mapping[str, JSON]) -> str:
    found = schemas.types(part)
    if "number" in found:
        found -= {"integer"}
    return " or ".join(text for name, text in _ARTICLES.items() if name in found)


def _show(values: list[JSON]) -> str:
    shown = ", ".join(as_text(value)[:40] for value in values[:_VALUES_SHOWN])
    return shown + (", ..." if len(values) > _VALUES_SHOWN else "")
