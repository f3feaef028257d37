from __future__ import annotations

from typing import Any, Literal

import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from karman_core.domain import schemas
from karman_core.domain.paths import Path
from karman_core.domain.schema_values import check_value
from karman_core.domain.schemas import ANY, accepts_text, array_of, field_schema, fields
from tests.domain.schema_strategies import plain_values, schemas_of


class Address(BaseModel):
    city: str


class Person(BaseModel):
    name: str
    address: Address | None = None
    pair: tuple[int, str] = (1, "a")
    tags: dict[str, list[int]] = {}
    either: Address | list[str] = []


PERSON = Person.model_json_schema()


@pytest.mark.parametrize(
    ("path", "fit", "misfit"),
    [
        (("name",), "x", 1),
        (("address", "city"), "x", 1),
        (("address",), {"city": "x"}, {"city": 1}),
        (("pair", 0), 1, "a"),
        (("pair", 1), "a", 1),
        (("tags", "any"), [1], ["a"]),
        (("tags", "any", 7), 1, "a"),
        (("either", 0), "x", 1),
        (("either", "city"), "x", 1),
    ],
)
def test_the_schema_at_a_path_stands_on_its_own(path: Path, fit: Any, misfit: Any) -> None:
    found = field_schema(PERSON, path)
    assert found is not None
    assert check_value(found, fit) == []
    assert check_value(found, misfit) != []


@pytest.mark.parametrize(
    "path",
    [("gone",), ("name", "x"), ("name", 0), ("address", "street"), ("pair", 2), ("pair", "x"), ("tags", 0)],
)
def test_what_no_value_has_is_known(path: Path) -> None:
    assert field_schema(PERSON, path) is None
    assert field_schema(PERSON, (*path, "further")) is None


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ({}, ("a", 0, "b")),
        (True, ("a",)),
        ({"type": "object"}, ("a",)),
        ({"properties": {"a": True}}, ("a",)),
        ({"type": "object", "properties": {}, "patternProperties": {"^x": {"type": "string"}}}, ("xa",)),
        ({"type": "object", "properties": {}, "additionalProperties": True}, ("a",)),
        ({"type": "array"}, (0,)),
        ({"$ref": "https://example.com/"}, ("a",)),
        ({"$ref": "#/$defs/a/b", "$defs": {"a": 1}}, ("a",)),
        ({"$ref": "#/$defs"}, ("a",)),
        ({"allOf": [{"properties": {"b": {}}}, {"properties": {"c": {}}}]}, ("a",)),
        ({"$defs": {"A": {"anyOf": [{"$ref": "#/$defs/A"}]}}, "$ref": "#/$defs/A"}, ("a",)),
        ({"anyOf": "x", "allOf": {}, "items": []}, (3,)),
    ],
)
def test_what_is_not_known_is_any_value(schema: Any, path: Path) -> None:
    found = field_schema(schema, path)
    assert isinstance(found, dict)
    assert {key: value for key, value in found.items() if key != "$defs"} == ANY


def test_what_several_schemas_say_of_a_property_all_holds() -> None:
    found = field_schema(
        {"allOf": [{"properties": {"a": {"type": "string"}}}, {"properties": {"a": {"minLength": 2}}}]},
        ("a",),
    )
    assert found is not None
    assert check_value(found, "ab") == []
    assert check_value(found, "a") != []
    assert check_value(found, 12) != []


def test_alternatives_beside_properties_do_not_deny_them() -> None:
    schema = {
        "properties": {"a": {"type": "string"}},
        "anyOf": [{"properties": {"b": {}}}, {"properties": {"c": {}}}],
    }
    assert field_schema(schema, ("a",)) == {"type": "string"}
    assert field_schema({"anyOf": schema["anyOf"]}, ("a",)) is None


def places(value: Any, path: Path = ()) -> list[tuple[Path, Any]]:
    items: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    return [(path, value), *(place for key, item in items for place in places(item, (*path, key)))]


@settings(max_examples=150)
@given(plain_values, st.data())
def test_what_is_in_a_value_fits_the_schema_at_its_path(value: Any, data: st.DataObject) -> None:
    schema = data.draw(schemas_of(value))
    assume(not check_value(schema, value))
    for path, inner in places(value):
        found = field_schema(schema, path)
        assert found is not None
        event(f"known: {found not in (ANY, True)}")
        assert check_value(found, inner) == []


@given(plain_values, st.data())
def test_the_schema_of_a_list_takes_lists_of_what_the_schema_takes(value: Any, data: st.DataObject) -> None:
    schema = data.draw(schemas_of(value))
    listed = array_of(schema)
    assert bool(check_value(listed, [value, value])) == bool(check_value(schema, value))
    assert check_value(listed, []) == []
    assert check_value(listed, value) or isinstance(value, list)


def test_the_schema_of_a_list_of_anything() -> None:
    assert array_of(True) == {"type": "array", "items": True}


def test_fields_of_models_are_closed() -> None:
    found = fields(PERSON)
    assert list(found.schemas) == ["name", "address", "pair", "tags", "either"]
    assert found.required == ("name",)
    assert found.closed


@pytest.mark.parametrize(
    ("schema", "names", "required", "closed"),
    [
        ({}, [], (), False),
        (True, [], (), False),
        ({"type": "object"}, [], (), False),
        ({"type": "object", "properties": {}}, [], (), True),
        ({"properties": {"a": {}}, "additionalProperties": {}}, ["a"], (), False),
        ({"properties": {"a": {}}, "additionalProperties": False}, ["a"], (), True),
        ({"properties": {"a": {}}, "additionalProperties": False, "patternProperties": {}}, ["a"], (), False),
        ({"properties": {"a": {}}, "anyOf": [{}]}, ["a"], (), False),
        (
            {"allOf": [{"properties": {"a": {}}, "required": ["a"]}, {"required": ["a", "b", 3]}]},
            ["a"],
            ("a", "b"),
            False,
        ),
        ({"allOf": [{"additionalProperties": False}, {"required": "x"}]}, [], (), True),
        ({"$ref": "#/$defs/A", "$defs": {"A": {"properties": {"a": {}}}}, "title": "T"}, ["a"], (), True),
        ({"$ref": "#/$defs/a~1b~0", "$defs": {"a/b~": {"properties": {"a": {}}}}}, ["a"], (), True),
        ({"properties": 3}, [], (), True),
        (False, [], (), False),
    ],
)
def test_fields_of_other_schemas(
    schema: Any, names: list[str], required: tuple[str, ...], closed: Any
) -> None:
    found = fields(schema)
    assert (list(found.schemas), found.required, found.closed) == (names, required, closed)


def test_the_schema_itself_goes_before_what_it_refers_to() -> None:
    schema = {"properties": {"a": {"const": 1}}, "allOf": [{"properties": {"a": {"const": 2}}}]}
    assert fields(schema).schemas["a"] == {"const": 1}


class Texts(BaseModel):
    plain: str
    optional: str | None = None
    either: int | str = 0
    choice: Literal["a", "b"] = "a"
    number: int = 0
    anything: Any = None


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("plain", True),
        ("optional", True),
        ("either", True),
        ("choice", False),
        ("number", False),
        ("anything", False),
    ],
)
def test_a_field_takes_text_if_it_is_a_plain_string_or_may_be_one(field: str, expected: bool) -> None:  # noqa: FBT001
    found = field_schema(Texts.model_json_schema(), (field,))
    assert found is not None
    assert accepts_text(found) is expected


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "string", "minLength": 1, "title": "T"}, True),
        ({"type": "string", "pattern": "^a"}, False),
        ({"type": "string", "format": "date"}, False),
        ({"type": ["string", "null"]}, True),
        ({"$ref": "#/$defs/A", "$defs": {"A": {"type": "string"}}}, True),
        ({"allOf": [{"type": "string"}, {"enum": ["a"]}]}, False),
        ({"type": "integer", "anyOf": [{"type": "string"}]}, False),
        ({"anyOf": [{"type": "integer"}, {"oneOf": [{"type": "string"}]}]}, True),
        ({"$ref": "#/$defs/A", "$defs": {"A": {"anyOf": [{"$ref": "#/$defs/A"}]}}}, False),
        (True, False),
        ({}, False),
    ],
)
def test_schemas_that_take_text(schema: Any, expected: bool) -> None:  # noqa: FBT001
    assert accepts_text(schema) is expected


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"type": "number"}, {"number", "integer"}),
        ({"type": ["null", "string"]}, {"null", "string"}),
        ({"type": "string", "nullable": True}, {"null", "string"}),
        ({"type": ["string", {}, [[]]]}, {"string"}),
    ],
)
def test_types(part: Any, expected: set[str]) -> None:
    assert schemas.types(part) == expected
    assert schemas.types({}) == {"null", "boolean", "integer", "number", "string", "array", "object"}
