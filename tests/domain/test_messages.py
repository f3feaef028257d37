from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from karman_core.domain.errors import NewerLayout
from karman_core.domain.message_bodies import decode, decode_position, encode, encode_position, passed_on
from karman_core.domain.messages import (
    ARGUMENTS,
    Advance,
    Command,
    CommandKind,
    ForeignMessage,
    Frame,
    GroupRef,
    Message,
    OutputRef,
    Position,
    Range,
    RunRef,
    Scope,
)
from karman_core.domain.reuse import Reused, Source
from karman_core.domain.totals import Totals
from tests.domain.positions import messages, positions
from tests.domain.values import json_values

RUN = RunRef("team", "run-1", "digest", 3, 0, 1_000)
AGAIN = RunRef(
    "team", "run-2", "digest", 3, 0, 1_000, reused=Reused((Source("run-1", 1, 3),), Totals(succeeded=9))
)
FRAME = Frame("a", 2, Totals(succeeded=1, turns=1), Scope({"r": OutputRef(0, 0)}))
HERE = Position(
    RUN,
    ((1, 0),),
    2,
    "c",
    turn=1,
    frames=(FRAME,),
    scope=Scope({"b": OutputRef(1, 1, 0, {"x": "∞"})}, {"g": GroupRef(1, 0, 3, only=1)}, {"c>b": 1}),
    totals=Totals(succeeded=2),
    attempts=1,
    first_ms=5,
    busy_ms=6,
    write_units=7,
)
SAMPLES: tuple[Message, ...] = (
    Advance(HERE, again=True),
    Advance(Position(RUN, (), 0, "r", trigger_inputs={"x": 1}), header={"id": "run-1"}),
    Range(
        Position(RUN, (), 1, "a", frames=(FRAME,)), 0, 2, ("b",), outputs=({"x": 1}, {"x": 2}), again=False
    ),
    Command(CommandKind.TIMEOUT, "team", "run-1", {"name": "go"}, HERE),
    Command(CommandKind.CANCEL, "team", "run-1"),
    Advance(HERE, paced=2.5),
    Advance(Position(AGAIN, (), 3, "d", totals=Totals(succeeded=9))),
)


@given(messages)
def test_every_message_is_read_back(message: Message) -> None:
    body = encode(message)
    assert body.isascii()  # so that its length in characters is its length in bytes
    assert decode(body) == message


@given(positions())
def test_every_position_is_read_back(position: Position) -> None:
    assert decode_position(encode_position(position)) == position


def test_a_message_looks_so() -> None:
    assert json.loads(encode(SAMPLES[0])) == {
        "karman": 1,
        "k": "advance",
        "again": True,
        "ns": "team",
        "id": "run-1",
        "g": ["digest", 3],
        "e": 0,
        "dl": 1000,
        "b": "1.0",
        "n": 2,
        "i": "c",
        "t": 1,
        "f": [["a", 2, [1, 0, 0, 0, 1, 0, 0], [{"r": [0, 0, 0, None]}, {}, {}]]],
        "s": [{"b": [1, 1, 0, {"x": "∞"}]}, {"g": [1, 0, 3, 1]}, {"c>b": 1}],
        "c": [2, 0, 0, 0, 0, 0, 0],
        "p": [1, 5, 6, 7],
    }


@pytest.mark.parametrize(
    "wrong",
    [
        [[], [0] * 7],
        [[["run-1", 1]], [0] * 7],
        [[["run-1", 1, 3]], [0]],
        [[[1, 1, 3]], [0] * 7],
        [[["run-1", True, 3]], [0] * 7],
        7,
        {},
    ],
)
def test_a_message_of_a_run_that_reuses_another_one_looks_so(wrong: object) -> None:
    body = json.loads(encode(SAMPLES[-1]))
    assert body["ru"] == [[["run-1", 1, 3]], [9, 0, 0, 0, 0, 0, 0]]
    with pytest.raises(ForeignMessage):
        decode(json.dumps({**body, "ru": wrong}))


def is_part(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal to the type, but for keys of `other` that `one` does not have at the top."""
    return all(key in other and json.dumps(one[key]) == json.dumps(other[key]) for key in one)


def read(body: str) -> Message | None:
    """The message of a body, None for a foreign one; nothing else is raised, nothing is read that is not there."""
    try:
        message = decode(body)
    except NewerLayout:
        event("newer")
        assert json.loads(body)["karman"] > 1
        return None
    except ForeignMessage as foreign:
        event("foreign")
        assert str(foreign)  # noqa: PT017  what else is raised fails the test by itself
        return None
    event("read")
    written, data = json.loads(encode(message)), json.loads(body)
    assert decode(encode(message)) == message
    optional = {"header", "in", "tp", "ru"}
    assert is_part(written, data), (written, data)
    assert all(data[key] is None for key in optional & (set(data) - set(written)))
    return message


CHARACTERS = st.sampled_from('0123456789-+eE."[]{}:,\\ntrufalse \x00é') | st.characters()


@given(st.sampled_from(SAMPLES) | messages, st.data())
def test_a_body_with_changed_characters_is_another_message_or_foreign(
    message: Message, data: st.DataObject
) -> None:
    body = encode(message)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(body)))
        cut = data.draw(st.integers(0, 2))
        body = body[:place] + data.draw(st.text(CHARACTERS, max_size=2)) + body[place + cut :]
    read(body)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every place inside a JSON value: what holds it, and its key there."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, inner in items for place in [(value, key), *places(inner)]]


odd: st.SearchStrategy[Any] = st.sampled_from(
    [
        None,
        True,
        False,
        0,
        1,
        -1,
        1.0,
        1e999,
        float("nan"),
        "",
        "1",
        "0.0",
        "x",
        [],
        [0],
        {},
        {"a": 1},
        [[]],
        "01.2",
        9**99,
    ]
)


@given(st.sampled_from(SAMPLES), st.data())
def test_a_body_with_another_value_anywhere_is_another_message_or_foreign(
    message: Message, data: st.DataObject
) -> None:
    body = json.loads(encode(message))
    holder, key = data.draw(st.sampled_from(places(body)))
    if data.draw(st.booleans()):
        holder[key] = data.draw(odd | json_values())
    else:
        del holder[key]
    read(json.dumps(body))


@given(json_values())
def test_any_other_json_is_foreign(value: Any) -> None:
    assert read(json.dumps(value)) is None
    if isinstance(value, dict):
        read(json.dumps({"karman": 1, **value}))


@given(st.text())
def test_any_other_text_is_foreign(text: str) -> None:
    assert read(text) is None


@pytest.mark.parametrize(
    "body",
    [
        "",
        "null",
        "[" * 100_000,
        '{"karman":1,"k":' + "[" * 100_000,
        "1" * 5_000,
        '{"karman":0,"k":"cancel","ns":"a","id":"b","args":{},"then":null}',
        '{"karman":2,"k":"cancel","ns":"a"}',
        '{"karman":2,"k":"cancel","ns":"a","id":7}',
        '{"karman":"2","k":"cancel","ns":"a","id":"b","args":{},"then":null}',
        '{"karman":1,"k":"cancel","ns":"a","id":"b","args":{},"then":null,"again":1}',
        '{"karman":true,"k":"cancel","ns":"a","id":"b","args":{},"then":null}',
        '{"karman":1,"k":"explode","ns":"a","id":"b","args":{},"then":null}',
        '{"karman":1,"k":[],"ns":"a","id":"b","args":{},"then":null}',
        '{"karman":1,"k":"cancel","ns":"a","id":"b","args":[["a",1]],"then":null}',
        '{"karman":1,"k":"cancel","ns":"a","id":"b","args":{},"then":{}}',
        '{"Records":[{"s3":{}}]}',
    ],
)
def test_foreign_bodies(body: str) -> None:
    with pytest.raises(ForeignMessage):
        decode(body)


@pytest.mark.parametrize("message", SAMPLES)
@pytest.mark.parametrize("number", [1e999, 1.0, "1", True, None])
def test_numbers_are_integers(message: Message, number: Any) -> None:
    keys = ["n", "t", "e", "dl", "from", "to", "o0"]
    body = json.loads(encode(message))
    for key in {*keys} & {*body}:
        with pytest.raises(ForeignMessage):
            decode(json.dumps({**body, key: number}))


def test_groups_must_match_the_branch() -> None:
    for sample, key in [(SAMPLES[0], "f"), (SAMPLES[2], "f")]:
        body = json.loads(encode(sample))
        with pytest.raises(ForeignMessage, match="groups do not match"):
            decode(json.dumps({**body, key: []}))


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, needed in ARGUMENTS.items() for name in needed]
)
@pytest.mark.parametrize("wrong", [None, [], 1.5, "missing"])
def test_a_command_needs_its_arguments(kind: CommandKind, name: str, wrong: Any) -> None:
    arguments = {argument: expected() for argument, expected in ARGUMENTS[kind].items()}
    assert decode(encode(Command(kind, "team", "run", arguments))) == Command(kind, "team", "run", arguments)
    del arguments[name]
    with pytest.raises(ForeignMessage):
        decode(
            encode(
                Command(kind, "team", "run", arguments if wrong == "missing" else {**arguments, name: wrong})
            )
        )


def test_the_branches_of_a_range_begin_somewhere() -> None:
    body = json.loads(encode(SAMPLES[2]))
    with pytest.raises(ForeignMessage, match="begin nowhere"):
        decode(json.dumps({**body, "starts": []}))


def test_a_reference_without_its_values() -> None:
    assert OutputRef(1, 2, 3, {"x": 1}).bare() == OutputRef(1, 2, 3)


@pytest.mark.parametrize("message", SAMPLES)
def test_a_message_of_a_later_layout_is_neither_read_nor_foreign(message: Message) -> None:
    later = json.dumps({**json.loads(encode(message)), "karman": 3})
    with pytest.raises(NewerLayout, match="layout 3; this one knows 2"):
        decode(later, known=2)
    assert decode(later, known=3) == message


@pytest.mark.parametrize("message", SAMPLES)
def test_a_message_that_is_passed_on_is_the_same_but_for_looking_first(message: Message) -> None:
    body, passes = passed_on(encode(message))
    assert passes == 1
    assert decode(body) == replace(message, again=True)
    assert passed_on(body)[1] == 2


def test_what_is_not_understood_is_passed_on_whole() -> None:
    body = '{"karman":7,"k":"dance","steps":[1,{"x":1.5}],"again":null,"passed":"often"}'
    assert json.loads(passed_on(body)[0]) == {
        "karman": 7,
        "k": "dance",
        "steps": [1, {"x": 1.5}],
        "again": True,
        "passed": 1,
    }


def test_what_a_later_release_adds_is_not_minded() -> None:
    for message in SAMPLES:
        assert decode(json.dumps({**json.loads(encode(message)), "added": {"x": 1}})) == message
