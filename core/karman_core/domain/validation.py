"""Validation of a definition: everything that is wrong with it, at once.

`limits` come first, alone: what is over them is not looked into. Then the wiring of the nodes, what the definition
declares, and the inputs, each as far as the rest makes sense.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice

from karman_core.domain import json_values
from karman_core.domain.concurrency import concurrency_problems
from karman_core.domain.declarations import declaration_problems
from karman_core.domain.definition import JSON, GraphDefinition
from karman_core.domain.errors import Problem
from karman_core.domain.inputs import input_problems
from karman_core.domain.rate_limits import rate_limit_problems
from karman_core.domain.references import References
from karman_core.domain.registered import RegisteredNodes
from karman_core.domain.tags import tag_problems
from karman_core.domain.wiring import examine

MAX_NODES = 10_000
MAX_NEXT_NODES = 1_000
MAX_BYTES = 1_000_000
"""Of the definition as JSON, without what is at its default."""


def validate(definition: GraphDefinition, nodes: RegisteredNodes | None = None) -> tuple[Problem, ...]:
    """Everything that is wrong with a definition, at most 1,000 problems; empty if it can be run.

    Args:
        definition: as parsed.
        nodes: the registered nodes that it names (`registered.node_keys`), for what needs their schemas; None to leave
            these checks out.
    """
    problems = tuple(islice(_limits(definition), json_values.MAX_PROBLEMS))
    if problems:
        return problems
    wiring, wrong = examine(definition)
    declared = declaration_problems(wiring, nodes)
    references = References.of(wiring, nodes)
    inputs, tags = input_problems(references), tag_problems(references)
    limits = chain(concurrency_problems(references), rate_limit_problems(references))
    return tuple(islice(chain(wrong, declared, inputs, tags, limits), json_values.MAX_PROBLEMS))


def _limits(definition: GraphDefinition) -> Iterator[Problem]:
    if len(definition.nodes) > MAX_NODES:
        message = f"The graph has {len(definition.nodes):,} nodes; {MAX_NODES:,} are allowed."
        yield Problem("nodes", "too_many_nodes", message)
        return
    for i, node in enumerate(definition.nodes):
        if len(node.next_nodes) > MAX_NEXT_NODES:
            message = f"'{node.identifier}' has {len(node.next_nodes):,} next nodes; {MAX_NEXT_NODES:,} are allowed."
            yield Problem(f"nodes[{i}].next_nodes", "too_many_next_nodes", message)
    strange = [
        problem for path, value in _values(definition) for problem in json_values.json_problems(value, path)
    ]
    yield from strange
    if not strange and (size := len(definition.model_dump_json(exclude_defaults=True).encode())) > MAX_BYTES:
        message = f"The definition has {size:,} bytes as JSON; {MAX_BYTES:,} are allowed."
        yield Problem("", "definition_too_large", message)


def _values(definition: GraphDefinition) -> Iterator[tuple[str, JSON]]:
    """The parts of a definition that hold values of their author's, with their paths."""
    yield "outputs", definition.outputs
    yield "tags", definition.tags
    if definition.concurrency is not None:
        yield "concurrency.key", definition.concurrency.key
    if definition.rate_limit is not None:
        yield "rate_limit.key", definition.rate_limit.key
    yield "store_config.default_values", definition.store_config.default_values
    for i, node in enumerate(definition.nodes):
        yield f"nodes[{i}].inputs", node.inputs
    for i, trigger in enumerate(definition.triggers):
        yield f"triggers[{i}].value.inputs", trigger.value.inputs
        yield f"triggers[{i}].value.store", trigger.value.store
