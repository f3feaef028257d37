"""Validation of how the nodes of a definition are wired: identifiers, edges, roots, cycles, unites and loops."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from karman_core.domain import groups, topology
from karman_core.domain.definition import RESERVED_IDENTIFIER, GraphDefinition
from karman_core.domain.errors import Problem
from karman_core.domain.groups import Groups
from karman_core.domain.topology import Topology

_NAMES_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Wiring:
    """A definition's wiring as far as it makes sense.

    Attributes:
        definition: all of it.
        shape: nodes and next edges.
        ancestors: bit sets by node, as `topology.ancestors` gives them.
        sorted: the nodes on no cycle and behind none, of which order and groups are known.
        positions: of each identifier in the definition's nodes.
        unites: the united node of each uniting node, where that makes sense by itself.
        groups: of `unites`.
    """

    definition: GraphDefinition
    shape: Topology
    ancestors: tuple[int, ...]
    sorted: frozenset[str]
    positions: Mapping[str, int]
    unites: Mapping[str, str]
    groups: Groups

    def comes_before(self, one: str, other: str) -> bool:
        """Whether a node is an ancestor of another; both are identifiers in the definition."""
        return bool(self.ancestors[self.shape.numbers[other]] >> self.shape.numbers[one] & 1)


def examine(definition: GraphDefinition) -> tuple[Wiring, tuple[Problem, ...]]:
    """The wiring of a definition and its problems; linear in nodes and edges, but for the bit sets of ancestors."""
    shape = topology.build(definition)
    positions = {node.identifier: i for i, node in reversed(list(enumerate(definition.nodes)))}
    ordered = frozenset(shape.identifiers[number] for number in shape.order)
    bare = Wiring(definition, shape, topology.ancestors(shape), ordered, positions, {}, Groups({}, {}, {}))
    unites, faults = _unites(bare)
    found, crossings = groups.scan(shape, unites)
    wiring = replace(bare, unites=unites, groups=found)
    problems = (
        *_identifiers(definition),
        *_next_nodes(definition, shape),
        *_roots(definition, shape),
        *_cycles(wiring),
        *faults,
        *(replace(problem, path=f"nodes[{positions[problem.path]}]") for problem in crossings),
        *_loops(wiring),
    )
    return wiring, problems


def quote(identifiers: Iterable[str]) -> str:
    """Identifiers for a message, the first few of them."""
    names = [f"'{identifier}'" for identifier in identifiers]
    more = len(names) - _NAMES_SHOWN
    return ", ".join(names[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")


# --- identifiers and edges --------------------------------------------------------------------------------------------


def _identifiers(definition: GraphDefinition) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for i, node in enumerate(definition.nodes):
        path, name = f"nodes[{i}].identifier", node.identifier
        if name == RESERVED_IDENTIFIER:
            message = f"'{RESERVED_IDENTIFIER}' is reserved for the run's store; choose another identifier."
            yield Problem(path, "reserved_identifier", message)
        if first.setdefault(name, i) != i:
            yield Problem(
                path, "duplicate_identifier", f"'{name}' is the identifier of nodes[{first[name]}] already."
            )


def _next_nodes(definition: GraphDefinition, shape: Topology) -> Iterator[Problem]:
    for i, node in enumerate(definition.nodes):
        named: set[str] = set()
        for j, name in enumerate(node.next_nodes):
            path = f"nodes[{i}].next_nodes[{j}]"
            if name in named:
                yield Problem(
                    path, "duplicate_next_node", f"'{name}' is named twice; outputs fan out, edges do not."
                )
            elif name == node.identifier:
                yield Problem(
                    path, "self_edge", f"'{name}' follows itself; to repeat a node, give it a loop."
                )
            elif name not in shape.numbers:
                yield Problem(path, "unknown_next_node", f"There is no node '{name}' in this graph.")
            named.add(name)


def _roots(definition: GraphDefinition, shape: Topology) -> Iterator[Problem]:
    uniting = {node.identifier for node in definition.nodes if node.unites}
    starts = [number for number in shape.roots if shape.identifiers[number] not in uniting]
    roots = [shape.identifiers[number] for number in starts]
    if not definition.nodes:
        yield Problem("nodes", "no_nodes", "The graph has no nodes; it needs at least one.")
    elif not roots:
        yield Problem("nodes", "no_root", "Every node follows another one; one must be the first.")
    elif len(roots) > 1:
        message = (
            f"{quote(roots)} follow no other node; a graph has one root, from which all others are reached."
        )
        yield Problem("nodes", "several_roots", message)
    reached = topology.reachable(shape, tuple(starts))
    for i, node in enumerate(definition.nodes):
        if shape.numbers[node.identifier] not in reached:
            yield Problem(
                f"nodes[{i}]", "unreachable_node", f"No path leads from the root to '{node.identifier}'."
            )


def _cycles(wiring: Wiring) -> Iterator[Problem]:
    for cycle in topology.cycles(wiring.shape):
        names = [wiring.shape.identifiers[number] for number in cycle]
        shown = [*names[:_NAMES_SHOWN], "..."] if len(names) > _NAMES_SHOWN else names
        message = f"{' -> '.join([*shown, names[0]])} is a cycle; an edge that leads back must be declared in `loops`."
        yield Problem(f"nodes[{wiring.positions[names[0]]}].next_nodes", "cycle", message)


# --- unites -----------------------------------------------------------------------------------------------------------


def _unites(wiring: Wiring) -> tuple[dict[str, str], list[Problem]]:
    """Who unites whom, where that makes sense by itself, and the problems of the rest."""
    unites: dict[str, str] = {}
    united_by: dict[str, str] = {}
    problems: list[Problem] = []
    for i, node in enumerate(wiring.definition.nodes):
        if node.unites is None:
            continue
        united = node.unites.identifier
        fault = _unite_fault(wiring, node.identifier, united, united_by.get(united))
        if fault is None:
            unites[node.identifier] = united
            united_by[united] = node.identifier
        else:
            problems.append(Problem(f"nodes[{i}].unites.identifier", *fault))
    return unites, problems


def _unite_fault(wiring: Wiring, uniting: str, united: str, other: str | None) -> tuple[str, str] | None:
    if united not in wiring.positions:
        return "unknown_united_node", f"There is no node '{united}' in this graph."
    if united == uniting:
        return "unites_itself", f"'{united}' unites itself; name the node that opens the group."
    if other is not None:
        return "united_twice", f"The group of '{united}' is united by '{other}' already."
    if uniting in wiring.sorted and not wiring.comes_before(united, uniting):
        message = f"'{united}' does not come before '{uniting}'; a node unites a group that one of its ancestors opens."
        return "unite_not_ancestor", message
    return None


# --- loops ------------------------------------------------------------------------------------------------------------


def _loops(wiring: Wiring) -> Iterator[Problem]:
    for i, node in enumerate(wiring.definition.nodes):
        named: set[str] = set()
        for j, loop in enumerate(node.loops):
            fault = _loop_fault(wiring, node.identifier, loop.to, named)
            if fault is not None:
                yield Problem(f"nodes[{i}].loops[{j}].to", *fault)
            named.add(loop.to)


def _loop_fault(wiring: Wiring, source: str, target: str, named: set[str]) -> tuple[str, str] | None:
    if target not in wiring.positions:
        return "unknown_loop_target", f"There is no node '{target}' in this graph."
    if target in named:
        return "duplicate_loop", f"'{source}' has a loop to '{target}' already."
    if not {source, target} <= wiring.sorted:
        return None
    if source != target and not wiring.comes_before(target, source):
        return "loop_target_not_ancestor", f"'{target}' does not come before '{source}'; a loop leads back."
    if target in wiring.unites or groups.left_scope(wiring.groups, source) != wiring.groups.innermost[target]:
        message = f"The loop from '{source}' to '{target}' leads into or out of a united group."
        return "loop_crosses_unite", message
    return None
