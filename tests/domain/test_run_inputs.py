from __future__ import annotations

import math
from typing import Any

from karman_core.domain.definition import RegisteredNode, StoreConfig
from karman_core.domain.run_inputs import run_problems
from tests.domain.graphs import node
from tests.domain.nodes import TEXT, WHOLE, record, registered_node

READ = registered_node("Read", record("limit", folder=TEXT, day=TEXT, limit=WHOLE))
CONFIG = StoreConfig(required_keys=("user", "plan"), default_values={"plan": "free"})


def problems(
    inputs: dict[str, Any],
    store: dict[str, Any] | None = None,
    root: RegisteredNode | None = READ,
    **given: Any,
) -> list[tuple[str, str]]:
    store = {"user": "u"} if store is None else store
    found = run_problems(node("a", inputs={"day": "x", **given}), root, CONFIG, inputs=inputs, store=store)
    return [(problem.path, problem.code) for problem in found]


def test_what_the_definition_and_the_defaults_give_need_not_be_given() -> None:
    assert problems({"folder": "docs"}) == []
    assert problems({}, folder="docs") == []


def test_every_reason_is_named() -> None:
    assert problems({"limit": "x", "more": 1}, {"a.b": 1, "": 2, "x y": 3, "line\n": 4}) == [
        ("inputs.more", "unknown_input"),
        ("inputs.folder", "missing_input"),
        ("inputs.limit", "wrong_type"),
        ("store.a.b", "invalid_store_key"),
        ("store.", "invalid_store_key"),
        ("store.x y", "invalid_store_key"),
        ("store.line\n", "invalid_store_key"),
        ("store.user", "missing_store_key"),
    ]


def test_values_must_be_json() -> None:
    assert problems({"folder": math.nan}, {"user": {1}}) == [
        ("inputs.folder", "not_json"),
        ("store.user", "not_json"),
    ]


def test_text_that_looks_like_a_placeholder_is_text() -> None:
    assert problems({"folder": "${{ x"}, {"user": "${{ store.plan }}"}) == []


def test_without_the_node_inputs_are_not_judged() -> None:
    assert problems({"more": 1}, root=None) == []
