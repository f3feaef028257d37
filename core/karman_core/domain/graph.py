"""A valid definition, compiled into what deciding needs: who follows, who unites, who reads what later.

Compiling costs time linear in the graph (plus bit sets over it); the engine caches the result by graph version, which
never changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from karman_core.domain import placeholders, topology
from karman_core.domain.concurrency import Limit, Slot, parse_limit
from karman_core.domain.definition import JSON, GraphDefinition, NodeInstance, RetryPolicy, UniteStrategy
from karman_core.domain.groups import Groups, analyse, list_group
from karman_core.domain.placeholders import OutputReference, StoreReference, Template
from karman_core.domain.rate_limits import StartLimit, parse_rate_limit
from karman_core.domain.tags import DeclaredTags, parse_tags


@dataclass(frozen=True, slots=True)
class Needs:
    """What a state and those after it may read: outputs by identifier, lists by the united node of their group."""

    outputs: frozenset[str]
    groups: frozenset[str]


@dataclass(frozen=True, slots=True)
class Graph:
    """A compiled graph version.

    Attributes:
        root: identifier of the first state.
        instances: node instances by identifier.
        inputs: parsed inputs by identifier and field.
        groups: the united groups.
        needs: for each identifier, what it and the states after it may still read.
        fields: for each identifier, the output fields that anyone reads.
        before: for each identifier the set (bits by `numbers`) of the identifiers that come before it.
        list_reads: for each reader and what it reads inside a united group, the united node of that group.
        store_keys: the store keys that each identifier's inputs read.
        tags: that runs get by themselves.
        concurrency: how many runs go on at a time, if that is limited.
        rate_limit: how many runs begin in a time, if that is limited.
    """

    definition: GraphDefinition
    root: str
    instances: Mapping[str, NodeInstance]
    inputs: Mapping[str, Mapping[str, Template]]
    groups: Groups
    needs: Mapping[str, Needs]
    fields: Mapping[str, frozenset[str]]
    list_reads: Mapping[tuple[str, str], str]
    store_keys: Mapping[str, tuple[str, ...]]
    numbers: Mapping[str, int]
    before: tuple[int, ...]
    loops: bool
    tags: DeclaredTags
    concurrency: Limit | None = None
    rate_limit: StartLimit | None = None

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

    def slot(self, given: Mapping[str, JSON]) -> Slot | None:
        """The slot that a run needs which begins with these inputs; None where their number is not limited."""
        limit = self.concurrency
        return None if limit is None else limit.slot(self.instances[self.root], given)

    def retry_policy(self, identifier: str) -> RetryPolicy:
        """The node instance's own policy, or the graph's."""
        return self.instances[identifier].retry_policy or self.definition.retry_policy

    def leads_to(self, identifier: str, wanted: frozenset[str]) -> bool:
        """Whether a branch that goes on with `identifier` may come to a wanted node; with loops, it always may."""
        if self.loops or identifier in wanted:
            return True
        bit = 1 << self.numbers[identifier]
        return any(self.before[self.numbers[name]] & bit for name in wanted)

    def output_reads(self, identifier: str) -> tuple[OutputReference, ...]:
        """What the inputs of a node refer to in the outputs of others."""
        return _output_reads(self.inputs[identifier].values())


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
    list_reads = _list_reads(groups, reads)
    return Graph(
        definition=definition,
        root=shape.identifiers[shape.roots[0]],
        instances=instances,
        inputs=inputs,
        groups=groups,
        needs=_needs(shape, definition, reads, list_reads),
        fields=_fields(reads),
        list_reads=list_reads,
        store_keys={name: _store_keys(templates.values()) for name, templates in inputs.items()},
        numbers=shape.numbers,
        before=topology.ancestors(shape),
        loops=any(instance.loops for instance in definition.nodes),
        tags=parse_tags(definition.tags),
        concurrency=parse_limit(definition.concurrency),
        rate_limit=parse_rate_limit(definition.rate_limit),
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


def _list_reads(
    groups: Groups, reads: Mapping[str, tuple[OutputReference, ...]]
) -> dict[tuple[str, str], str]:
    found = {}
    for reader, references in reads.items():
        for reference in references:
            united = list_group(groups, reader, reference.identifier)
            if united is not None:
                found[reader, reference.identifier] = united
    return found


def _needs(
    shape: topology.Topology,
    definition: GraphDefinition,
    reads: Mapping[str, tuple[OutputReference, ...]],
    list_reads: Mapping[tuple[str, str], str],
) -> dict[str, Needs]:
    outputs, groups = [0] * len(shape.identifiers), [0] * len(shape.identifiers)
    for reader, references in reads.items():
        for reference in references:
            united = list_reads.get((reader, reference.identifier))
            sets = outputs if united is None else groups
            sets[shape.numbers[reader]] |= 1 << shape.numbers[united or reference.identifier]
    backs = [
        (shape.numbers[instance.identifier], shape.numbers[loop.to])
        for instance in definition.nodes
        for loop in instance.loops
    ]
    unites = {
        shape.numbers[instance.identifier]: shape.numbers[instance.unites.identifier]
        for instance in definition.nodes
        if instance.unites
    }
    _spread(shape, backs, unites, outputs)
    _spread(shape, backs, unites, groups)
    # Only what came before can be in a scope; without this a chain of n nodes would keep n sets of n names.
    before = topology.ancestors(shape)
    return {
        name: Needs(
            frozenset(topology.members(shape, outputs[number] & before[number])),
            frozenset(topology.members(shape, groups[number] & before[number])),
        )
        for name, number in shape.numbers.items()
    }


def _spread(
    shape: topology.Topology, backs: list[tuple[int, int]], unites: Mapping[int, int], sets: list[int]
) -> None:
    """Backwards over the nodes: what a successor needs is needed before it; loop edges until nothing changes.

    A unite begins with what its united node could read, so its needs skip the nodes between: branches do not carry
    what only their unite reads.
    """
    changed = True
    while changed:
        for number in reversed(shape.order):
            for successor in shape.successors[number]:
                if successor not in unites:
                    sets[number] |= sets[successor]
            if number in unites:
                sets[unites[number]] |= sets[number]
        changed = False
        for source, target in backs:
            if sets[target] & ~sets[source]:
                sets[source] |= sets[target]
                changed = True
