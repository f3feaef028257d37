"""United groups: which nodes run inside the group that a united node opens, and where a reference reads a list.

A node X that some node U unites opens a group: what follows X is inside it, until U; U and what follows it are after
the group. Groups are a bracket structure: U must close the innermost group that is open, and all edges into a node must
come from inside the same groups. So a single word is enough for each node, the innermost group it is inside of, and
one pass in topological order finds it. Forks that no node unites open groups too, but nothing waits for them and no
reference counts them; they are not in here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from karman_core.domain import topology
from karman_core.domain.definition import GraphDefinition
from karman_core.domain.errors import InvalidGraph, Problem
from karman_core.domain.topology import Topology

MAX_NESTING = 100
"""United groups inside each other. Each adds a level to the ids of branches."""


@dataclass(frozen=True, slots=True)
class Groups:
    """The united groups of a valid definition.

    Attributes:
        united_by: the uniting node of each united node (X to U).
        innermost: for each node the united node whose group it is directly inside of; None outside of all.
        enclosing: for each node the united nodes whose groups it is inside of.
    """

    united_by: Mapping[str, str]
    innermost: Mapping[str, str | None]
    enclosing: Mapping[str, frozenset[str]]


def analyse(definition: GraphDefinition) -> Groups:
    """The united groups of a definition.

    Raises:
        InvalidGraph: if the groups are no bracket structure.
    """
    shape = topology.build(definition)
    unites = {node.identifier: node.unites.identifier for node in definition.nodes if node.unites}
    groups, problems = scan(shape, unites)
    if problems:
        raise InvalidGraph("The united groups of the graph cross.", problems)
    return groups


def groups_between(groups: Groups, reader: str | None, read: str) -> frozenset[str]:
    """The united nodes whose groups `read` is inside of and `reader` is not; a reader of None is outside of all."""
    around = groups.enclosing[reader] if reader is not None else frozenset[str]()
    return groups.enclosing[read] - around


def list_group(groups: Groups, reader: str | None, read: str) -> str | None:
    """The united node over whose branches a reference from `reader` to `read` is a list; None if it is one value.

    Args:
        groups: of a valid definition.
        reader: the node whose inputs hold the reference; None for the outputs of the graph.
        read: the node that the reference names.

    Raises:
        InvalidGraph: if `read` is two or more groups deep, as seen from `reader`.
    """
    between = groups_between(groups, reader, read)
    if len(between) > 1:
        raise InvalidGraph(
            f"'{read}' is {len(between)} united groups deep, as seen from '{reader or 'outputs'}'."
        )
    return next(iter(between), None)


def scan(shape: Topology, unites: Mapping[str, str]) -> tuple[Groups, tuple[Problem, ...]]:
    """The groups as far as they make sense, and why they do not; problem paths are identifiers of nodes.

    Args:
        shape: the topology; only its sorted nodes are looked at.
        unites: the united node of each uniting node (U to X), each X once.
    """
    walk = _Scan(shape, unites)
    for number in shape.order:
        walk.visit(number)
    innermost = {identifier: walk.innermost.get(identifier) for identifier in shape.identifiers}
    groups = Groups(
        united_by={united: uniting for uniting, united in unites.items()},
        innermost=innermost,
        enclosing={identifier: walk.inside[scope] for identifier, scope in innermost.items()},
    )
    return groups, tuple(walk.problems)


def left_scope(groups: Groups, identifier: str) -> str | None:
    """The innermost group around what follows a node: its own, if it is united."""
    return identifier if identifier in groups.united_by else groups.innermost[identifier]


class _Scan:
    """One pass over the nodes in topological order."""

    def __init__(self, shape: Topology, unites: Mapping[str, str]) -> None:
        self.shape = shape
        self.unites = unites
        self.united = frozenset(unites.values())
        self.innermost: dict[str, str | None] = {}
        self.inside: dict[str | None, frozenset[str]] = {None: frozenset()}
        """The groups that each scope is inside of, itself included."""
        self.problems: list[Problem] = []

    def visit(self, number: int) -> None:
        identifier = self.shape.identifiers[number]
        before = [self.shape.identifiers[predecessor] for predecessor in self.shape.predecessors[number]]
        scopes = {predecessor: self._after(predecessor) for predecessor in before}
        united = self.unites.get(identifier)
        if united is not None:
            self._check_unite(identifier, united, scopes)
            self.innermost[identifier] = self.innermost.get(united)
        else:
            self._check_same(identifier, scopes)
            self.innermost[identifier] = next(iter(scopes.values()), None)
        if identifier in self.united:
            self._open(identifier)

    def _after(self, identifier: str) -> str | None:
        return identifier if identifier in self.united else self.innermost[identifier]

    def _open(self, identifier: str) -> None:
        around = self.inside[self.innermost[identifier]]
        if len(around) == MAX_NESTING:
            self._report(
                identifier, "groups_too_deep", f"United groups may nest {MAX_NESTING} deep, not deeper."
            )
            around = frozenset()
        self.inside[identifier] = around | {identifier}

    def _check_unite(self, identifier: str, united: str, scopes: Mapping[str, str | None]) -> None:
        wrong = next(((name, scope) for name, scope in scopes.items() if scope != united), None)
        if scopes and wrong is None:
            return
        if wrong is None:
            why = "follows no node"
        elif united in self.inside[wrong[1]]:
            why = f"follows '{wrong[0]}', which is still inside the group of '{wrong[1]}', to be united first"
        else:
            why = f"follows '{wrong[0]}', which is not inside the group of '{united}'"
        self._report(identifier, "crossing_unites", f"'{identifier}' unites '{united}', but {why}.")

    def _check_same(self, identifier: str, scopes: Mapping[str, str | None]) -> None:
        if len(set(scopes.values())) > 1:
            (one, first), *others = scopes.items()
            other, second = next((name, scope) for name, scope in others if scope != first)
            message = (
                f"'{identifier}' follows both '{one}' ({_place(first)}) and '{other}' ({_place(second)}); "
                "a node runs either inside a united group or after it."
            )
            self._report(identifier, "mixed_groups", message)

    def _report(self, identifier: str, code: str, message: str) -> None:
        self.problems.append(Problem(identifier, code, message))


def _place(scope: str | None) -> str:
    return f"inside the group of '{scope}'" if scope is not None else "outside of all united groups"
