"""A valid definition, compiled into what deciding needs: who follows, who unites, who reads what later.

Compiling costs time linear in the graph (plus bit sets over it); the engine caches the result by graph version, which
never changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from karman_core.domain import placeholders, topology
from karman_core.domain.definition import GraphDefinition, NodeInstance, RetryPolicy, UniteStrategy
from karman_core.domain.groups import Groups, analyse, list_group
from karman_core.domain.placeholders import OutputReference, StoreReference, Template


@dataclass(frozen=True, slots=True)
class Graph:
    """A compiled graph version.

    Attributes:
        root: identifier of the first state.
        instances: node instances by identifier.
        inputs: parsed inputs by identifier and field.
        groups: the united groups.
        live: for each identifier, which identifiers' outputs states that come after it may still read.
        fields: for each identifier, the output fields that anyone reads.
        list_reads: for each reader and what it reads inside a united group, the united node of that group.
        store_keys: the store keys that each identifier's inputs read.
    """

    definition: GraphDefinition
    root: str
    instances: Mapping[str, NodeInstance]
    inputs: Mapping[str, Mapping[str, Template]]
    groups: Groups
    live: Mapping[str, frozenset[str]]
    fields: Mapping[str, frozenset[str]]
    list_reads: Mapping[tuple[str, str], str]
    store_keys: Mapping[str, tuple[str, ...]]

    def unite_of(self, identifier: str) -> str | None:
        """Who unites the groups that this node opens."""
        return self.groups.united_by.get(identifier)

    def strategy(self, unite: str) -> UniteStrategy:
        """The strategy of a uniting node."""
        unites = self.instances[unite].unites
        return unites.strategy if unites else UniteStrategy.ALL_SUCCESS

    def starts(self, identifier: str, chosen: str | None) -> tuple[str, ...]:
        """The next nodes that are followed at once: all or the chosen one, without those that unite something."""
        following = self.instances[identifier].next_nodes if chosen is None else (chosen,)
        return tuple(name for name in following if self.instances[name].unites is None)

    def loop_rounds(self, identifier: str, chosen: str) -> int | None:
        """How often the loop edge may be taken; None if there is no such edge."""
        edges = self.instances[identifier].loops
        return next((edge.max_rounds for edge in edges if edge.to == chosen), None)

    def may_choose(self, identifier: str, chosen: str) -> bool:
        """Whether a node may name this as the one that follows."""
        following = self.instances[identifier].next_nodes
        return chosen in following or self.loop_rounds(identifier, chosen) is not None

    def retry_policy(self, identifier: str) -> RetryPolicy:
        """The node instance's own policy, or the graph's."""
        return self.instances[identifier].retry_policy or self.definition.retry_policy

    def output_reads(self, identifier: str) -> tuple[OutputReference, ...]:
        """What the inputs of a node refer to in the outputs of others."""
        templates = self.inputs[identifier].values()
        found = (reference for template in templates for reference in template.references)
        return tuple(reference for reference in found if isinstance(reference, OutputReference))


def compile_graph(definition: GraphDefinition) -> Graph:
    """Compile a definition that validation has found valid.

    Raises:
        InvalidGraph: if its groups or placeholders make no sense (validation reports the same, and more).
    """
    shape = topology.build(definition)
    instances = {instance.identifier: instance for instance in definition.nodes}
    inputs = {
        name: {field: placeholders.parse(value) for field, value in instance.inputs.items()}
        for name, instance in instances.items()
    }
    groups = analyse(definition)
    reads = {name: _output_reads(templates.values()) for name, templates in inputs.items()}
    return Graph(
        definition=definition,
        root=shape.identifiers[shape.roots[0]],
        instances=instances,
        inputs=inputs,
        groups=groups,
        live=_live(shape, definition, reads),
        fields=_fields(reads),
        list_reads=_list_reads(groups, reads),
        store_keys={name: _store_keys(templates.values()) for name, templates in inputs.items()},
    )


def _output_reads(templates: Iterable[Template]) -> tuple[OutputReference, ...]:
    found = (reference for template in templates for reference in template.references)
    return tuple(reference for reference in found if isinstance(reference, OutputReference))


def _store_keys(templates: Iterable[Template]) -> tuple[str, ...]:
    found = (reference for template in templates for reference in template.references)
    return tuple(dict.fromkeys(reference.key for reference in found if isinstance(reference, StoreReference)))


def _fields(reads: Mapping[str, tuple[OutputReference, ...]]) -> dict[str, frozenset[str]]:
    fields: dict[str, set[str]] = {name: set() for name in reads}
    for references in reads.values():
        for reference in references:
            fields[reference.identifier].add(reference.field)
    return {name: frozenset(found) for name, found in fields.items()}


def _list_reads(groups: Groups, reads: Mapping[str, tuple[OutputReference, ...]]) -> dict[tuple[str, str], str]:
    found = {}
    for reader, references in reads.items():
        for reference in references:
            united = list_group(groups, reader, reference.identifier)
            if united is not None:
                found[reader, reference.identifier] = united
    return found


def _live(
    shape: topology.Topology, definition: GraphDefinition, reads: Mapping[str, tuple[OutputReference, ...]]
) -> dict[str, frozenset[str]]:
    """Backwards over the nodes: what a successor reads or leaves live is live here; loop edges until nothing changes."""
    own = [0] * len(shape.identifiers)
    for reader, references in reads.items():
        for reference in references:
            own[shape.numbers[reader]] |= 1 << shape.numbers[reference.identifier]
    backs = [
        (shape.numbers[instance.identifier], shape.numbers[loop.to])
        for instance in definition.nodes
        for loop in instance.loops
    ]
    live = [0] * len(shape.identifiers)
    changed = True
    while changed:
        changed = False
        for number in reversed(shape.order):
            after = live[number]
            for successor in shape.successors[number]:
                after |= own[successor] | live[successor]
            live[number] = after
        for source, target in backs:
            back = own[target] | live[target]
            if back & ~live[source]:
                live[source] |= back
                changed = True
    return {name: frozenset(topology.members(shape, live[number])) for name, number in shape.numbers.items()}
