from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from karman_core.domain.paths import child, describe, join, place, spell


@pytest.mark.parametrize(
    ("path", "spelled"),
    [
        ((), ""),
        (("nodes", 2, "inputs", "text"), "nodes[2].inputs.text"),
        ((0, 1, "a"), "[0][1].a"),
    ],
)
def test_a_path_is_spelled_as_in_python_and_javascript(path: tuple[str | int, ...], spelled: str) -> None:
    assert spell(path) == spelled


def test_a_place_shows_the_beginning_of_long_keys() -> None:
    assert place(("a", 0, "b")) == "a[0].b"
    assert place(("k" * 128, 1, "k" * 129)) == f"{'k' * 128}[1].{'k' * 128}..."
    assert child("a", "k" * 129) == f"a.{'k' * 128}..."
    assert spell(("k" * 129,)) == "k" * 129


def test_child_and_join_continue_a_path() -> None:
    assert child("nodes", 3) == "nodes[3]"
    assert child("", "name") == "name"
    assert join("nodes[3].inputs", "a.b") == "nodes[3].inputs.a.b"
    assert join("nodes[3].inputs.a", "[0]") == "nodes[3].inputs.a[0]"
    assert join("", "a") == "a"
    assert join("a", "") == "a"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "a boolean"),
        (3, "a number"),
        (0.5, "a number"),
        ("secret", "a string"),
        ([1, 2], "a list of 2"),
        ({}, "an object with no keys"),
        ({"a": "secret", "b": 1}, "an object with the keys 'a', 'b'"),
        (
            dict.fromkeys("abcdefghij"),
            "an object with the keys 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h' and more",
        ),
        ({"k" * 129: 1}, f"an object with the keys '{'k' * 128}...'"),
        (dt.date(2024, 1, 1), "a date"),
    ],
)
def test_a_value_is_described_without_what_it_holds(value: Any, text: str) -> None:
    assert describe(value) == text
