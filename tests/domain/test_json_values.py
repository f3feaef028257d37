from __future__ import annotations

import datetime as dt
import json
import math
from time import perf_counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karman_core.domain.json_values import MAX_DEPTH, MAX_PROBLEMS, json_problems
from tests.domain.values import LIMIT_SECONDS, json_values


@pytest.mark.parametrize(
    ("value", "path", "code"),
    [
        ({"a": [1, math.nan]}, "a[1]", "not_json"),
        ([math.inf], "[0]", "not_json"),
        (2**1023, "", "not_json"),
        ({"a": dt.date(2024, 1, 1)}, "a", "not_json"),
        ({"a": (1, 2)}, "a", "not_json"),
        ({"a": {1: 2}}, "a", "not_json"),
        ({"a": "\ud800"}, "a", "invalid_text"),
        ({"a": {"\udfff": 1}}, "a", "invalid_text"),
    ],
)
def test_what_json_does_not_have_is_named(value: Any, path: str, code: str) -> None:
    assert [(problem.path, problem.code) for problem in json_problems(value)] == [(path, code)]


def test_all_problems_are_listed_in_order_under_the_given_path() -> None:
    value = {"a": [b"", {}], "b": {"c": {"d": [b""], "e": b""}, "f": math.nan}}
    paths = [problem.path for problem in json_problems(value, "inputs")]
    assert paths == ["inputs.a[0]", "inputs.b.c.d[0]", "inputs.b.c.e", "inputs.b.f"]


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth - 1):
        value = [value] if depth % 2 else {"a": value}
    return value


@pytest.mark.parametrize("depth", [MAX_DEPTH, MAX_DEPTH - 1])
def test_nesting_up_to_the_limit_is_allowed(depth: int) -> None:
    assert json_problems(nested(depth)) == []


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, MAX_DEPTH + 2, 100_000])
def test_nesting_beyond_the_limit_is_refused_without_recursion(depth: int) -> None:
    (problem,) = json_problems(nested(depth))
    assert problem.code == "too_deep"


def test_hostile_values_take_linear_time_and_memory() -> None:
    started = perf_counter()
    wide: Any = {"k" * 500_000: [0] * 500_000}
    assert json_problems(wide) == []
    problems = json_problems({"k" * 500_000: [b""] * 100_000})
    assert len(problems) == MAX_PROBLEMS
    assert all(len(problem.path) < 150 for problem in problems)
    assert perf_counter() - started < LIMIT_SECONDS


def test_the_depth_may_be_chosen() -> None:
    assert json_problems([[]], max_depth=2) == []
    assert json_problems([[]], max_depth=1) != []


@given(json_values())
def test_what_passes_survives_json(value: Any) -> None:
    assert json_problems(value) == []
    assert json.loads(json.dumps(value, ensure_ascii=False).encode()) == value


@given(st.integers(-(2**1023) + 1, 2**1023 - 1))
def test_integers_that_pass_have_a_float_near_them(value: int) -> None:
    assert json_problems(value) == []
    assert math.isfinite(float(value))
