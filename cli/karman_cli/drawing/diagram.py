"""What a picture of a graph shows: boxes and arrows, before anything has a place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from karman_core.domain.definition import GraphDefinition, NodeInstance


class Kind(StrEnum):
    """What an arrow means."""

    NEXT = "next"
    UNITES = "unites"
    LOOP = "loop"


@dataclass(frozen=True, slots=True)
class Box:
    """A node instance: its identifier, and below it the node that runs and what it unites."""

    identifier: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Arrow:
    """An arrow between two boxes, by identifier."""

    source: str
    target: str
    kind: Kind
    label: str = ""


@dataclass(frozen=True, slots=True)
class Diagram:
    """A graph as boxes and arrows. Arrows to identifiers that do not exist are left out."""

    name: str
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]


def diagram(definition: GraphDefinition) -> Diagram:
    """The diagram of a graph, valid or not: a picture helps to see what is wrong."""
    known = {node.identifier for node in definition.nodes}
    arrows = [
        arrow
        for node in definition.nodes
        for arrow in _arrows(node)
        if arrow.source in known and arrow.target in known
    ]
    boxes = {node.identifier: _box(node) for node in definition.nodes}
    return Diagram(definition.name, tuple(boxes.values()), tuple(dict.fromkeys(arrows)))


def _box(node: NodeInstance) -> Box:
    lines = [node.identifier]
    if node.node_name != node.identifier:
        lines.append(node.node_name if node.namespace is None else f"{node.namespace}/{node.node_name}")
    if node.unites is not None:
        lines.append(f"unites {node.unites.identifier}, {node.unites.strategy}")
    return Box(node.identifier, tuple(lines))


def _arrows(node: NodeInstance) -> Iterator[Arrow]:
    for target in node.next_nodes:
        yield Arrow(node.identifier, target, Kind.NEXT)
    if node.unites is not None:
        yield Arrow(node.unites.identifier, node.identifier, Kind.UNITES)
    for loop in node.loops:
        yield Arrow(node.identifier, loop.to, Kind.LOOP, f"at most {loop.max_rounds}x")
