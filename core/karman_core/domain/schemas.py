"""Looking into the JSON Schemas of inputs and outputs: what is at a path, which fields there are.

It knows what pydantic writes and people commonly do; what it does not know it takes for "any value", so that nothing is
refused for being unusual. Only references into `$defs` or `definitions` are followed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from karman_core.domain.definition import JSON
from karman_core.domain.paths import Part, Path

Schema: TypeAlias = Mapping[str, JSON] | bool
"""A JSON Schema: an object of keywords, or True (any value) or False (none)."""

ANY: Schema = {}

_DEFINITIONS = ("$defs", "definitions")
_ALTERNATIVES = ("anyOf", "oneOf")
_ANNOTATIONS = frozenset(
    {
        "$ref",
        "$schema",
        "$id",
        "$comment",
        "allOf",
        "default",
        "deprecated",
        "description",
        "examples",
        "readOnly",
    }
    | {"title", "writeOnly", *_DEFINITIONS}
)
_OPENING = frozenset(
    {"anyOf", "oneOf", "not", "if", "patternProperties", "dependentSchemas", "dependencies", "$dynamicRef"}
)
"""Keywords by which an object may have properties that `properties` does not list."""

_LISTING = frozenset({"properties", "patternProperties", "additionalProperties"})
_NOT_PLAIN = frozenset({"enum", "const", "pattern", "format", "not", "contentEncoding"})


def parts_of(root: Schema, schema: Schema) -> list[Mapping[str, JSON]]:
    """The schemas that a value must all fit: the schema itself, what it refers to and its `allOf`, without bare notes.

    `$ref` and `allOf` are still in them and are to be passed over.
    """
    found: list[Mapping[str, JSON]] = []
    seen: set[int] = set()
    waiting: list[Any] = [schema]
    while waiting:
        part = waiting.pop(0)
        if not isinstance(part, dict) or id(part) in seen:
            continue
        seen.add(id(part))
        if not _ANNOTATIONS.issuperset(part):
            found.append(part)
        if "$ref" in part:
            waiting.append(_referred(root, part["$ref"]))
        waiting.extend(_schemas(part, "allOf"))
    return found


def alternatives(part: Mapping[str, JSON]) -> list[list[Any]]:
    """For each of `anyOf` and `oneOf` that a part has, the schemas of which a value must fit one."""
    return [found for keyword in _ALTERNATIVES if (found := _schemas(part, keyword))]


def closed(part: Mapping[str, JSON]) -> bool:
    """Whether a schema that is all there is to say of an object lists all its properties.

    pydantic's do, and do not say `additionalProperties: false`.
    """
    return "properties" in part and "additionalProperties" not in part and _OPENING.isdisjoint(part)


def says_all(parts: Sequence[Mapping[str, JSON]]) -> bool:
    """Whether the alternatives in the parts are the only ones to list properties."""
    return len(parts) == 1 and _LISTING.isdisjoint(parts[0])


def properties(part: Mapping[str, JSON]) -> Mapping[str, JSON]:
    """The schemas of the properties that a part lists."""
    found = part.get("properties")
    return found if isinstance(found, dict) else {}


def required(part: Mapping[str, JSON]) -> list[str]:
    """The names of the properties that a part requires."""
    found = part.get("required")
    return [name for name in found if isinstance(name, str)] if isinstance(found, list) else []


def first_items(part: Mapping[str, JSON]) -> list[Any]:
    """The schemas of a list's first items, where a part has one for each."""
    items = part.get("items")
    return items if isinstance(items, list) else _schemas(part, "prefixItems")  # a list up to draft 2019-09


def item(part: Mapping[str, JSON], index: int) -> Any:  # noqa: ANN401  a schema or what stands for one
    """The schema of a list's item; False if no list is that long."""
    first = first_items(part)
    if index >= count(part, "maxItems", index + 1):
        return False
    if index < len(first):
        return first[index]
    return part.get("additionalItems" if isinstance(part.get("items"), list) else "items", True)


def count(part: Mapping[str, JSON], keyword: str, default: int) -> int:
    """The number that a keyword gives."""
    found = part.get(keyword)
    return found if isinstance(found, int) else default


def types(part: Mapping[str, JSON]) -> frozenset[str]:
    """The types of values that a part names; all types if it names none. A number may also be an integer."""
    named = part.get("type")
    listed = named if isinstance(named, list) else [named] if isinstance(named, str) else _TYPES
    found = {name for name in listed if isinstance(name, str)}
    if "number" in found:
        found.add("integer")
    if part.get("nullable") is True:
        found.add("null")
    return frozenset(found)


_MOST_PARTS = 100
"""Of a union of unions that are followed; what is below is taken for any value. It bounds recursion."""

_TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")


@dataclass(frozen=True, slots=True)
class Fields:
    """The properties of an object schema.

    Attributes:
        schemas: by name; they may refer to the definitions of the schema they come from.
        required: those that every object has.
        closed: whether there are no others.
    """

    schemas: Mapping[str, JSON]
    required: tuple[str, ...]
    closed: bool


def fields(schema: Schema) -> Fields:
    """What an object schema says of its properties."""
    parts = parts_of(schema, schema)
    schemas: dict[str, JSON] = {}
    for part in reversed(parts):
        schemas.update(properties(part))
    names = dict.fromkeys(name for part in parts for name in required(part))
    only = any(
        part.get("additionalProperties") is False and "patternProperties" not in part for part in parts
    )
    return Fields(schemas, tuple(names), closed=only or (len(parts) == 1 and closed(parts[0])))


def field_schema(schema: Schema, path: Path) -> Schema | None:
    """The schema of what is at a path inside the values that a schema describes.

    Returns:
        A schema that stands on its own (it has the definitions with it); `ANY` if unknown; None if no value can have
        anything there.
    """
    found: Schema | None = schema
    for part in path:
        found = _step(schema, found, part, set(), alone=True) if found is not None else None
    return None if found is None else _with_definitions(found, schema)


def array_of(schema: Schema) -> Schema:
    """The schema of a list of such values."""
    return _with_definitions({"type": "array", "items": schema}, schema)


def accepts_text(schema: Schema) -> bool:
    """Whether a schema takes any string: it, or one of its alternatives, is a plain string."""
    return _plain_string(schema, schema, set())


def _plain_string(root: Schema, schema: Schema, seen: set[int]) -> bool:
    if id(schema) in seen or len(seen) >= _MOST_PARTS:
        return False
    seen.add(id(schema))
    parts = parts_of(root, schema)
    unions = [union for part in parts for union in alternatives(part)]
    if any("type" in part and "string" not in types(part) for part in parts):
        return False
    if not all(_NOT_PLAIN.isdisjoint(part) for part in parts):
        return False
    if not unions:
        return any("type" in part for part in parts)
    return all(any(_plain_string(root, option, seen) for option in union) for union in unions)


def _step(root: Schema, schema: Schema, part: Part, seen: set[int], *, alone: bool) -> Schema | None:
    """The schema of one property or item. `seen` keeps unions of themselves from being followed for ever."""
    if id(schema) in seen or len(seen) >= _MOST_PARTS:
        return ANY
    seen.add(id(schema))
    found: list[Any] = []
    parts = parts_of(root, schema)
    for candidate in parts:
        only = alone and len(parts) == 1 and closed(candidate)
        inside = _inside(candidate, part, only=only)
        if inside is None:
            return None
        found.append(inside)
        for union in alternatives(candidate):
            steps = [_step(root, option, part, seen, alone=alone and says_all(parts)) for option in union]
            options = [step for step in steps if step is not None]
            if not options:
                return None
            found.append(ANY if ANY in options else options[0] if len(options) == 1 else {"anyOf": options})
    told = [inside for inside in found if inside not in (ANY, True)]
    return told[0] if len(told) == 1 else {"allOf": told} if told else ANY


def _inside(candidate: Mapping[str, JSON], part: Part, *, only: bool) -> Schema | None:
    if isinstance(part, int):
        inside = item(candidate, part)
        return None if inside is False or "array" not in types(candidate) else inside
    if "object" not in types(candidate):
        return None
    if part in properties(candidate):
        return properties(candidate)[part]  # type: ignore[no-any-return]
    if "patternProperties" in candidate:
        return ANY
    inside = candidate.get("additionalProperties", not only)
    return None if inside is False else inside


def _with_definitions(schema: Schema, root: Schema) -> Schema:
    if isinstance(schema, bool) or isinstance(root, bool):
        return schema
    return {**schema, **{key: root[key] for key in _DEFINITIONS if key in root}}


def _schemas(part: Mapping[str, JSON], keyword: str) -> list[Any]:
    found = part.get(keyword)
    return found if isinstance(found, list) else []


def _referred(root: Schema, reference: object) -> Any:  # noqa: ANN401  whatever is there; callers look before they use it
    """What a reference into the definitions points to; True for any other, which may be anything."""
    match str(reference).split("/"):
        case ["#", keyword, *keys] if keyword in _DEFINITIONS and keys:
            found: Any = root
            for key in (keyword, *keys):
                name = key.replace("~1", "/").replace("~0", "~")
                found = found.get(name, True) if isinstance(found, dict) else True
            return found
    return True
