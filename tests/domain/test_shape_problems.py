from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from karman_core.domain import definition
from karman_core.domain.shape_problems import MODELS, shape_problem


def problems(data: Any) -> list[tuple[str, str, str]]:
    with pytest.raises(ValidationError) as caught:
        definition.GraphDefinition.model_validate(data)
    found = [shape_problem(detail) for detail in caught.value.errors()]
    return [(problem.path, problem.code, problem.message) for problem in found]


def with_node(**fields: Any) -> dict[str, Any]:
    return {"name": "g", "nodes": [{"identifier": "a", "node_name": "A", **fields}]}


NAME = "It must start with a letter or '_', with letters, digits, '_' and '-' after it, at most 128."


@pytest.mark.parametrize(
    ("data", "path", "code", "message"),
    [
        (7, "", "wrong_type", "It must be an object and is a number."),
        ({"name": "g"}, "nodes", "missing_field", "The field 'nodes' is required."),
        ({"name": "g", "nodes": "x"}, "nodes", "wrong_type", "It must be a list and is a string."),
        ({"name": "9", "nodes": []}, "name", "invalid_value", NAME),
        (
            with_node(node_name="a b"),
            "nodes[0].node_name",
            "invalid_value",
            NAME.replace("'_' and", "'_', '.' and"),
        ),
        (
            with_node(identifier=1),
            "nodes[0].identifier",
            "wrong_type",
            "It must be a string and is a number.",
        ),
        (
            with_node(next_nodes=[None]),
            "nodes[0].next_nodes[0]",
            "wrong_type",
            "It must be a string and is null.",
        ),
        (with_node(inputs=[]), "nodes[0].inputs", "wrong_type", "It must be an object and is a list of 0."),
        (
            with_node(inputs={3: 4}),
            "nodes[0].inputs[3]",
            "wrong_type",
            "It must be a string and is a number.",
        ),
        (with_node(unites="a"), "nodes[0].unites", "wrong_type", "It must be an object and is a string."),
        (
            with_node(unites={"identifier": "b", "strategy": "ANY"}),
            "nodes[0].unites.strategy",
            "invalid_value",
            "It must be 'ALL_SUCCESS', 'ALL_DONE' or 'ANY_SUCCESS'.",
        ),
        (
            with_node(timeout_seconds=0),
            "nodes[0].timeout_seconds",
            "invalid_value",
            "It must be greater than 0.0.",
        ),
        (
            with_node(timeout_seconds="x"),
            "nodes[0].timeout_seconds",
            "wrong_type",
            "It must be a number and is a string.",
        ),
        (
            with_node(retry_policy={"max_retries": 1001}),
            "nodes[0].retry_policy.max_retries",
            "invalid_value",
            "It must be at most 1000.",
        ),
        (
            with_node(loops=[{"to": "a", "max_rounds": 0}]),
            "nodes[0].loops[0].max_rounds",
            "invalid_value",
            "It must be at least 1.",
        ),
        (
            with_node(loops=[{"to": "a", "max_rounds": 1.5}]),
            "nodes[0].loops[0].max_rounds",
            "wrong_type",
            "It must be an integer and is a number.",
        ),
        (
            with_node() | {"fail_fast": 7},
            "fail_fast",
            "wrong_type",
            "It must be true or false and is a number.",
        ),
        (
            with_node() | {"store_config": {"default_values": {"a.b": 1}}},
            "store_config.default_values.a.b",
            "invalid_value",
            "It must have 1 to 128 characters, no dot and no whitespace among them.",
        ),
        (
            with_node() | {"triggers": [{"type": "AT", "value": {"expression": "x"}}]},
            "triggers[0].type",
            "invalid_value",
            "It must be 'CRON'.",
        ),
        (
            with_node() | {"retry_policy": {"max_retries": "9" * 5000}},
            "retry_policy.max_retries",
            "invalid_value",
            "Unable to parse input string as an integer, exceeded maximum size.",
        ),
    ],
)
def test_each_misfit_has_a_code_and_words_of_its_own(data: Any, path: str, code: str, message: str) -> None:
    assert problems(data) == [(path, code, message)]


@pytest.mark.parametrize(
    ("data", "path", "hint"),
    [
        (with_node() | {"nodez": 1}, "nodez", "did you mean 'nodes'?"),
        (with_node(identifer="a"), "nodes[0].identifer", "did you mean 'identifier'?"),
        (
            with_node(loops=[{"to": "a", "max_rounds": 1, "zzz": 1}]),
            "nodes[0].loops[0].zzz",
            "there are max_rounds, to.",
        ),
        (
            with_node(unites={"identifier": "a", "strat": 1}),
            "nodes[0].unites.strat",
            "did you mean 'strategy'?",
        ),
        (
            with_node(retry_policy={"max_retry": 1}),
            "nodes[0].retry_policy.max_retry",
            "did you mean 'max_retries'?",
        ),
        (
            with_node() | {"store_config": {"zzz": 1}},
            "store_config.zzz",
            "there are default_values, required_keys.",
        ),
        (
            with_node() | {"triggers": [{"value": {"expression": "x", "time_zone": "UTC"}}]},
            "triggers[0].value.time_zone",
            "did you mean 'timezone'?",
        ),
        (
            with_node() | {"triggers": [{"value": {"expression": "x"}, "nane": 1}]},
            "triggers[0].nane",
            "did you mean 'name'?",
        ),
    ],
)
def test_an_unknown_field_is_told_what_it_may_have_meant(data: Any, path: str, hint: str) -> None:
    ((found, code, message),) = problems(data)
    assert (found, code) == (path, "unknown_field")
    assert message.endswith(hint)


def models_in(annotation: Any) -> Iterator[type[definition.Model]]:
    if isinstance(annotation, type) and issubclass(annotation, definition.Model):
        yield annotation
    for inner in get_args(annotation):
        yield from models_in(inner)


def test_hints_know_every_field_that_holds_a_model() -> None:
    found: dict[str, type[definition.Model]] = {}
    waiting: list[type[definition.Model]] = [definition.GraphDefinition]
    while waiting:
        for name, field in waiting.pop().model_fields.items():
            for model in models_in(field.annotation):
                assert found.setdefault(name, model) is model
                waiting.append(model)
    assert found == MODELS
