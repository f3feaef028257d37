"""Whether a run can be started with given inputs and store values: asked at every trigger, and early of cron triggers.

Inputs of a trigger are values for the root: they override what the definition gives it, and text in them that looks
like a placeholder is text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from karman_core.domain import schemas
from karman_core.domain.definition import JSON, STORE_KEY_PATTERN, NodeInstance, RegisteredNode, StoreConfig
from karman_core.domain.errors import Problem
from karman_core.domain.inputs import literal_problems, missing_inputs, unknown_inputs
from karman_core.domain.json_values import json_problems
from karman_core.domain.paths import child, join

_STORE_KEY = re.compile(STORE_KEY_PATTERN)


def run_problems(
    root: NodeInstance,
    node: RegisteredNode | None,
    config: StoreConfig,
    *,
    inputs: Mapping[str, JSON],
    store: Mapping[str, JSON],
) -> tuple[Problem, ...]:
    """Why a run cannot be started so: all reasons, with paths that begin with `inputs` or `store`.

    Codes: `not_json` and its kin, `missing_input`, `unknown_input`, `missing_store_key`, `invalid_store_key`, and those
    of `schema_values.check_value`.

    Args:
        root: the instance that the run begins with.
        node: what the root runs; None if that is not known, and then inputs are checked to be JSON only.
        config: the graph's.
        inputs: the trigger's.
        store: the trigger's.
    """
    problems = (*json_problems(dict(inputs), "inputs"), *json_problems(dict(store), "store"))
    if problems:
        return problems
    return (*_input_problems(root, node, inputs), *_store_problems(config, store))


def _input_problems(
    root: NodeInstance, node: RegisteredNode | None, inputs: Mapping[str, JSON]
) -> Iterator[Problem]:
    if node is None:
        return
    known = schemas.fields(node.inputs_schema)
    yield from unknown_inputs(known, inputs, "inputs", node.name)
    yield from missing_inputs(known, {**root.inputs, **inputs}, "inputs", node.name)
    for problem in literal_problems(node.inputs_schema, inputs):
        yield Problem(join("inputs", problem.path), problem.code, problem.message)


def _store_problems(config: StoreConfig, store: Mapping[str, JSON]) -> Iterator[Problem]:
    for key in store:
        if not _STORE_KEY.fullmatch(key):
            message = "A store key has 1 to 128 characters, no dot and no whitespace among them."
            yield Problem(child("store", key), "invalid_store_key", message)
    for key in dict.fromkeys(config.required_keys):
        if key not in store and key not in config.default_values:
            message = f"The store key '{key}' is required, has no default value and is not given."
            yield Problem(child("store", key), "missing_store_key", message)
