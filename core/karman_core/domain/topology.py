"""The shape of a graph: who follows whom, in what order, and who is whose ancestor.

It is built from any definition that parses, valid or not: unknown targets, self edges and repeated identifiers are left
out (`validation` reports them). Nothing here recurses, and sets of nodes are the bits of an int, so that a chain of
10,000 nodes costs milliseconds. Loop edges are no part of the shape; they only ever lead back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from karman_core.domain.definition import GraphDefinition


@dataclass(frozen=True, slots=True)
class Topology:
    """Nodes by number: their place among the definition's distinct identifiers.

    Attributes:
        identifiers: by number.
        numbers: by identifier.
        successors, predecessors: of each node, along its next edges, without repetitions.
        order: the nodes, each after all its predecessors; nodes on a cycle or behind one are missing.
    """

    identifiers: tuple[str, ...]
    numbers: Mapping[str, int]
    successors: tuple[tuple[int, ...], ...]
    predecessors: tuple[tuple[int, ...], ...]
    order: tuple[int, ...]

    @property
    def roots(self) -> tuple[int, ...]:
        """The nodes that follow no other."""
        return tuple(number for number, before in enumerate(self.predecessors) if not before)


def build(definition: GraphDefinition) -> Topology:
    """The topology of a definition; linear in its nodes and edges."""
    instances = {instance.identifier: instance for instance in reversed(definition.nodes)}
    identifiers = tuple(dict.fromkeys(instance.identifier for instance in definition.nodes))
    numbers = {identifier: number for number, identifier in enumerate(identifiers)}
    successors = tuple(
        tuple(
            dict.fromkeys(
                numbers[name]
                for name in instances[identifier].next_nodes
                if name in numbers and name != identifier
            )
        )
        for identifier in identifiers
    )
    predecessors = _reverse(successors)
    return Topology(identifiers, numbers, successors, predecessors, _sort(successors, predecessors))


def ancestors(topology: Topology) -> tuple[int, ...]:
    """For each node the set of its ancestors: bit i is set when node i comes before it on some path.

    Nodes that are missing in `order` have no bits.
    """
    before = [0] * len(topology.identifiers)
    for number in topology.order:
        for predecessor in topology.predecessors[number]:
            before[number] |= before[predecessor] | 1 << predecessor
    return tuple(before)


def members(topology: Topology, bits: int) -> tuple[str, ...]:
    """The identifiers of a set of nodes, in the order of the definition."""
    found: list[str] = []
    while bits:
        lowest = bits & -bits
        found.append(topology.identifiers[lowest.bit_length() - 1])
        bits ^= lowest
    return tuple(found)


def reachable(topology: Topology, starts: tuple[int, ...]) -> frozenset[int]:
    """The nodes that next edges lead to from `starts`, these included."""
    found = set(starts)
    waiting = list(starts)
    while waiting:
        fresh = [number for number in topology.successors[waiting.pop()] if number not in found]
        found.update(fresh)
        waiting.extend(fresh)
    return frozenset(found)


def cycles(topology: Topology) -> tuple[tuple[int, ...], ...]:
    """Disjoint cycles of next edges, each from its first node in the definition on; empty if and only if none exist."""
    # A node that could not be sorted has a predecessor that could not be either. Going back along one such edge a node
    # must end in a cycle, and every walk meets each node once.
    unsorted = set(range(len(topology.identifiers))).difference(topology.order)
    back = {
        number: next(before for before in topology.predecessors[number] if before in unsorted)
        for number in unsorted
    }
    found: list[tuple[int, ...]] = []
    seen: set[int] = set()
    for start in sorted(unsorted):
        walk: list[int] = []
        number = start
        while number not in seen:
            seen.add(number)
            walk.append(number)
            number = back[number]
        if number in walk:
            found.append(_forward(walk[walk.index(number) :]))
    return tuple(found)


def _forward(walk: list[int]) -> tuple[int, ...]:
    """A cycle that was walked backwards, in the direction of its edges, from its smallest number on."""
    cycle = walk[::-1]
    first = cycle.index(min(cycle))
    return tuple(cycle[first:] + cycle[:first])


def _reverse(successors: tuple[tuple[int, ...], ...]) -> tuple[tuple[int, ...], ...]:
    predecessors: list[list[int]] = [[] for _ in successors]
    for number, after in enumerate(successors):
        for successor in after:
            predecessors[successor].append(number)
    return tuple(tuple(before) for before in predecessors)


def _sort(
    successors: tuple[tuple[int, ...], ...], predecessors: tuple[tuple[int, ...], ...]
) -> tuple[int, ...]:
    """Kahn's algorithm, first come first served, so that the order follows the definition's."""
    missing = [len(before) for before in predecessors]
    ready = deque(number for number, count in enumerate(missing) if not count)
    order: list[int] = []
    while ready:
        number = ready.popleft()
        order.append(number)
        for successor in successors[number]:
            missing[successor] -= 1
            if not missing[successor]:
                ready.append(successor)
    return tuple(order)
