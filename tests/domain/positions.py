"""Positions and messages for the tests of the domain: any that the types allow, not only those that make sense."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from karman_core.domain.branches import Branch
from karman_core.domain.messages import (
    ALL_OUTPUTS,
    ARGUMENTS,
    Advance,
    Command,
    CommandKind,
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
from tests.domain.values import json_values, texts

numbers = st.integers(0, 10) | st.integers(0, 2**63)
branches: st.SearchStrategy[Branch] = st.lists(st.tuples(numbers, numbers), max_size=4).map(tuple)
hostile = st.sampled_from(["", "-", "a-", "a-1.1-0", "1/2", '"}', "\\", "\ud800", "\x00", "∞", "🜁", "null"])
names = texts | hostile
run_ids = names.filter(bool)
objects = st.dictionaries(texts, json_values(), max_size=2)
totals = st.builds(Totals, *(st.integers(-(2**40), 2**60) for _ in Totals._fields))
scopes = st.builds(
    Scope,
    st.dictionaries(
        names,
        st.builds(OutputRef, numbers, numbers, numbers | st.just(ALL_OUTPUTS), st.none() | objects),
        max_size=2,
    ),
    st.dictionaries(names, st.builds(GroupRef, numbers, numbers, numbers, st.none() | numbers), max_size=2),
    st.dictionaries(names, numbers, max_size=2),
)
frames = st.builds(Frame, names, numbers, totals, scopes)
reuses = st.builds(
    Reused, st.lists(st.builds(Source, names, numbers, numbers), min_size=1, max_size=3).map(tuple), totals
)
runs = st.builds(RunRef, names, names, names, numbers, numbers, numbers, reused=st.none() | reuses)


@st.composite
def positions(draw: st.DrawFn, extra_frames: int = 0) -> Position:
    """Any position; `extra_frames` of 1 for the parent of a range."""
    branch = draw(branches)
    depth = len(branch) + extra_frames
    return Position(
        run=draw(runs),
        branch=branch,
        number=draw(numbers),
        identifier=draw(names),
        turn=draw(numbers),
        frames=tuple(draw(st.lists(frames, min_size=depth, max_size=depth))),
        scope=draw(scopes),
        totals=draw(totals),
        attempts=draw(numbers),
        first_ms=draw(numbers),
        busy_ms=draw(numbers),
        write_units=draw(numbers),
        trigger_inputs=draw(st.none() | objects),
    )


@st.composite
def commands(draw: st.DrawFn) -> Command:
    """Any command, with the arguments that its kind needs and others."""
    kind = draw(st.sampled_from(CommandKind))
    values: dict[type, st.SearchStrategy[Any]] = {int: numbers, str: names, dict: objects}
    needed = {name: draw(values[of]) for name, of in ARGUMENTS.get(kind, {}).items()}
    arguments = {**draw(objects), **needed}
    return Command(kind, draw(names), draw(names), arguments, draw(st.none() | positions()))


messages: st.SearchStrategy[Message] = st.one_of(
    st.builds(Advance, positions(), st.booleans(), st.none() | objects),
    st.builds(
        Range,
        parent=positions(extra_frames=1),
        first=numbers,
        last=numbers,
        starts=st.lists(names, min_size=1, max_size=3).map(tuple),
        first_output=numbers,
        outputs=st.none() | st.lists(objects, max_size=3).map(tuple),
        again=st.booleans(),
    ),
    commands(),
)
