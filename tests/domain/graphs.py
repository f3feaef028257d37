"""Graphs for the tests of the domain: short spellings, and random ones with brute-force readings of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hypothesis import strategies as st

from karman_core.domain.definition import GraphDefinition, NodeInstance

Edges = Mapping[str, Sequence[str]]


def node(identifier: str, *next_nodes: str, unites: str | None = None, **fields: Any) -> NodeInstance:
    """A node instance; `unites` is the identifier of the united node."""
    if unites is not None:
        fields["unites"] = {"identifier": unites}
    fields.setdefault("node_name", "Node")
    return NodeInstance.model_validate({"identifier": identifier, "next_nodes": next_nodes, **fields})


def graph(*nodes: NodeInstance, **fields: Any) -> GraphDefinition:
    """A definition with these nodes."""
    return GraphDefinition.model_validate({"name": "graph", "nodes": nodes, **fields})


@st.composite
def edges(draw: st.DrawFn, max_size: int = 7, *, acyclic: bool = True) -> dict[str, list[str]]:
    """Any small graph, its nodes in any order."""
    count = draw(st.integers(1, max_size))
    names = [f"n{i}" for i in range(count)]
    pairs = [(a, b) for a in range(count) for b in range(count) if (a < b if acyclic else a != b)]
    chosen = draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []
    found = {name: [names[b] for a, b in chosen if names[a] == name] for name in names}
    return {name: found[name] for name in draw(st.permutations(names))}


class _Blocks:
    """Draws edges and unites block by block: in series, or in parallel between a united node and its unite."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw
        self.edges: dict[str, list[str]] = {}
        self.unites: dict[str, str] = {}

    def node(self, *after: str) -> str:
        """A new node that follows these."""
        name = f"n{len(self.edges)}"
        self.edges[name] = []
        for before in after:
            self.edges[before].append(name)
        return name

    def block(self, start: str, depth: int) -> str:
        """Something that follows `start`; returns its last node."""
        kinds = ["nothing", "node", *(["group", "series", "group"] if depth else [])]
        match self._draw(st.sampled_from(kinds)):
            case "group":
                opening = self.node(start)
                branches = range(self._draw(st.integers(1, 2)))
                closing = self.node(*(self.block(self.node(opening), depth - 1) for _ in branches))
                self.unites[closing] = opening
                return closing
            case "series":
                return self.block(self.block(start, depth - 1), depth - 1)
            case "node":
                return self.node(start)
        return start


@st.composite
def united_graphs(draw: st.DrawFn) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Edges and unites (uniting node to united node) of an acyclic graph with one root.

    Blocks make valid graphs with nested and consecutive groups; now and then a few random edges and one more unite make
    all kinds of others.
    """
    blocks = _Blocks(draw)
    last = blocks.node()
    for _ in range(draw(st.integers(1, 3))):
        last = blocks.block(last, 2)
    places = st.integers(0, len(blocks.edges) - 1)
    for a, b in draw(st.lists(st.tuples(places, places), max_size=2)):
        if a < b and f"n{b}" not in blocks.edges[f"n{a}"]:
            blocks.edges[f"n{a}"].append(f"n{b}")
    if draw(st.integers(0, 3)) == 0:
        uniting, united = f"n{draw(places)}", f"n{draw(places)}"
        if uniting != united and united not in blocks.unites.values():
            blocks.unites[uniting] = united
    return blocks.edges, blocks.unites


def definition_of(found: Edges, unites: Mapping[str, str] | None = None, **fields: Any) -> GraphDefinition:
    """A definition with these edges and unites (uniting node to united node)."""
    unites = unites or {}
    return graph(*(node(name, *after, unites=unites.get(name)) for name, after in found.items()), **fields)


def paths_to(found: Edges, target: str) -> Iterator[tuple[str, ...]]:
    """All paths that end at a node, from wherever they begin (acyclic graphs only)."""
    before = [name for name, after in found.items() if target in after]
    if not before:
        yield (target,)
    for name in before:
        for path in paths_to(found, name):
            yield (*path, target)


def open_groups(path: Sequence[str], unites: Mapping[str, str]) -> tuple[str, ...] | None:
    """The united nodes whose groups are open at the end of a path, outermost first; None if a unite meets another one.

    The definition of united groups, executed: leaving a united node opens its group, its unite closes it.
    """
    stack: list[str] = []
    for name, before in zip(path, (None, *path), strict=False):
        if before in unites.values():
            stack.append(str(before))
        if name in unites and (not stack or stack.pop() != unites[name]):
            return None
    return tuple(stack)
