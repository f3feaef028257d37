"""Schemas come from anyone: whatever they ask for, checking ends soon, and goes by what they say where it can."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karman_core.domain import schema_bounds
from karman_core.domain.compatibility import compatible
from karman_core.domain.schema_bounds import (
    MAX_PATTERN_CHARACTERS,
    MAX_PATTERN_WEIGHT,
    bounded,
    matches,
    pattern_weight,
    quiet,
)
from karman_core.domain.schema_values import check_schema, check_value, fit, fits
from karman_core.domain.schemas import ANY, field_schema

DRAFTS = [
    "https://json-schema.org/draft/2020-12/schema",
    "https://json-schema.org/draft/2019-09/schema",
    "http://json-schema.org/draft-07/schema#",
    "http://json-schema.org/draft-06/schema#",
    "http://json-schema.org/draft-04/schema#",
    "http://json-schema.org/draft-03/schema#",
]
RUNAWAY = "^(a+)+$"
"""A matcher that backtracks takes 2^n steps for n times `a` and something else."""

LONG = "a" * 5_000 + "!"


def found(schema: Any, value: Any) -> list[tuple[str, str]]:
    return [(problem.path, problem.code) for problem in check_value(schema, value)]


def doubling(depth: int, leaf: dict[str, Any]) -> dict[str, Any]:
    """A schema of a few lines that is 2^depth schemas."""
    definitions = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(depth)}
    return {"$defs": {**definitions, f"d{depth}": leaf}, "$ref": "#/$defs/d0"}


@pytest.mark.parametrize("draft", DRAFTS)
def test_no_pattern_runs_away_in_any_draft(draft: str) -> None:
    schema = {
        "$schema": draft,
        "properties": {"a": {"pattern": RUNAWAY}},
        "patternProperties": {RUNAWAY: {"type": "null"}},
        "additionalProperties": {"type": "integer"},
    }
    assert check_schema(schema) == []
    assert sorted(found(schema, {"a": LONG, LONG: 1, "aaa": None})) == [
        ("a", "invalid_value"),
        ("a", "wrong_type"),  # its name too has the pattern
    ]


def test_a_part_that_names_a_draft_is_bounded_too() -> None:
    for draft in DRAFTS:
        inner = {"$schema": draft, "pattern": RUNAWAY}
        assert found({"properties": {"a": inner}}, {"a": LONG}) == [("a", "invalid_value")]
        assert found({"default": inner, "$ref": "#/default"}, LONG) == [("", "invalid_value")]
    assert found({"properties": {"a": {"$schema": "//["}}}, {"a": 1}) == []


@pytest.mark.parametrize("keyword", ["unevaluatedProperties", "additionalProperties"])
def test_names_that_a_pattern_describes_are_known(keyword: str) -> None:
    patterns: dict[str, Any] = {"^x_": {}, RUNAWAY: {}}
    schema = {"properties": {"a": {}}, "patternProperties": patterns, keyword: False}
    wrong = [("", "unknown_field")] if keyword == "additionalProperties" else []
    assert found(schema, {"a": 1, "x_b": 2}) == []
    assert found(schema, {"a": 1, "x_b": 2, LONG: 4}) == wrong
    assert found({**schema, keyword: True}, {"b": 1}) == []
    assert found({**schema, "patternProperties": {**patterns, "(?=y)y": {}}}, {"b": 1}) == []
    assert found(schema, []) == []


def test_a_pattern_describes_no_names_of_what_is_no_object() -> None:
    assert found({"patternProperties": {"a": False}}, ["a"]) == []
    assert found({"pattern": "a"}, 1) == []


@pytest.mark.parametrize(
    "pattern",
    [
        "(?=a)b",
        r"(a)\1",
        r"\Z",
        "a{99999}",
        "((a{50}){50}){50}",
        r"\w{999}",
        "(" * 50 + "a" + "{9})" * 50,
        "a" * (MAX_PATTERN_CHARACTERS + 1),
    ],
)
def test_what_cannot_be_matched_in_linear_time_is_not_checked(pattern: str) -> None:
    assert found({"pattern": pattern}, "x") == []
    with bounded():
        assert matches(pattern, "x") is None


def test_what_is_no_pattern_is_a_fault_of_the_schema() -> None:
    assert found({"pattern": "("}, "x") == [("", "invalid_schema")]
    with bounded(), pytest.raises(re.error):
        matches("(", "x")


@pytest.mark.parametrize(
    ("pattern", "weight"),
    [
        ("", 0),
        ("abc", 3),
        (r"a\{3}", 4),
        ("a{3}", 3),
        ("a{2,}", 2),
        ("a{2,4}", 4),
        ("(ab){3}c", 7),
        ("((a{10}){10}){10}", 1_000),
        (r"\w{2}", 100),
        (r"[\w-]", 50),
        ("[^a].", 8),
        (r"\D\d", 5),
        ("[]", 1),
        ("[a", 2),
        (")a", 2),
        ("(a", 1),
        ("{3}", 0),
    ],
)
def test_the_weight_of_a_pattern_is_about_its_states(pattern: str, weight: int) -> None:
    assert pattern_weight(pattern) == weight


def test_usual_patterns_are_far_from_the_limit() -> None:
    uuid = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
    mail = r"^[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,63}$"
    assert (
        max(map(pattern_weight, (uuid, mail, r"^[\w.-]{1,40}$", "^[A-Za-z0-9+/]*={0,2}$")))
        < MAX_PATTERN_WEIGHT
    )
    values = ["12345678-1234-1234-1234-123456789abc"] * 20_000
    assert check_value({"items": {"pattern": uuid}}, values) == []
    assert check_value({"pattern": "^[A-Za-z0-9+/]*={0,2}$"}, "Kar+/" * 800_000) == []


@given(
    st.sampled_from(["a", "^a", "a$", "[a-c]+", "(ab|c)*d", "^$", r"\d{2}", "a.c"]),
    st.text("abcd\n12", max_size=8),
)
def test_patterns_mean_what_they_do_elsewhere(pattern: str, text: str) -> None:
    """Without a line break at the end: for that alone Python makes an exception."""
    text = text.rstrip("\n")
    with bounded():
        assert matches(pattern, text) == bool(re.search(pattern, text))


def either(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema, or anything."""
    return {"items": {"anyOf": [schema, {}]}}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (doubling(40, {"type": "integer"}), 1),
        (doubling(15, {"pattern": "^(?:x?){400}"}), "x" * 10_000),
        (either({"enum": list(range(5_000))}), [{}] * 1_000),
        (either({"required": [f"n{n}" for n in range(5_000)]}), [{}] * 1_000),
        (
            {"patternProperties": {f"^n{n}": {} for n in range(100)}, "additionalProperties": True},
            {f"x{n}": 1 for n in range(2_000)},
        ),
        ({"uniqueItems": True}, [[n] for n in range(60_000)]),
    ],
    ids=["doubling", "slow pattern", "enum", "required", "patterns", "large"],
)
def test_what_takes_too_many_steps_is_refused(
    schema: Any, value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert check_schema(schema) == []
    monkeypatch.setattr(schema_bounds, "MAX_STEPS", 50_000)
    (problem,) = check_value(schema, value)
    assert problem.code == "invalid_schema"
    assert "more than 50,000 steps" in problem.message
    assert fits(schema, schema, value)


def test_a_large_usual_value_is_checked() -> None:
    assert check_value({"items": {"type": "integer"}}, list(range(50_000))) == []
    record = {
        "type": "object",
        "required": ["id", "name"],
        "properties": {
            "id": {"type": "integer"},
            "name": {"type": "string"},
            "tags": {"items": {"type": "string"}},
        },
    }
    assert check_value({"items": record}, [{"id": 1, "name": "a", "tags": ["x", "y"]}] * 5_000) == []


@pytest.mark.parametrize(
    ("value", "unique"),
    [
        ([{"a": n} for n in range(20_000)], True),
        ([1, True, "1", [1], {"a": 1}, None, 0, False], True),
        ([1, 1.0], False),
        ([{"a": 1, "b": [2]}, {"b": [2.0], "a": 1}], False),
        ([[], []], False),
        ("aa", True),
    ],
)
def test_items_are_compared_as_json(value: Any, *, unique: bool) -> None:
    assert (check_value({"uniqueItems": True}, value) == []) == unique
    assert check_value({"uniqueItems": False}, value) == []


def test_messages_quote_no_large_values() -> None:
    many = {"anyOf": [{"minItems": 10**9}] * 500}
    (problem,) = check_value(many, ["x" * 1_000] * 4_000)
    assert problem.message == "a list of 4000 is not valid under any of the given schemas."
    assert repr(quiet({"a": "x" * 101, "b": "short"})) == "an object with 2 keys"
    assert repr(quiet(["x" * 101])[0]) == "a text of 101 characters"


def test_a_long_chain_of_unions_is_taken_for_any_value() -> None:
    definitions = {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}]} for n in range(1_500)}
    chain = {"$defs": definitions, "$ref": "#/$defs/d0"}
    found_ = field_schema(chain, ("x",))
    assert found_ is not None
    assert {name: value for name, value in found_.items() if name != "$defs"} == ANY  # type: ignore[union-attr]
    assert fit(chain, 1) == 1
    assert compatible(chain, chain) is None


def test_unions_of_unions_are_compared_up_to_a_number_of_pairs() -> None:
    def union(name: str, size: int) -> Any:
        return {"anyOf": [{"type": name} for _ in range(size)]}

    assert compatible(union("string", 10), union("integer", 10)) is not None
    assert compatible(union("string", 3_000), union("integer", 3_000)) is None
    assert compatible({"enum": ["a"]}, {"enum": ["b"]}) is not None
    many = {"enum": [f"a{n}" for n in range(30_000)]}
    assert compatible(many, {"enum": [f"b{n}" for n in range(30_000)]}) is None
