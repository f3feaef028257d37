from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karman_core.domain.json_values import MAX_PROBLEMS
from karman_core.domain.placeholders import (
    Many,
    One,
    OutputReference,
    PlaceholderError,
    Reference,
    StoreReference,
    Text,
    Unresolved,
    Whole,
    as_text,
    parse,
)
from tests.domain.values import json_values

keys = st.text(min_size=1, max_size=6).filter(
    lambda text: not any(character.isspace() or character in ".[]{}\"'" for character in text)
)
parts = keys | st.integers(0, 999_999_999)
outputs = st.builds(
    OutputReference,
    keys.filter(lambda name: name != "store"),
    st.tuples(keys, st.lists(parts, max_size=3)).map(lambda path: (path[0], *path[1])),
)
stored = st.builds(StoreReference, keys, st.lists(parts, max_size=3).map(tuple))
references: st.SearchStrategy[Reference] = outputs | stored
literals = st.text(max_size=5).filter(lambda text: "${{" not in text)


def value_of(reference: Reference) -> Any:
    """Some value for each reference; with what looks like a placeholder in it, and not only strings."""
    kinds = ["${{ a.outputs.b }}", {"k": str(reference)}, 7, None, True, [1.5, "x"], "text"]
    return kinds[len(str(reference)) % len(kinds)]


def lookup(reference: Reference) -> One:
    """`value_of` at the end of the reference's path."""
    value = value_of(reference)
    for part in reversed(reference.rest):
        value = {part: value} if isinstance(part, str) else [None] * min(part, 9) + [value]
    return One(value)


@given(references)
def test_a_reference_is_read_back_from_its_spelling(reference: Reference) -> None:
    template = parse(str(reference))
    assert template.value == Whole(reference)
    assert template.references == (reference,)
    assert template.located == (((), reference),)


@given(outputs, st.sampled_from(["", " ", "\n\t "]))
def test_whitespace_around_the_parts_does_not_count(reference: OutputReference, space: str) -> None:
    text = (
        str(reference)
        .replace(".", f"{space}.{space}")
        .replace("[", f"{space}[{space}")
        .replace("]", f"{space}]")
    )
    assert parse(text.replace(" ", space)).value == Whole(reference)


small_references = references.filter(
    lambda reference: all(isinstance(part, str) or part < 9 for part in reference.rest)
)


@given(st.lists(literals | small_references, max_size=5))
def test_text_is_resolved_part_by_part(pieces: list[str | Reference]) -> None:
    template = parse("".join(map(str, pieces)))
    found = [piece for piece in pieces if not isinstance(piece, str)]
    assert [reference for _, reference in template.located] == found
    assert template.references == tuple(dict.fromkeys(found))
    if len(found) == 1 and not any(isinstance(piece, str) and piece for piece in pieces):
        expected = value_of(found[0])
    else:
        expected = "".join(piece if isinstance(piece, str) else as_text(value_of(piece)) for piece in pieces)
    assert template.resolve(lookup) == expected


@given(json_values(), references)
def test_placeholders_are_found_in_values_and_nowhere_else(value: Any, reference: Reference) -> None:
    """Every string of a value becomes a placeholder; its keys become text that looks like one and is none."""

    def replaced(part: Any) -> Any:
        match part:
            case str():
                return str(reference)
            case list():
                return [replaced(item) for item in part]
            case dict():
                return {"${{ " + key: replaced(item) for key, item in part.items()}
            case _:
                return part

    def expected(part: Any) -> Any:
        match part:
            case str():
                return ["given"]
            case list():
                return [expected(item) for item in part]
            case dict():
                return {"${{ " + key: expected(item) for key, item in part.items()}
            case _:
                return part

    def given_value(asked: Reference) -> Many:
        assert asked == reference
        return Many([])

    resolved = parse(replaced(value)).resolve(given_value)
    assert resolved == json.loads(json.dumps(expected(value)).replace('["given"]', "[]"))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (None, "null"),
        (1, "1"),
        (0.5, "0.5"),
        ([1, "é"], '[1,"é"]'),
        ({"a": 1, "b": {}}, '{"a":1,"b":{}}'),
        ('say "x"', 'say "x"'),
    ],
)
def test_values_keep_their_type_alone_and_become_json_in_text(value: Any, text: str) -> None:
    assert parse("${{ a.outputs.b }}").resolve(lambda _: One(value)) is value
    assert parse("<${{ a.outputs.b }}>").resolve(lambda _: One(value)) == f"<{text}>"


def test_a_path_is_followed_in_each_value_of_a_list() -> None:
    template = parse({"all": "${{ a.outputs.x.y[1] }}", "text": "<${{ a.outputs.x.y[1] }}>"})
    many = Many([{"y": [0, 1]}, {"y": [0, "${{ b.outputs.c }}"]}])
    assert template.resolve(lambda _: many) == {
        "all": [1, "${{ b.outputs.c }}"],
        "text": '<[1,"${{ b.outputs.c }}"]>',
    }


def test_resolved_containers_are_new() -> None:
    written = {"list": [1, {"a": 2}]}
    resolved = parse(written).resolve(lookup)
    resolved["list"][1]["a"] = 3
    assert written == {"list": [1, {"a": 2}]}


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("${{ a.outputs.b", 1),
        ("${{", 1),
        ("at the end ${{ a.outputs.b }", 12),
        ("${{ a.outputs.b }} and ${{ ${{ a.outputs.b }}", 24),
        ("${{}}", 1),
        ("x ${{ a }}", 3),
        ("${{ a.b }}", 1),
        ("${{ a.outputs }}", 1),
        ("${{ a.outputs. }}", 1),
        ("${{ a.outputs[0] }}", 1),
        ("${{ a.inputs.b }}", 1),
        ("${{ a[0].b }}", 1),
        ("${{ store }}", 1),
        ("${{ store[0] }}", 1),
        ("${{ a.outputs.b[-1] }}", 1),
        ("${{ a.outputs.b[x] }}", 1),
        ("${{ a.outputs.b[9999999999] }}", 1),
        ("${{ a.outputs.b c }}", 1),
        ("${{ a b.outputs.c }}", 1),
        ("${{ .a.outputs.c }}", 1),
        ("${{ 'a'.outputs.c }}", 1),
        ("${{ a.outputs.{b} }}", 1),
    ],
)
def test_what_starts_a_placeholder_and_is_none_is_refused(text: str, position: int) -> None:
    with pytest.raises(PlaceholderError) as caught:
        parse(["fine", {"a": text}])
    (problem,) = caught.value.problems
    assert problem.path == "[1].a"
    assert problem.code == "invalid_placeholder"
    assert f"at character {position} " in problem.message
    assert "${{ identifier.outputs.field }}" in problem.message


def test_all_wrong_texts_are_reported_at_once() -> None:
    with pytest.raises(PlaceholderError) as caught:
        parse({"a": "${{ x }}", "b": ["${{ y"], "c": "fine"})
    assert [problem.path for problem in caught.value.problems] == ["a", "b[0]"]


@given(st.text(st.sampled_from("${}[]. ao.outputsre0\n"), max_size=40))
def test_any_text_is_a_template_or_refused(text: str) -> None:
    try:
        template = parse(text)
    except PlaceholderError:
        assert "${{" in text
    else:
        assert isinstance(template.value, str | Whole | Text)
        assert bool(template.located) == ("${{" in text)


def test_hostile_text_takes_linear_time() -> None:
    for text in (
        "${{ " * 250_000,
        "${{" + " " * 1_000_000,
        "${{ a" + ".b" * 300_000 + "! }}",
        "${{ a}}" * 100_000,
    ):
        with pytest.raises(PlaceholderError):
            parse(text)


def test_a_value_too_deep_to_walk_is_refused() -> None:
    value: Any = "x"
    for _ in range(50_000):
        value = [value]
    with pytest.raises(PlaceholderError) as caught:
        parse(value)
    assert [problem.code for problem in caught.value.problems] == ["too_deep"]


@pytest.mark.parametrize(
    ("text", "found", "words"),
    [
        ("${{ a.outputs.b }}", None, "'a' has given no output 'b'"),
        ("${{ store.k.x }}", None, "the store has no key 'k'"),
        ("${{ a.outputs.b.c }}", One({"d": 1}), "'c' is looked for in an object with the keys 'd'"),
        ("${{ a.outputs.b[2] }}", One([1, 2]), "[2] is looked for in a list of 2"),
        ("${{ a.outputs.b.0 }}", One([1, 2]), "'0' is looked for in a list of 2"),
        ("${{ a.outputs.b[0] }}", One("text"), "[0] is looked for in a string"),
        ("${{ a.outputs.b[0] }}", One({"0": 1}), "[0] is looked for in an object"),
        ("${{ a.outputs.b.c }}", Many([{"c": 1}, {}]), "'c' is looked for in an object with no keys"),
        ("x${{ store.k.x.y }}", One({"x": None}), "'y' is looked for in null"),
    ],
)
def test_a_value_that_is_not_there_is_named(text: str, found: One | Many | None, words: str) -> None:
    with pytest.raises(Unresolved) as caught:
        parse({"in": [text]}).resolve(lambda _: found)
    (problem,) = caught.value.problems
    assert (problem.path, problem.code) == ("in[0]", "unresolved_placeholder")
    assert text.removeprefix("x") in problem.message
    assert words in problem.message


def test_all_missing_values_are_reported_at_once() -> None:
    template = parse({"a": "${{ a.outputs.x }}", "b": "${{ a.outputs.y }} ${{ store.z }}"})
    with pytest.raises(Unresolved) as caught:
        template.resolve(lambda _: None)
    assert [problem.path for problem in caught.value.problems] == ["a", "b", "b"]


def test_the_number_and_the_length_of_problems_are_bounded() -> None:
    long = "k" * 300_000
    with pytest.raises(PlaceholderError) as refused:
        parse({long: ["${{"] * 100_000})
    with pytest.raises(Unresolved) as unresolved:
        parse({long: ["${{ store.k }}"] * 20_000}).resolve(lambda _: None)
    for problems in (refused.value.problems, unresolved.value.problems):
        assert len(problems) == MAX_PROBLEMS
        assert problems[7].path == f"{'k' * 128}...[7]"


def test_a_reference_tells_its_root_from_its_path() -> None:
    output, store = OutputReference("a", ("items", 0, "name")), StoreReference("k", ("x",))
    assert (output.field, output.rest) == ("items", (0, "name"))
    assert store.rest == ("x",)
    assert str(output) == "${{ a.outputs.items[0].name }}"
    assert str(store) == "${{ store.k.x }}"
