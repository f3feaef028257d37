"""Random definitions that validation finds nothing wrong with: forks, nested unites, choices, loops, references."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from karman_core.domain import groups, topology
from karman_core.domain.definition import GraphDefinition, NodeInstance, UniteStrategy
from karman_core.domain.graph import Graph, compile_graph
from karman_core.domain.groups import Groups
from tests.domain.graphs import graph

FIELDS = ("x", "y")


class _Sketch:
    """A flow as it grows: blocks in series and side by side, so that groups are a bracket structure."""

    def __init__(self, draw: st.DrawFn, max_nodes: int) -> None:
        self.draw = draw
        self.left = max_nodes
        self.edges: dict[str, list[str]] = {}
        self.unites: dict[str, tuple[str, UniteStrategy]] = {}

    def fresh(self, *after: str) -> str:
        """A new node that follows others."""
        self.left -= 1
        name = f"n{len(self.edges)}"
        self.edges[name] = []
        for other in after:
            self.edges[other].append(name)
        return name

    def block(self, start: str, depth: int) -> list[str]:
        """Something that follows a node that nothing follows yet; gives the nodes with which it goes on."""
        kinds = ["end", "one", "group", "group"] + ["split", "series", "series"] * (depth > 0)
        kind = self.draw(st.sampled_from(kinds)) if self.left > 0 else "end"
        match kind:
            case "one":
                return [self.fresh(start)]
            case "split":
                return self.merge([end for _ in range(2) for end in self.block(self.fresh(start), depth - 1)])
            case "series":
                return self.series(start, depth)
            case "group":
                return self.group(start, depth)
            case _:
                return [start]

    def series(self, start: str, depth: int) -> list[str]:
        first = self.draw(st.sampled_from(self.block(start, depth - 1)))
        return self.block(first, depth - 1) if not self.edges[first] else [first]

    def merge(self, ends: list[str]) -> list[str]:
        """Maybe one node that follows them all."""
        ends = list(dict.fromkeys(ends))
        return [self.fresh(*ends)] if self.draw(st.booleans()) else ends

    def group(self, start: str, depth: int) -> list[str]:
        """A group: a united node, branches that start with one or two nodes, their unite."""
        united = {united for united, _ in self.unites.values()}
        opening = start if start not in united and self.draw(st.booleans()) else self.fresh(start)
        count = self.draw(st.integers(0, 2))
        ends = [end for _ in range(count) for end in self.block(self.fresh(opening), max(0, depth - 1))]
        closing = self.fresh()
        self.unites[closing] = (opening, self.draw(st.sampled_from(UniteStrategy)))
        last = [end for end in dict.fromkeys(ends) if self.draw(st.integers(0, 4))]
        direct = not last or not self.draw(st.integers(0, 3))
        for end in [*last, *([opening] if direct else [])]:
            self.edges[end].append(closing)
        return [closing]

    def definition(self, inputs: dict[str, dict[str, Any]], loops: dict[str, list[Any]]) -> GraphDefinition:
        return graph(*(self.instance(name, inputs.get(name, {}), loops.get(name, [])) for name in self.edges))

    def instance(self, name: str, inputs: dict[str, Any], loops: list[Any]) -> NodeInstance:
        fields: dict[str, Any] = {"inputs": inputs, "loops": loops, "next_nodes": self.edges[name]}
        if name in self.unites:
            united, strategy = self.unites[name]
            fields["unites"] = {"identifier": united, "strategy": strategy}
        return NodeInstance.model_validate({"identifier": name, "node_name": "Node", **fields})


@st.composite
def definitions(draw: st.DrawFn, max_nodes: int = 8, *, loops: bool = True) -> GraphDefinition:
    """Any small valid definition."""
    sketch = _Sketch(draw, max_nodes - 1)
    root = sketch.fresh()
    sketch.block(root, 3) if draw(st.booleans()) else sketch.group(root, 2)
    bare = sketch.definition({}, {})
    found, shape = groups.analyse(bare), topology.build(bare)
    before = {
        name: topology.members(shape, bits)
        for name, bits in zip(shape.identifiers, topology.ancestors(shape), strict=True)
    }
    backs = _loops(draw, sketch, before, found) if loops else {}
    return sketch.definition(_inputs(draw, before, found), backs)


@st.composite
def fans(draw: st.DrawFn) -> Graph:
    """One group: `n0` opens it, `n1` (and `n2`) run in each branch, `n3` unites it."""
    starts = draw(st.sampled_from([("n1",), ("n1", "n2")]))
    sketch = _Sketch(draw, 4)
    sketch.edges = {"n0": [*starts], **{name: ["n3"] for name in starts}, "n3": []}
    sketch.unites = {"n3": ("n0", draw(st.sampled_from(UniteStrategy)))}
    return compile_graph(sketch.definition({"n3": {"all": "${{ n1.outputs.x }}"}}, {}))


def flows(max_nodes: int = 8, *, loops: bool = True) -> st.SearchStrategy[Graph]:
    """Any small valid definition, compiled."""
    return definitions(max_nodes, loops=loops).map(compile_graph)


def _loops(
    draw: st.DrawFn, sketch: _Sketch, before: dict[str, tuple[str, ...]], found: Groups
) -> dict[str, list[Any]]:
    pairs = [
        (source, target)
        for source, ancestors in before.items()
        for target in (*ancestors, source)
        if target not in sketch.unites and groups.left_scope(found, source) == found.innermost[target]
    ]
    loops: dict[str, list[Any]] = {}
    chosen = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=2)) if pairs else []
    for source, target in chosen:
        loops.setdefault(source, []).append({"to": target, "max_rounds": draw(st.integers(1, 2))})
    return loops


def _inputs(draw: st.DrawFn, before: dict[str, tuple[str, ...]], found: Groups) -> dict[str, dict[str, Any]]:
    inputs: dict[str, dict[str, Any]] = {}
    for name, ancestors in before.items():
        between = {read: len(groups.groups_between(found, name, read)) for read in ancestors}
        near = [read for read, count in between.items() if count < 2]
        lists = [read for read in near if between[read] and draw(st.booleans())]
        reads = [*lists[:1], *(draw(st.lists(st.sampled_from(near), max_size=3)) if near else [])]
        placeholders = [f"${{{{ {read}.outputs.{draw(st.sampled_from(FIELDS))} }}}}" for read in reads]
        if placeholders:
            inputs[name] = {"first": placeholders[0], "rest": [f"a {' '.join(placeholders[1:])}", 1]}
    return inputs
