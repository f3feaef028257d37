"""What a graph's definition must be beside well-formed."""

from __future__ import annotations

from collections.abc import Iterable

from karman._internal.node import declaration_of
from karman._internal.placed import Placement
from karman.errors import InvalidGraph
from karman_core.domain.definition import GraphDefinition, RegisteredNode
from karman_core.domain.registered import NodeKey
from karman_core.domain.validation import validate

_RUNTIME = "default"
"""Schemas are looked at, runtimes are not."""


def check(definition: GraphDefinition, placements: Iterable[Placement]) -> None:
    """Validate a definition against the nodes that it uses.

    Raises:
        InvalidGraph: with every problem that there is.
    """
    nodes = dict(registered for placement in placements for registered in _registered(placement))
    problems = validate(definition, nodes)
    if problems:
        count = "a problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise InvalidGraph(f"Graph '{definition.name}' has {count}.", problems)


def _registered(placement: Placement) -> Iterable[tuple[NodeKey, RegisteredNode]]:
    key = (placement.namespace, placement.node_name)
    if placement.cls is not None:
        yield key, declaration_of(placement.cls).registered(_RUNTIME)
    elif placement.elsewhere:
        # It is checked where it is registered; here it takes and gives anything.
        yield key, RegisteredNode(name=placement.node_name, runtime=_RUNTIME)
