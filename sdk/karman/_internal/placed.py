"""A node in a graph, as the builder holds it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from karman._internal.node import Node, declaration_of
from karman._internal.references import Reference, Target
from karman.errors import InvalidGraph
from karman_core.domain.definition import JSON, NodeInstance, RetryPolicy, UniteStrategy
from karman_core.domain.schemas import ANY


@dataclass
class Placement:
    """What the builder knows of one node instance; it grows until the graph is built.

    Attributes:
        owner: the graph, told apart by identity.
        cls: the node's class, where it is known.
        elsewhere: a node without a class is registered by others, so that its schemas are not known.
    """

    owner: object
    identifier: str
    node_name: str
    cls: type[Node] | None
    namespace: str | None
    inputs: dict[str, JSON]
    following: list[str] = field(default_factory=list)
    unites: dict[str, JSON] | None = None
    loops: list[dict[str, JSON]] = field(default_factory=list)
    elsewhere: bool = True
    retry: RetryPolicy | None = None
    timeout_seconds: float | None = None

    def follow(self, other: Placement) -> None:
        """Add an edge; the same edge again adds nothing.

        Raises:
            InvalidGraph: if the other is of another graph, or this one itself.
        """
        if other.owner is not self.owner:
            raise InvalidGraph(
                f"'{self.identifier}' and '{other.identifier}' are in different graphs; an edge joins nodes of one."
            )
        if other is self:
            raise InvalidGraph(
                f"'{self.identifier}' cannot follow itself; to repeat a node use graph.loop({self.identifier}, "
                f"{self.identifier}, max_rounds=...)."
            )
        if other.identifier not in self.following:
            self.following.append(other.identifier)

    def instance(self) -> dict[str, JSON]:
        """As it stands in a definition."""
        return {
            "identifier": self.identifier,
            "node_name": self.node_name,
            "namespace": self.namespace,
            "inputs": self.inputs,
            "next_nodes": self.following,
            "unites": self.unites,
            "loops": self.loops,
            "retry_policy": None if self.retry is None else self.retry.model_dump(mode="json"),
            "timeout_seconds": self.timeout_seconds,
        }


FollowingT = TypeVar("FollowingT", bound="PlacedNode | Sequence[PlacedNode]")


class PlacedNode:
    """A node in a graph. `a >> b` makes b follow a; so do `a >> [b, c]`, `[a, b] >> c` and `a >> b >> c`.

    Made by `Graph.add`.
    """

    __slots__ = ("__placement__",)
    __placement__: Placement

    def __init__(self, placement: Placement) -> None:
        self.__placement__ = placement

    @property
    def identifier(self) -> str:
        """Unique in the graph."""
        return self.__placement__.identifier

    @property
    def node_name(self) -> str:
        """Name of the node that runs."""
        return self.__placement__.node_name

    @property
    def outputs(self) -> Reference:
        """Its outputs, to be referred to by what comes after it: `a.outputs.text`.

        A reference alone makes no edge: the node has to be an ancestor of those that read it.
        """
        placement = self.__placement__
        schema = ANY if placement.cls is None else declaration_of(placement.cls).outputs_schema
        return Reference(Target(placement.owner, placement.identifier, schema))

    def __rshift__(self, following: FollowingT) -> FollowingT:
        """Make one node, or each of several, follow this one. Raises InvalidGraph for nodes of another graph."""
        for each in placed(following):
            self.__placement__.follow(each.__placement__)
        return following

    def __rrshift__(self, preceding: Sequence[PlacedNode]) -> PlacedNode:
        """Make this node follow each of several: without a unite it runs once for each of them."""
        for each in placed(preceding):
            each.__placement__.follow(self.__placement__)
        return self

    def __repr__(self) -> str:
        return f"<'{self.identifier}': {self.node_name}>"


@dataclass(frozen=True, slots=True)
class Unites:
    """Makes a node the unite of the groups that another one opens: `graph.add(..., unites=Unites(a, ALL_DONE))`.

    Attributes:
        node: the one that forks, placed in the graph or by its identifier.
        strategy: when the unite runs.
    """

    node: PlacedNode | str
    strategy: UniteStrategy = UniteStrategy.ALL_SUCCESS


def placed(nodes: object) -> Iterable[PlacedNode]:
    """One or several nodes of a graph.

    Raises:
        InvalidGraph: if they are something else.
    """
    several = nodes if isinstance(nodes, list | tuple) else (nodes,)
    for each in several:
        if not isinstance(each, PlacedNode):
            raise InvalidGraph(
                f"{each!r:.150} is no node of a graph; >> joins what graph.add returned, alone or in lists."
            )
    return several


def placement_of(
    instance: NodeInstance, owner: object, cls: type[Node] | None, *, elsewhere: bool
) -> Placement:
    """A node of a definition, in the graph that is made of it."""
    return Placement(
        owner=owner,
        identifier=instance.identifier,
        node_name=instance.node_name,
        cls=cls,
        namespace=instance.namespace,
        inputs=dict(instance.inputs),
        following=list(instance.next_nodes),
        unites=None if instance.unites is None else instance.unites.model_dump(mode="json"),
        loops=[loop.model_dump(mode="json") for loop in instance.loops],
        retry=instance.retry_policy,
        timeout_seconds=instance.timeout_seconds,
        elsewhere=elsewhere,
    )


def snake_case(node_name: str) -> str:
    """The identifier that a node has by default: `ReadPDF` is placed as `read_pdf`."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", node_name)
    return words.replace(".", "_").lower()
