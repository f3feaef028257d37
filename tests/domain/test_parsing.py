from __future__ import annotations

import json
from time import perf_counter
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from karman_core.domain.definition import GraphDefinition
from karman_core.domain.errors import InvalidGraph, Problem
from karman_core.domain.json_values import MAX_PROBLEMS
from karman_core.domain.parsing import MAX_TEXT_BYTES, Format, load_text, parse_definition, parse_text
from tests.domain.values import LIMIT_SECONDS, json_values

YAML = """
name: digest
nodes:
  - identifier: read
    node_name: Read
    inputs: {folder: docs, day: 2024-01-01, flag: on, rate: 0.5}
    next_nodes: [sum]
  - identifier: sum
    node_name: Sum
    inputs:
      text: ${{ read.outputs.text }}
retry_policy: {max_retries: 5, strategy: FIXED}
secrets: [KEY]
triggers:
  - value: {expression: "0 9 * * *", timezone: Europe/Berlin}
"""


def refusal(text: str, form: Format = "yaml") -> Problem:
    with pytest.raises(InvalidGraph) as caught:
        load_text(text, form)
    (problem,) = caught.value.problems
    return problem


def test_yaml_and_json_give_the_same_definition() -> None:
    definition = parse_text(YAML)
    assert [node.identifier for node in definition.nodes] == ["read", "sum"]
    assert definition.nodes[0].inputs == {"folder": "docs", "day": "2024-01-01", "flag": "on", "rate": 0.5}
    assert definition.triggers[0].value.timezone == "Europe/Berlin"
    assert parse_text(definition.model_dump_json(), "json") == definition
    assert parse_definition(definition.model_dump(mode="json")) == definition


EXOSPHERE = {
    "secrets": {"KEY": "hidden"},
    "nodes": [
        {
            "node_name": " Read ",
            "namespace": "main",
            "identifier": "read",
            "inputs": {"a": ""},
            "next_nodes": ["sum"],
            "unites": None,
        },
        {
            "node_name": "Sum",
            "namespace": "main",
            "identifier": "sum",
            "inputs": {},
            "next_nodes": None,
            "unites": {"identifier": "read", "strategy": "ALL_DONE"},
        },
    ],
    "retry_policy": {
        "max_retries": 3,
        "strategy": "LINEAR",
        "backoff_factor": 1,
        "exponent": 2,
        "max_delay": None,
    },
    "store_config": {"required_keys": ["k"], "default_values": {"d": "1"}},
    "triggers": [{"type": "CRON", "value": {"expression": "* * * * *"}}],
}
"""A graph as Exosphere's clients send it."""


def test_what_exosphere_clients_send_is_taken() -> None:
    definition = parse_definition(EXOSPHERE, name="graph")
    assert definition.name == "graph"
    assert definition.secrets == ("KEY",)
    assert "hidden" not in definition.model_dump_json()
    assert definition.nodes[0].node_name == "Read"
    assert definition.nodes[1].next_nodes == ()
    bare = parse_definition(
        {"name": "g", "nodes": [], "secrets": None, "retry_policy": None, "triggers": None}
    )
    assert bare == GraphDefinition(name="g", nodes=())


def test_the_name_may_come_from_the_caller_or_agree_with_it() -> None:
    assert parse_definition({"nodes": []}, name="a").name == "a"
    assert parse_definition({"nodes": [], "name": "a"}, name=" a ").name == "a"
    with pytest.raises(InvalidGraph, match="'b' here and 'a' by the request"):
        parse_definition({"nodes": [], "name": "b"}, name="a")
    with pytest.raises(InvalidGraph, match="missing_field"):
        parse_definition({"nodes": []})


@pytest.mark.parametrize(
    ("data", "path", "code"),
    [
        (None, "", "wrong_type"),
        ([], "", "wrong_type"),
        ({"name": "g", "nodes": {}}, "nodes", "wrong_type"),
        ({"name": "g", "nodes": [7]}, "nodes[0]", "wrong_type"),
        ({"name": "g", "nodes": [], "triggers": "x"}, "triggers", "wrong_type"),
        (
            {"name": "g", "nodes": [{"identifier": "a", "node_name": "A", "inputs": {"x": {1}}}]},
            "nodes[0].inputs.x",
            "not_json",
        ),
        ({"name": "g", "nodes": [], 3: 4}, "", "not_json"),
    ],
)
def test_data_of_another_shape_is_refused(data: Any, path: str, code: str) -> None:
    with pytest.raises(InvalidGraph) as caught:
        parse_definition(data)
    assert [(problem.path, problem.code) for problem in caught.value.problems] == [(path, code)]


def test_the_number_of_problems_is_bounded() -> None:
    started = perf_counter()
    with pytest.raises(InvalidGraph) as caught:
        parse_definition({"name": "g", "nodes": [], **{f"field{i}": 1 for i in range(50_000)}})
    assert len(caught.value.problems) == MAX_PROBLEMS
    assert perf_counter() - started < LIMIT_SECONDS


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("null", None),
        ("~", None),
        ("", None),
        ("# nothing", None),
        ("true", True),
        ("False", False),
        ("NULL", None),
        ("-0", 0),
        ("+12", 12),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("-1.5E-2", -0.015),
        ("1.", 1.0),
        *(
            (text, text)
            for text in ("no", "on", "yes", "y", "Off", "tRUE", "2024-01-01", "12:30", "012", "0x1F", "1_000")
        ),
        *((text, text) for text in (".inf", ".nan", "0o17", "1.2.3", "1e", "+", "=", "<<", "\u0661", "nULL")),
        ('"1"', "1"),
        ("'true'", "true"),
        ("!!str 1", "1"),
        ("! 1", "1"),
        ("|\n  null\n", "null\n"),
        ("[1, [a, {b: }]]", [1, ["a", {"b": None}]]),
        ("1: a\nno: b\n~: c\n<<: d", {"1": "a", "no": "b", "~": "c", "<<": "d"}),
        ("{a: b, c: [d]}", {"a": "b", "c": ["d"]}),
        ("&x a", "a"),
        ("\ufeffa: 1", {"a": 1}),
        ("--- a\n...\n", "a"),
    ],
)
def test_yaml_holds_what_json_can(text: str, value: Any) -> None:
    found = load_text(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "path", "code", "words"),
    [
        ("a: 1\nb: *a", "line 2, column 4", "invalid_syntax", "Aliases"),
        ("a: &x [1]\nb: *x", "line 2, column 4", "invalid_syntax", "Aliases"),
        ("*x : 1", "line 1, column 1", "invalid_syntax", "Aliases"),
        ("a: 1\nb:\n  c: 1\n  c: 2", "line 4, column 3", "duplicate_key", "'c'"),
        ("1: a\n'1': b", "line 2, column 1", "duplicate_key", "'1'"),
        ("a: !!python/name:os.system x", "line 1, column 4", "invalid_syntax", "tag"),
        ("a: !!binary aGk=", "line 1, column 4", "invalid_syntax", "tag"),
        ("!!set {a: }", "line 1, column 1", "invalid_syntax", "tag"),
        ("a: !x [1]", "line 1, column 4", "invalid_syntax", "tag"),
        ("? [a]\n: 1", "line 1, column 3", "invalid_syntax", "key must be text"),
        ("? {a: 1}\n: 1", "line 1, column 3", "invalid_syntax", "key must be text"),
        ("a: b: c", "line 1, column 5", "invalid_syntax", "not YAML"),
        ("a: [1", "line 2, column 1", "invalid_syntax", "not YAML"),
        ("%YAML 3.0\n--- a", "line 1, column 1", "invalid_syntax", "not YAML"),
        ("a\n---\nb", "line 2, column 1", "invalid_syntax", "more than one document"),
        ("a: \0", "", "invalid_syntax", "not YAML"),
        ("[" * 65, "line 1, column 65", "too_deep", "deeper than 64"),
        ("[" * 1_000_000, "line 1, column 65", "too_deep", "deeper than 64"),
        ("- " * 100_000, "line 1, column 129", "too_deep", "deeper than 64"),
        ("1e999", "", "not_json", "out of the range"),
        ("9" * 400, "", "not_json", "out of the range"),
        ("9" * 5_000, "", "not_json", "out of the range"),
        ('"\\uD800"', "line 1, column 4", "invalid_syntax", "not YAML"),
        ("\ud800", "", "invalid_syntax", "surrogate"),
    ],
)
def test_yaml_that_json_cannot_hold_is_refused_with_its_place(
    text: str, path: str, code: str, words: str
) -> None:
    problem = refusal(text)
    assert (problem.path, problem.code) == (path, code)
    assert words in problem.message


@pytest.mark.parametrize(
    ("text", "path", "code", "words"),
    [
        ("", "line 1, column 1", "invalid_syntax", "not JSON"),
        ('{"a": 1,\n "b": }', "line 2, column 7", "invalid_syntax", "not JSON"),
        ('{"a": 1} x', "line 1, column 10", "invalid_syntax", "not JSON"),
        ('{"a": {"b": 1, "b": 2}}', "", "duplicate_key", "'b'"),
        ("[NaN]", "", "invalid_syntax", "NaN"),
        ("-Infinity", "", "invalid_syntax", "-Infinity"),
        ("1e999", "", "not_json", "out of the range"),
        ("9" * 400, "", "not_json", "out of the range"),
        ("9" * 5_000, "", "invalid_syntax", "400 digits"),
        ('"\\ud800"', "", "invalid_text", "surrogate"),
        ("[" * 65 + "]" * 65, "[0]" * 64, "too_deep", "deeper than 64"),
        ("[" * 1_000_000, "", "too_deep", "deeper than 64"),
        ('{"a":' * 1_000_000, "", "too_deep", "deeper than 64"),
    ],
)
def test_json_that_is_none_is_refused_with_its_place(text: str, path: str, code: str, words: str) -> None:
    problem = refusal(text, "json")
    assert (problem.path, problem.code) == (path, code)
    assert words in problem.message


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_the_size_of_a_text_is_bounded_in_bytes(form: Format) -> None:
    assert refusal("é" * (MAX_TEXT_BYTES // 2 + 1), form).code == "too_large"
    assert load_text('"' + "é" * (MAX_TEXT_BYTES // 2 - 1) + '"', form) == "é" * (MAX_TEXT_BYTES // 2 - 1)


def test_a_bomb_of_aliases_is_refused_at_once() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 30)]
    started = perf_counter()
    assert "Aliases" in refusal("\n".join(lines)).message
    assert perf_counter() - started < LIMIT_SECONDS


def test_without_the_c_library_yaml_reads_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = parse_text(YAML)
    monkeypatch.delattr(yaml, "CSafeLoader")
    assert parse_text(YAML) == expected
    assert refusal("a: b: c").path == "line 1, column 5"


@given(json_values())
def test_json_texts_are_read_back(value: Any) -> None:
    assert load_text(json.dumps(value), "json") == value
    assert load_text("\ufeff" + json.dumps(value, ensure_ascii=False), "json") == value


printable = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Co", "Cn", "Zl", "Zp", "Cf"]), max_size=8
)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | printable,
        lambda inner: st.lists(inner) | st.dictionaries(printable, inner),
    )
)
def test_yaml_reads_json(value: Any) -> None:
    assert load_text(json.dumps(value, ensure_ascii=False)) == value


@given(st.dictionaries(printable, st.lists(printable)))
def test_yaml_reads_what_a_yaml_writer_quotes(value: dict[str, list[str]]) -> None:
    assert load_text(yaml.safe_dump(value, default_style='"', allow_unicode=True)) == value
    assert load_text(yaml.safe_dump(value, default_style="'")) == value


@given(
    st.text(st.sampled_from("ab:-[]{},#&*!|>'\"%@`?~ \n\t0.eE+"), max_size=30),
    st.sampled_from(["yaml", "json"]),
)
def test_any_text_is_read_or_refused(text: str, form: Format) -> None:
    refused: tuple[Problem, ...] | None = None
    value: Any = None
    try:
        value = load_text(text, form)
    except InvalidGraph as error:
        refused = error.problems
    assert refused is None or refused
    assert json.loads(json.dumps(value, allow_nan=False)) == value
