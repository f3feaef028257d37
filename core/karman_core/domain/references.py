"""Validation of references: whether what a placeholder names exists and has run by the time it is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from karman_core.domain import schemas
from karman_core.domain.definition import NodeInstance
from karman_core.domain.groups import groups_between
from karman_core.domain.paths import Path
from karman_core.domain.placeholders import OutputReference, Reference, StoreReference
from karman_core.domain.registered import NodeKey, RegisteredNodes, node_key
from karman_core.domain.schemas import ANY, Schema
from karman_core.domain.wiring import Wiring, quote


class Source(NamedTuple):
    """An output value of a registered node, or the list of such values over a group's branches."""

    key: NodeKey
    path: Path
    is_list: bool


@dataclass(frozen=True, slots=True)
class References:
    """References in one definition, looked up against its wiring and the registered nodes, if these are known."""

    wiring: Wiring
    nodes: RegisteredNodes | None
    store_keys: frozenset[str]
    instances: Mapping[str, NodeInstance]
    _outputs: dict[tuple[NodeKey, Path], Schema | None] = field(default_factory=dict)

    @classmethod
    def of(cls, wiring: Wiring, nodes: RegisteredNodes | None) -> References:
        """The references in an examined definition."""
        store = wiring.definition.store_config
        instances = {instance.identifier: instance for instance in reversed(wiring.definition.nodes)}
        return cls(wiring, nodes, frozenset((*store.required_keys, *store.default_values)), instances)

    def fault(self, reader: str | None, reference: Reference) -> tuple[str, str] | None:
        """Code and message of what is wrong with a reference.

        Args:
            reader: the node whose inputs hold it; None for the outputs of the graph.
            reference: what it names.
        """
        if isinstance(reference, StoreReference):
            return self._store_fault(reference)
        if reference.identifier not in self.instances:
            return (
                "unknown_reference",
                f"{reference}: there is no node '{reference.identifier}' in this graph.",
            )
        return (
            self._order_fault(reader, reference)
            or self._group_fault(reader, reference)
            or self._output_fault(reference)
        )

    def source(self, reader: str | None, reference: Reference) -> Source | None:
        """What a sound reference gives, for `schema`; None if nothing is known of it."""
        if isinstance(reference, StoreReference):
            return None
        key = node_key(self.instances[reference.identifier])
        return Source(key, reference.path, is_list=bool(self._between(reader, reference)))

    def schema(self, source: Source) -> Schema:
        """The schema of what a source gives; `ANY` if its node is not known."""
        given = self._output(source.key, source.path) or ANY
        return schemas.array_of(given) if source.is_list else given

    def _store_fault(self, reference: StoreReference) -> tuple[str, str] | None:
        if reference.key in self.store_keys:
            return None
        message = (
            f"{reference}: the store key '{reference.key}' is neither required nor has it a default value."
        )
        return "unknown_store_key", message

    def _order_fault(self, reader: str | None, reference: OutputReference) -> tuple[str, str] | None:
        read = reference.identifier
        if (
            reader is None
            or not {reader, read} <= self.wiring.sorted
            or self.wiring.comes_before(read, reader)
        ):
            return None
        if reader == read:
            message = "a node cannot read its own outputs"
        elif self.wiring.comes_before(reader, read):
            message = f"'{read}' comes after '{reader}'"
        else:
            message = f"no path leads from '{read}' to '{reader}'"
        hint = "; what a later round of a loop needs goes through the store" if self._loops() else ""
        return "not_an_ancestor", f"{reference}: {message}{hint}."

    def _group_fault(self, reader: str | None, reference: OutputReference) -> tuple[str, str] | None:
        between = self._between(reader, reference)
        if len(between) <= 1:
            return None
        message = (
            f"{reference}: '{reference.identifier}' is inside {len(between)} united groups ({quote(sorted(between))}) "
            "that are over here; read it in the node that unites the inner one, and that node's outputs here."
        )
        return "nested_groups", message

    def _output_fault(self, reference: OutputReference) -> tuple[str, str] | None:
        key = node_key(self.instances[reference.identifier])
        if self.nodes is None or self._output(key, reference.path) is not None:
            return None
        known = schemas.fields(self.nodes[key].outputs_schema).schemas
        if reference.field in known:
            return (
                "unknown_output",
                f"{reference}: no value of '{reference.field}' has anything at this path.",
            )
        listed = f"has the outputs {quote(known)}" if known else "has no outputs"
        return "unknown_output", f"{reference}: '{key[1]}' {listed}."

    def _between(self, reader: str | None, reference: OutputReference) -> frozenset[str]:
        return groups_between(self.wiring.groups, reader, reference.identifier)

    def _output(self, key: NodeKey, path: Path) -> Schema | None:
        """The schema of one output value; None if there can be none, `ANY` if the node is not known."""
        node = self.nodes.get(key) if self.nodes is not None else None
        if node is None:
            return ANY
        if (key, path) not in self._outputs:
            self._outputs[key, path] = schemas.field_schema(node.outputs_schema, path)
        return self._outputs[key, path]

    def _loops(self) -> bool:
        return any(instance.loops for instance in self.instances.values())
