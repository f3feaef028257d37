"""Loads what a user names on the command line: a Python file or module, or a graph written down, with its nodes."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from karman._internal.functions import FunctionNode, node_class
from karman._internal.graph import Graph
from karman._internal.node import Node
from karman_core.domain.definition import GraphDefinition
from karman_runtime.errors import NoGraph, SeveralGraphs
from karman_runtime.graph_files import is_graph_file, read_graph_file
from karman_runtime.modules import import_target

LONGEST_STEM = 80


@dataclass(frozen=True, slots=True)
class FoundGraph:
    """A graph, and the variable that held it (the graph's own name for one that was written down)."""

    variable: str
    definition: GraphDefinition


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a target holds.

    Attributes:
        target: as the user named it, without the name of a graph.
        origin: the file that was loaded.
        graphs: in the order of the module.
        nodes: node classes of the module and of its graphs, each once.
    """

    target: str
    origin: Path
    graphs: tuple[FoundGraph, ...]
    nodes: tuple[type[Node], ...]

    @property
    def runtime(self) -> str:
        """The name under which its nodes are registered: one for each file, however the file is named.

        Workers of one runtime share a task queue, and get each other's messages; so processes that loaded different
        code must not be of one runtime.
        """
        stem = re.sub(r"[^A-Za-z0-9_]", "_", self.origin.stem)[:LONGEST_STEM]
        name = f"{stem}-{zlib.crc32(str(self.origin).encode()):08x}"
        return f"_{name}" if name[0].isdigit() else name

    def graph(self, name: str | None) -> GraphDefinition:
        """The one graph, or that of a name: of its variable, or its own.

        Raises:
            NoGraph, SeveralGraphs: with the names that there are.
        """
        if name is None and len(self.graphs) == 1:
            return self.graphs[0].definition
        if not self.graphs:
            raise NoGraph(
                f"{self.target} has no graph; make one at the top of the module: graph = Graph('name')."
            )
        names = ", ".join(found.variable for found in self.graphs)
        if name is None:
            raise SeveralGraphs(
                f"{self.target} has {len(self.graphs)} graphs; name one of them: "
                f"{self.target}:{self.graphs[0].variable} (there are {names})."
            )
        for found in self.graphs:
            if name in {found.variable, found.definition.name}:
                return found.definition
        raise NoGraph(f"{self.target} has no graph '{name}'; there are {names}.")


def split_target(target: str) -> tuple[str, str | None]:
    """`flows/digest.py:graph` or `flows.digest:graph` in its two parts; the second may be missing."""
    place, separator, name = target.rpartition(":")
    # A drive letter is no module.
    if separator and len(place) > 1 and name and not {"/", "\\"}.intersection(name):
        return place, name
    return target, None


def load(target: str, nodes_from: Sequence[str] = ()) -> Loaded:
    """Import a target, or read a graph file.

    Args:
        target: a Python file, a module's dotted name, or a YAML or JSON file; without the name of a graph.
        nodes_from: files or modules with the nodes of a graph file.

    Raises:
        LoadError, InvalidGraph: it cannot be used; the message says why and where.
    """
    modules = [import_target(each) for each in nodes_from]
    if is_graph_file(target):
        definition = read_graph_file(Path(target))
        return Loaded(
            target,
            Path(target).resolve(),
            (FoundGraph(definition.name, definition),),
            _distinct(_nodes(modules)),
        )
    module = import_target(target)
    graphs = {name: value for name, value in vars(module).items() if isinstance(value, Graph)}
    found = tuple(FoundGraph(name, graph.definition()) for name, graph in _without_aliases(graphs).items())
    of_graphs = [node for graph in graphs.values() for node in graph.nodes]
    return Loaded(
        target,
        Path(module.__file__ or target).resolve(),
        found,
        _distinct([*_nodes([module, *modules]), *of_graphs]),
    )


def _without_aliases(graphs: dict[str, Graph]) -> dict[str, Graph]:
    """Each graph under the first of its variables."""
    first = {id(graph): name for name, graph in reversed(graphs.items())}
    return {name: graph for name, graph in graphs.items() if first[id(graph)] == name}


def _nodes(modules: Iterable[ModuleType]) -> list[type[Node]]:
    values = [value for module in modules for value in vars(module).values()]
    return [node_class(value) for value in values if isinstance(value, FunctionNode) or _is_node(value)]


def _is_node(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Node) and value.__declaration__ is not None


def _distinct(nodes: Iterable[type[Node]]) -> tuple[type[Node], ...]:
    return tuple(dict.fromkeys(nodes))
