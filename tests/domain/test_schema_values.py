from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from karman_core.domain.schema_values import MAX_PROBLEMS, check_schema, check_value, fit, fits
from tests.domain.schema_strategies import plain_values, schemas_of


class Item(BaseModel, extra="forbid"):
    name: str
    count: int | None = None


class Order(BaseModel):
    items: list[Item]
    note: str = ""


ORDER = Order.model_json_schema()


def found(schema: Any, value: Any) -> list[tuple[str, str]]:
    return [(problem.path, problem.code) for problem in check_value(schema, value)]


def test_every_misfit_has_its_path_and_code() -> None:
    value = {"items": [{"name": 1}, {"name": "a", "count": "x"}, {}, {"name": "b", "more": 1}], "note": None}
    assert sorted(found(ORDER, value)) == [
        ("items[0].name", "wrong_type"),
        ("items[1].count", "invalid_value"),
        ("items[2].name", "missing_field"),
        ("items[3]", "unknown_field"),
        ("note", "wrong_type"),
    ]
    assert found(ORDER, {"items": []}) == []


@pytest.mark.parametrize(
    ("schema", "value", "path", "code", "message"),
    [
        ({"type": "integer"}, "a", "", "wrong_type", "It must be of type integer and is a string."),
        (
            {"type": ["integer", "null"]},
            {},
            "",
            "wrong_type",
            "It must be of type integer or null and is an object with",
        ),
        ({"required": ["a", "b c"]}, {"a": 1}, "b c", "missing_field", "The field is required."),
        ({"minimum": 3}, 1, "", "invalid_value", "1 is less than the minimum of 3."),
        ({"additionalProperties": False}, {"x": 1}, "", "unknown_field", "'x' was unexpected"),
        (
            {"properties": {}, "unevaluatedProperties": False},
            {"x": 1},
            "",
            "unknown_field",
            "'x' was unexpected",
        ),
        (False, 1, "", "invalid_value", "False schema does not allow 1."),
        (
            {"$schema": "http://json-schema.org/draft-03/schema#", "properties": {"a": {"required": True}}},
            {},
            "a",
            "invalid_value",
            "'a' is a required property.",
        ),
    ],
)
def test_misfits_are_told_in_words(schema: Any, value: Any, path: str, code: str, message: str) -> None:
    (problem,) = check_value(schema, value)
    assert (problem.path, problem.code) == (path, code)
    assert message in problem.message


def test_each_missing_field_is_named_once() -> None:
    assert found({"required": ["a", "ab", "b"]}, {"b": 1}) == [
        ("a", "missing_field"),
        ("ab", "missing_field"),
    ]


def test_the_number_and_the_length_of_problems_are_bounded() -> None:
    problems = check_value({"items": {"maxLength": 1}}, ["x" * 10_000] * 1_000)
    assert len(problems) == MAX_PROBLEMS
    assert all(len(problem.message) < 250 for problem in problems)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "text"},
        {"required": "a"},
        {"properties": []},
        {"minimum": "3"},
        {"$schema": ["a"]},
        {"$schema": 1},
        {"$schema": "http://["},
    ],
)
def test_what_is_no_schema_is_refused(schema: Any) -> None:
    for problems in (check_schema(schema), check_value(schema, {"a": 1})):
        assert [problem.code for problem in problems] == ["invalid_schema"]
    assert fits(schema, schema, 1)


def test_a_schema_must_be_json() -> None:
    assert [problem.code for problem in check_schema({"const": {1, 2}})] == ["not_json"]
    deep: Any = {}
    for _ in range(10_000):
        deep = {"items": deep}
    assert [problem.code for problem in check_schema(deep)] == ["too_deep"]


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"$ref": "https://localhost:1/schema.json"}, 1),
        ({"$ref": "#/$defs/Gone"}, 1),
        ({"$ref": "#"}, 1),
        ({"$schema": "http://json-schema.org/draft-04/schema#", "patternProperties": {"(": {}}}, {"x": 1}),
        ({"multipleOf": 0.5}, 2**1100),
    ],
)
def test_a_schema_that_cannot_be_applied_is_to_blame(schema: Any, value: Any) -> None:
    assert check_schema(schema) == []
    assert [problem.code for problem in check_value(schema, value)] == ["invalid_schema"]
    assert fits(schema, schema, value)


def test_references_are_resolved_in_the_root() -> None:
    assert fits(ORDER, {"$ref": "#/$defs/Item"}, {"name": "a"})
    assert not fits(ORDER, {"$ref": "#/$defs/Item"}, {"name": 1})


@given(plain_values, st.data())
def test_values_are_judged_alike_however_they_are_asked_for(value: Any, data: st.DataObject) -> None:
    schema = data.draw(schemas_of(data.draw(plain_values)))
    assert check_schema(schema) == []
    assert fits(schema, schema, value) == (check_value(schema, value) == [])


TEXT = {"type": "string"}


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        (TEXT, "a", "a"),
        (TEXT, 1, "1"),
        (TEXT, ["a", {"b": None}], '["a",{"b":null}]'),
        (TEXT, None, "null"),
        ({"type": ["string", "null"]}, None, None),
        ({"anyOf": [TEXT, {"type": "integer"}]}, 1, 1),
        ({"anyOf": [TEXT, {"type": "integer"}]}, [1], "[1]"),
        ({"type": "array"}, [1], [1]),
        ({"type": "integer"}, [1], [1]),
        ({"enum": ["1"]}, 1, 1),
        ({}, [1], [1]),
        (True, {"a": 1}, {"a": 1}),
    ],
)
def test_text_fields_get_json_text(schema: Any, value: Any, expected: Any) -> None:
    assert fit(schema, value) == expected


@given(plain_values)
def test_what_a_text_field_gets_says_what_the_value_was(value: Any) -> None:
    text = fit(TEXT, value)
    assert isinstance(text, str)
    assert text == value if isinstance(value, str) else json.loads(text) == value
