"""JSON Schemas that a given value fits, for the tests of the domain."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.domain.values import json_values

keys = st.sampled_from("abcde")
plain_values = json_values(keys, min_items=1)
"""With few keys, so that schemas and values meet; without empty lists, which fit any list (see `compatibility`)."""

_TYPES = {str: "string", int: "integer", float: "number", list: "array", dict: "object", bool: "boolean"}


def type_of(value: Any) -> str:
    """The JSON type of a value."""
    return "null" if value is None else _TYPES[type(value)]


@st.composite
def schemas_of(draw: st.DrawFn, value: Any) -> dict[str, Any]:
    """A schema that the value fits, with definitions where it needs them."""
    definitions: dict[str, Any] = {}
    schema = draw(_schema(value, definitions, 3))
    return {**schema, "$defs": definitions} if definitions else schema


@st.composite
def _schema(draw: st.DrawFn, value: Any, definitions: dict[str, Any], depth: int) -> dict[str, Any]:
    def inner(part: Any) -> dict[str, Any]:
        return draw(_schema(part, definitions, depth - 1)) if depth else {}

    kinds = ["any", "const", "enum", "type", "types", "type", "type"]
    kinds += ["anyOf", "oneOf", "allOf", "ref"] if depth else []
    match draw(st.sampled_from(kinds)):
        case "any":
            return draw(st.sampled_from([{}, {"description": "anything"}]))
        case "const":
            return {"const": value}
        case "enum":
            return {"enum": draw(st.permutations([value, draw(plain_values)]))}
        case "types":
            types = {type_of(value), draw(st.sampled_from(sorted({*_TYPES.values(), "null"})))}
            return {"type": sorted(types)}
        case "anyOf" | "oneOf" as keyword:
            options = [inner(value), inner(draw(plain_values)), {"type": "null"}]
            return {keyword: draw(st.permutations(options)), **draw(st.sampled_from([{}, {"title": "T"}]))}
        case "allOf":
            return {"allOf": [inner(value), inner(value)], **(inner(value) if draw(st.booleans()) else {})}
        case "ref":
            name = f"D{len(definitions)}"
            definitions[name] = {}
            definitions[name] = inner(value)
            return {"$ref": f"#/$defs/{name}"}
        case _:
            return _typed(draw, value, inner)


def _typed(draw: st.DrawFn, value: Any, inner: Any) -> dict[str, Any]:
    if isinstance(value, list):
        return _array(draw, value, inner)
    if isinstance(value, dict):
        return _object(draw, value, inner)
    kind = type_of(value)
    if kind == "integer" and draw(st.booleans()):
        kind = "number"
    return {"type": kind}


def _array(draw: st.DrawFn, value: list[Any], inner: Any) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "array"}
    if draw(st.booleans()):
        schema["minItems"] = draw(st.integers(0, len(value)))
    if draw(st.booleans()):
        count = draw(st.integers(1, len(value)))
        schema["prefixItems"] = [inner(item) for item in value[:count]]
        if count == len(value) and draw(st.booleans()):
            schema["items"] = False
    if draw(st.booleans()):
        schema["maxItems"] = draw(st.integers(len(value), len(value) + 1))
    if len(value) == 1 and "prefixItems" not in schema:
        schema["items"] = inner(value[0])
    return schema


def _object(draw: st.DrawFn, value: dict[str, Any], inner: Any) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object"}
    if draw(st.booleans()):
        schema["required"] = [name for name in value if draw(st.booleans())]
    more = draw(st.sampled_from(["closed", "open", "implicit", "pattern"]))
    listed = {
        name: inner(item)
        for name, item in value.items()
        if more in ("closed", "implicit") or draw(st.booleans())
    }
    for name in draw(st.lists(keys, max_size=1)):
        listed.setdefault(name, inner(draw(plain_values)) if name not in value else inner(value[name]))
    if listed or more in ("closed", "implicit"):
        schema["properties"] = listed
    if more == "closed":
        schema["additionalProperties"] = False
    elif more == "open":
        schema["additionalProperties"] = draw(st.sampled_from([True, {}]))
    elif more == "pattern":
        schema["patternProperties"] = {"^[abcde]$": {}}
    return schema
