from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from karman_core.domain.compatibility import compatible
from karman_core.domain.schema_values import check_value
from tests.domain.schema_strategies import plain_values, schemas_of


@settings(max_examples=200)
@given(plain_values, st.data())
def test_schemas_that_share_a_value_are_compatible(value: Any, data: st.DataObject) -> None:
    producer, consumer = data.draw(schemas_of(value)), data.draw(schemas_of(value))
    assume(not check_value(producer, value) and not check_value(consumer, value))  # oneOf may fit twice
    before = copy.deepcopy((producer, consumer))
    assert compatible(producer, consumer) is None
    assert (producer, consumer) == before


@settings(max_examples=150)
@given(plain_values, plain_values, st.data())
def test_what_is_refused_has_no_value_in_common(value: Any, other: Any, data: st.DataObject) -> None:
    producer, consumer = data.draw(schemas_of(value)), data.draw(schemas_of(other))
    assume(not check_value(producer, value))
    refused = compatible(producer, consumer) is not None
    event(f"refused: {refused}")
    if refused:
        assert check_value(consumer, value)


@given(plain_values, plain_values)
def test_constants_are_compatible_if_they_are_equal(one: Any, other: Any) -> None:
    same = not check_value({"const": one}, other)
    assert (compatible({"const": one}, {"const": other}) is None) == same


TEXT, WHOLE, NUMBER, NULL = ({"type": name} for name in ("string", "integer", "number", "null"))
STRINGS = {"type": "array", "items": TEXT}


def record(*needed: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(needed)}


@pytest.mark.parametrize(
    ("producer", "consumer", "reason"),
    [
        (TEXT, WHOLE, "a string is given where an integer is wanted"),
        (NUMBER, TEXT, "a number is given where a string is wanted"),
        (
            {"type": ["null", "string"]},
            {"type": ["integer", "boolean"]},
            "null or a string is given where a boolean or",
        ),
        (record(), record("a"), "'a' is required and not given"),
        (record(), STRINGS, "an object is given where a list is wanted"),
        (STRINGS, {"type": "array", "items": WHOLE}, "in the items, a string is given"),
        (
            {"type": "array", "items": record("a", a=TEXT)},
            {"type": "array", "items": record("b", b=TEXT)},
            "in the items, 'b' is required and not given",
        ),
        ({"anyOf": [TEXT, NULL]}, WHOLE, "a string is given where an integer is wanted"),
        (TEXT, {"anyOf": [WHOLE, NULL]}, "a string is given where an integer is wanted"),
        ({"oneOf": [TEXT, WHOLE]}, {"oneOf": [NULL, STRINGS]}, "a string is given where null is wanted"),
        ({"allOf": [{}, TEXT]}, WHOLE, "a string is given"),
        (TEXT, {"allOf": [{"minLength": 1}, WHOLE]}, "a string is given"),
        ({"enum": ["a", "b"]}, {"enum": ["c"]}, "a, b does not suit"),
        ({"enum": list("abcdef")}, WHOLE, "a, b, c, d, e, ... does not suit"),
        (WHOLE, {"const": "x"}, "only x would suit"),
        ({"const": {"a": 1}}, record(a=TEXT), '{"a":1} does not suit'),
        (record("a", a=TEXT), record("a", "b", a=TEXT, b=TEXT), "'b' is required and not given"),
        (record("a", a=TEXT), record(a=WHOLE), "in 'a', a string is given"),
        (record(a=TEXT), record("a", a=WHOLE), "in 'a', a string is given"),
        (record("a", a=record("b", b=TEXT)), record(a=record(b=WHOLE)), "in 'a', in 'b', a string is given"),
        (record("a", a=TEXT), {"type": "object", "additionalProperties": WHOLE}, "in 'a', a string is given"),
        ({"type": "object", "additionalProperties": TEXT}, record("a", a=WHOLE), "in 'a', a string is given"),
        (record("a", a=TEXT), record() | {"additionalProperties": False}, "'a' is given and not taken"),
        (
            record() | {"additionalProperties": False},
            {"type": "object", "required": ["a"]},
            "'a' is required",
        ),
        ({"allOf": [record() | {"additionalProperties": False}, {}]}, record("a"), "'a' is required"),
        (
            {"type": "string", "format": "date"},
            {"type": "string", "format": "uuid"},
            "text of format date is given",
        ),
        (
            {"type": "array", "prefixItems": [TEXT]},
            {"type": "array", "items": WHOLE},
            "in the items, a string",
        ),
        (
            {"type": "array", "prefixItems": [TEXT, TEXT], "minItems": 2},
            {"type": "array", "prefixItems": [TEXT, WHOLE]},
            "in the items, a string",
        ),
        (
            {"type": "array", "minItems": 2},
            {"type": "array", "prefixItems": [TEXT], "items": False},
            "no list of 2 is wanted",
        ),
        (
            {"type": "array", "prefixItems": [TEXT], "items": False},
            {"type": "array", "minItems": 2},
            "no list of 2 is given",
        ),
        ({"type": "array", "minItems": 5}, {"type": "array", "maxItems": 4}, "no list of 5 is wanted"),
        ({"type": "array", "maxItems": 4}, {"type": "array", "minItems": 5}, "no list of 5 is given"),
        ({"type": "array", "items": [TEXT]}, {"type": "array", "items": [WHOLE]}, "in the items, a string"),
        ({"type": "string", "nullable": False}, NULL, "a string is given where null"),
        ({"$ref": "#/$defs/A", "$defs": {"A": TEXT}}, WHOLE, "a string is given"),
        (TEXT, {"$ref": "#/definitions/A", "definitions": {"A": WHOLE}}, "a string is given"),
    ],
)
def test_what_is_surely_wrong_is_refused(producer: Any, consumer: Any, reason: str) -> None:
    found = compatible(producer, consumer)
    assert found is not None
    assert reason in found


@pytest.mark.parametrize(
    ("producer", "consumer"),
    [
        (WHOLE, NUMBER),
        (NUMBER, WHOLE),  # 2.0 is an integer
        ({"anyOf": [TEXT, NULL]}, TEXT),  # what is given may be no null
        (True, TEXT),
        (TEXT, True),
        (False, TEXT),  # nothing is ever given
        (TEXT, {"type": "string", "nullable": True}),
        (NULL, {"type": "string", "nullable": True}),
        ({"type": "object"}, record("a", a=TEXT)),  # no properties listed: any
        (record("a", a=TEXT), record(b=TEXT)),
        (record(a=TEXT), record(a=WHOLE)),  # both may leave it out
        ({"type": "object", "required": ["x"], "additionalProperties": False}, {"type": "object"}),
        (record() | {"patternProperties": {"^x": TEXT}}, record("xa", xa=TEXT)),
        (record() | {"anyOf": [record("b", b=TEXT)]}, record("b", b=TEXT)),
        ({"allOf": [record("a", a=TEXT), record("b", b=TEXT)]}, record("a", "b")),
        (record("a", a=TEXT) | {"anyOf": [record("b", b=TEXT), record("c", c=TEXT)]}, record("a", "b")),
        ({"type": "array", "minItems": 3}, {"type": "array", "prefixItems": [TEXT]}),
        ({"type": "array", "prefixItems": [], "items": False}, STRINGS),
        (STRINGS, {"type": "array", "maxItems": 0}),  # an empty list may be given
        (
            {"type": "array", "prefixItems": [TEXT, TEXT]},
            {"type": "array", "prefixItems": [TEXT, WHOLE]},
        ),  # or one item
        ({"type": "string", "format": "uri"}, {"type": "string", "format": "uuid"}),
        ({"type": "string", "format": "date"}, TEXT),
        ({"$ref": "https://example.com/schema"}, WHOLE),
        ({"$ref": "#/$defs/Gone"}, WHOLE),
        ({"type": "array", "minItems": "2"}, STRINGS),
        ({"enum": "ab"}, WHOLE),
        ({"type": "integer"}, {"const": 1, "pattern": "("}),
    ],
)
def test_what_may_be_right_is_not_refused(producer: Any, consumer: Any) -> None:
    assert compatible(producer, consumer) is None


def test_recursive_schemas_are_compared_as_far_as_they_repeat() -> None:
    class Tree(BaseModel):
        value: int
        children: list[Tree]

    class Other(BaseModel):
        value: str
        children: list[Other]

    class Wider(BaseModel):
        value: float
        children: list[Wider | str]

    tree, other, wider = (model.model_json_schema() for model in (Tree, Other, Wider))
    assert compatible(tree, tree) is None
    assert compatible(tree, wider) is None
    assert "in 'value', an integer is given where a string is wanted" in str(compatible(tree, other))


def test_endless_and_deep_schemas_end() -> None:
    endless = {
        "$ref": "#/$defs/A",
        "$defs": {"A": {"anyOf": [{"$ref": "#/$defs/A"}, {"allOf": [{"$ref": "#/$defs/A"}]}]}},
    }
    assert compatible(endless, endless) is None
    assert compatible(endless, TEXT) is None
    deep_text: Any = TEXT
    deep_number: Any = WHOLE
    for depth in range(100):
        assert (compatible(deep_text, deep_number) is not None) == (depth < 32)
        deep_text, deep_number = record("a", a=deep_text), record("a", a=deep_number)


def test_many_alternatives_are_compared_once_each() -> None:
    options: dict[str, Any] = {"A40": TEXT}
    for i in range(40):
        options[f"A{i}"] = {"anyOf": [{"$ref": f"#/$defs/A{i + 1}"}, {"$ref": f"#/$defs/A{i + 1}"}]}
    layered = {"$ref": "#/$defs/A0", "$defs": options}
    assert compatible(layered, layered) is None
