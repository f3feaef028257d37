"""Checks a graph against node classes, without a database."""

from __future__ import annotations

from collections.abc import Iterable

from karman._internal.execution import NodeExecutor
from karman._internal.node import Node
from karman_core.domain.definition import GraphDefinition
from karman_core.domain.errors import InvalidGraph
from karman_core.domain.validation import validate

RUNTIME = "local"
"""Schemas are compared; which runtime has a node does not matter."""


def check(definition: GraphDefinition, nodes: Iterable[type[Node]]) -> bool:
    """Check a graph; False when no nodes are known, so that only what the graph says by itself could be checked.

    Raises:
        InvalidGraph: with every problem that there is.
    """
    registered = {node.name: node for node in NodeExecutor(nodes).registered(RUNTIME)}
    known = {
        (instance.namespace, instance.node_name): registered[instance.node_name]
        for instance in definition.nodes
        if instance.node_name in registered
    }
    problems = validate(definition, known if registered else None)
    if problems:
        count = "a problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise InvalidGraph(f"Graph '{definition.name}' has {count}.", problems)
    return bool(registered)
