"""Inputs of a state: its templates, resolved from what came before, the store and the trigger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from karman_core.domain.definition import JSON, RegisteredNode
from karman_core.domain.graph import Graph
from karman_core.domain.messages import ALL_OUTPUTS, OutputRef, Position
from karman_core.domain.placeholders import Many, One, OutputReference, Reference
from karman_core.domain.schema_values import fit
from karman_core.domain.schemas import field_schema
from karman_core.engine import keys
from karman_core.engine.outputs import Outputs, OutputStore, Place
from karman_core.engine.payloads import unpack_object
from karman_core.engine.reusing import gone
from karman_core.engine.services import Services
from karman_core.engine.store import RunStore


class InputResolver:
    """Resolves the inputs of a position."""

    def __init__(self, services: Services, outputs: OutputStore) -> None:
        self._services = services
        self._outputs = outputs

    async def resolve(
        self,
        graph: Graph,
        position: Position,
        node: RegisteredNode,
        store: RunStore,
        local: Mapping[Place, Outputs],
    ) -> dict[str, JSON]:
        """The inputs that the node gets.

        Args:
            local: outputs of states that this worker has just run, which need no reading.

        Raises:
            Unresolved: a placeholder points to something that is not there.
        """
        templates = graph.inputs[position.identifier]
        given = await self._given(graph, position)
        reads = graph.output_reads(position.identifier)
        scalars = await self._scalars(graph, position, reads, local)
        lists = await self._lists(graph, position, reads)
        stored = await store.read(graph.store_keys[position.identifier])

        def lookup(reference: Reference) -> One | Many | None:
            if not isinstance(reference, OutputReference):
                return One(stored[reference.key]) if reference.key in stored else None
            if reference.identifier in lists:
                return Many(_field(lists[reference.identifier], reference.field))
            return _scalar(scalars.get(reference.identifier, ()), reference.field)

        resolved = {}
        for name, template in templates.items():
            if name in given:
                continue
            value = template.resolve(lookup)
            resolved[name] = (
                fit(field_schema(node.inputs_schema, (name,)) or {}, value) if template.references else value
            )
        return {**resolved, **given}

    async def _given(self, graph: Graph, position: Position) -> Mapping[str, JSON]:
        """What the trigger gave the first node, and a rerun the state that it begins with.

        The trigger's are on the first message too; whoever comes back later reads the header.
        """
        changed = _begins_rerun(position)
        if position.identifier != graph.root and not changed:
            return {}
        if position.trigger_inputs is not None and not changed:
            return position.trigger_inputs
        item = (
            await self._services.backend.table.get(keys.run(position.run.namespace, position.run.run_id))
            or {}
        )
        given = unpack_object(item.get("inputs")) or {} if position.identifier == graph.root else {}
        return {**given, **(unpack_object(item.get("overrides")) or {})} if changed else given

    async def _scalars(
        self,
        graph: Graph,
        position: Position,
        reads: Sequence[OutputReference],
        local: Mapping[Place, Outputs],
    ) -> dict[str, Outputs]:
        found: dict[str, Outputs] = {}
        missing: dict[str, OutputRef] = {}
        for name in dict.fromkeys(read.identifier for read in reads):
            ref = position.scope.outputs.get(name)
            if ref is None or (position.identifier, name) in graph.list_reads:
                continue
            if ref.values is not None:
                found[name] = (ref.values,)
                continue
            outputs = local.get((position.branch[: ref.depth], ref.number))
            if outputs is None:
                missing[name] = ref
            else:
                found[name] = _pick(outputs, ref.output)
        if missing:
            found |= await self._fetch(position, missing)
        return found

    async def _fetch(self, position: Position, missing: Mapping[str, OutputRef]) -> dict[str, Outputs]:
        places = {name: (position.branch[: ref.depth], ref.number) for name, ref in missing.items()}
        records = await self._outputs.records(position.run, places.values())
        found: dict[str, Outputs] = {}
        for name, place in places.items():
            ref, record = missing[name], records.get(place)
            if record is None and position.run.source(*place):
                raise gone(position.run, place)
            if record is None:
                continue
            every = ref.output == ALL_OUTPUTS
            first, last = (0, record.width) if every else (ref.output, ref.output + 1)
            found[name] = await self._outputs.of_record(record, first, last)
        return found

    async def _lists(
        self, graph: Graph, position: Position, reads: Sequence[OutputReference]
    ) -> dict[str, list[Mapping[str, JSON]]]:
        by_group: dict[str, set[str]] = {}
        for read in reads:
            united = graph.list_reads.get((position.identifier, read.identifier))
            if united is not None:
                by_group.setdefault(united, set()).add(read.identifier)
        found: dict[str, list[Mapping[str, JSON]]] = {}
        for united, names in by_group.items():
            group = position.scope.groups.get(united)
            if group is None:
                found |= {name: [] for name in names}
                continue
            parent = position.branch[: group.depth]
            found |= await self._outputs.of_group(graph, position.run, parent, group, frozenset(names))
        return found


def _begins_rerun(position: Position) -> bool:
    """Whether it is the state that a rerun begins with, which is not the run's first."""
    reused = position.run.reused
    return reused is not None and not position.branch and position.number == reused.before > 0


def _pick(outputs: Outputs, number: int) -> Outputs:
    return outputs if number == ALL_OUTPUTS else outputs[number : number + 1]


def _field(outputs: Outputs, field: str) -> list[JSON]:
    return [output[field] for output in outputs if field in output]


def _scalar(outputs: Outputs, field: str) -> One | Many | None:
    """One value; after its group was united, a state that gave several outputs reads as the list of them."""
    values = _field(outputs, field)
    if not values:
        return None
    return One(values[0]) if len(outputs) == 1 else Many(values)
