"""What a run in a test is made of: its nodes, their stand-ins and their secrets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from karman._internal.declaration import Declaration
from karman._internal.execution import NodeExecutor
from karman._internal.graph import Graph
from karman._internal.node import declaration_of
from karman._internal.testing.executor import ScriptedExecutor
from karman._internal.testing.result import known_identifiers
from karman._internal.testing.scripts import Fault, Stub
from karman.errors import InvalidInput
from karman_core.domain.definition import GraphDefinition, NodeInstance, RegisteredNode

NAMESPACE = "test"
RUNTIME = "default"
_STAND_IN = "secret-of-a-stub"


@dataclass(frozen=True)
class Plan:
    """A graph with what a test changes about it.

    Attributes:
        graph: as it was built.
        definition: built from it.
        faults, stubs: of the test.
    """

    graph: Graph
    definition: GraphDefinition
    faults: tuple[Fault, ...]
    stubs: tuple[Stub, ...]

    @property
    def identifiers(self) -> tuple[str, ...]:
        """Of all node instances."""
        return tuple(instance.identifier for instance in self.definition.nodes)

    def check(self) -> None:
        """Raises InvalidInput if something names no node of the graph, or a node cannot be run here."""
        named = [*(each.identifier for each in self.faults), *(each.identifier for each in self.stubs)]
        known_identifiers(named, self.identifiers)
        stubbed = {each.identifier for each in self.stubs}
        for instance in self.definition.nodes:
            if self._declaration(instance) is None and instance.identifier not in stubbed:
                raise InvalidInput(
                    f"'{instance.identifier}' runs the node '{instance.node_name}', whose class is not known "
                    f"here; place the class in the graph, or give stubs=[stub('{instance.identifier}', outputs)]."
                )

    def executor(self, nodes: NodeExecutor) -> ScriptedExecutor:
        """What runs it."""
        declarations = {
            instance.identifier: declaration
            for instance in self.definition.nodes
            if (declaration := self._declaration(instance)) is not None
        }
        return ScriptedExecutor(nodes, declarations, faults=self.faults, stubs=self.stubs)

    def registered(self) -> Mapping[str, list[RegisteredNode]]:
        """The nodes to register, by namespace."""
        found: dict[str, dict[str, RegisteredNode]] = {}
        for instance in self.definition.nodes:
            declaration = self._declaration(instance)
            found.setdefault(instance.namespace or NAMESPACE, {})[instance.node_name] = (
                RegisteredNode(name=instance.node_name, runtime=RUNTIME)
                if declaration is None
                else declaration.registered(RUNTIME)
            )
        return {namespace: list(nodes.values()) for namespace, nodes in found.items()}

    def secrets(self, given: Mapping[str, str]) -> Mapping[str, str]:
        """The values to store: those given, and stand-ins for what only stubbed nodes would read.

        Raises:
            InvalidInput: if a node that is run reads one that is not given.
        """
        stubbed = {each.identifier for each in self.stubs}
        missing: dict[str, str] = {}
        for instance in self.definition.nodes:
            declaration = self._declaration(instance)
            for name in () if declaration is None else declaration.secret_names:
                if name not in given and instance.identifier not in stubbed:
                    raise InvalidInput(
                        f"'{instance.identifier}' reads the secret '{name}'; give secrets={{'{name}': ...}}."
                    )
                missing[name] = _STAND_IN
        return {**missing, **given}

    def _declaration(self, instance: NodeInstance) -> Declaration | None:
        cls = self.graph[instance.identifier].__placement__.cls
        return None if cls is None else declaration_of(cls)
