"""The result of a run that has succeeded: the graph's declared outputs, or those of its first branch's last state.

The unite of an ANY_SUCCESS group, which runs as one of the group's branches, counts as going on with the branch that
forked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from karman_core.domain import placeholders
from karman_core.domain.branches import Branch
from karman_core.domain.decide import Fork, UniteAtOnce
from karman_core.domain.definition import JSON
from karman_core.domain.graph import Graph
from karman_core.domain.groups import list_group
from karman_core.domain.messages import GroupRef, Position, RunRef
from karman_core.domain.placeholders import Many, One, OutputReference, Reference, StoreReference, Template
from karman_core.domain.positions import fork
from karman_core.domain.records import Record
from karman_core.engine.outputs import Outputs, OutputStore
from karman_core.engine.services import Services
from karman_core.engine.store import RunStore
from karman_core.engine.walking import Visit, Walker


@dataclass(slots=True)
class _FirstBranch:
    """What the first branch of a run holds: states by identifier, and the groups that it opened.

    `path` is the branch of the last state; those before it are in branches that it begins with.
    """

    states: dict[str, Record] = field(default_factory=dict)
    groups: dict[str, GroupRef] = field(default_factory=dict)
    last: Record | None = None
    path: Branch = ()


class Results:
    """Builds results."""

    def __init__(self, services: Services, outputs: OutputStore, walker: Walker) -> None:
        self._services = services
        self._outputs = outputs
        self._walker = walker

    async def of_run(self, graph: Graph, run: RunRef) -> JSON:
        """The result of a run."""
        declared = graph.definition.outputs
        if not declared:
            return await self._last_outputs(await self._first_branch(graph, run))
        templates = {name: placeholders.parse(value) for name, value in declared.items()}
        values = await self.reached(graph, run, templates)
        return {name: values.get(name) for name in declared}

    async def reached(self, graph: Graph, run: RunRef, templates: Mapping[str, Template]) -> dict[str, JSON]:
        """The values of templates, without those that name what was not reached (a branch chose another way)."""
        branch = await self._first_branch(graph, run)
        references = dict.fromkeys(one for template in templates.values() for one in template.references)
        values = await self._values(graph, run, branch, tuple(references))
        found = {}
        for name, template in templates.items():
            with suppress(placeholders.Unresolved):
                found[name] = template.resolve(values.get)
        return found

    async def _first_branch(self, graph: Graph, run: RunRef) -> _FirstBranch:
        found = _FirstBranch()
        start: Position | None = self._walker.root(graph, run)
        while start is not None:
            found.path, begin, start = start.branch, start, None
            async for visit in self._walker.branch(graph, begin):
                if visit.record is None:
                    break
                found.states[visit.position.identifier] = found.last = visit.record
                if isinstance(visit.decision, Fork | UniteAtOnce):
                    start = await self._note_group(graph, visit, visit.record, found)
        return found

    async def _note_group(
        self, graph: Graph, visit: Visit, record: Record, found: _FirstBranch
    ) -> Position | None:
        """Note a group; the first position of its unite, if that runs as one more branch."""
        position, decision, fired, start = visit.position, visit.decision, None, None
        width = decision.width if isinstance(decision, Fork) else 0
        if isinstance(decision, Fork):
            parent = fork(graph, position, record, decision)
            start = await self._walker.member_unite(graph, parent, decision)
            fired = None if start is None else await self._walker.fired(parent, width)
        group = GroupRef(len(position.branch), position.number, width, only=fired)
        found.groups[position.identifier] = group
        return start

    async def _last_outputs(self, branch: _FirstBranch) -> JSON:
        if branch.last is None:
            return None
        outputs = [dict(output) for output in await self._outputs.of_record(branch.last)]
        return outputs[0] if len(outputs) == 1 else outputs or None

    async def _values(
        self, graph: Graph, run: RunRef, branch: _FirstBranch, references: Sequence[Reference]
    ) -> dict[Reference, One | Many]:
        store = RunStore(
            self._services, run.namespace, run.run_id, graph.definition.store_config.default_values
        )
        keys = [reference.key for reference in references if isinstance(reference, StoreReference)]
        stored = await store.read(keys)
        found: dict[Reference, One | Many] = {}
        for reference in references:
            if isinstance(reference, StoreReference):
                if reference.key in stored:
                    found[reference] = One(stored[reference.key])
                continue
            value = await self._value(graph, run, branch, reference)
            if value is not None:
                found[reference] = value
        return found

    async def _value(
        self, graph: Graph, run: RunRef, branch: _FirstBranch, reference: OutputReference
    ) -> One | Many | None:
        united = list_group(graph.groups, None, reference.identifier)
        if united is not None:
            group = branch.groups.get(united)
            if group is None:
                return None
            names = frozenset({reference.identifier})
            parent = branch.path[: group.depth]
            outputs: Outputs = (await self._outputs.of_group(graph, run, parent, group, names))[
                reference.identifier
            ]
            return Many([output[reference.field] for output in outputs if reference.field in output])
        record = branch.states.get(reference.identifier)
        if record is None:
            return None
        outputs = await self._outputs.of_record(record)
        values = [output[reference.field] for output in outputs if reference.field in output]
        if not values:
            return None
        return One(values[0]) if len(outputs) == 1 else Many(values)
