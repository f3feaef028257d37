"""Nodes and graphs as their authors define them: registered, checked, stored, changed, deleted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

from karman_core.domain.cron import trigger_name
from karman_core.domain.definition import CronTrigger, GraphDefinition, RegisteredNode
from karman_core.domain.errors import Conflict, NotFound, Problem
from karman_core.domain.registered import node_keys
from karman_core.domain.validation import validate
from karman_core.engine import keys
from karman_core.engine.graphs import GraphStore
from karman_core.engine.namespaces import Namespaces
from karman_core.engine.reconciling import wanted_schedules
from karman_core.engine.registry import NodeRegistry
from karman_core.engine.secrets import scope
from karman_core.engine.services import Services
from karman_core.engine.views import GraphView, Registration

_TRIES = 5


class Definitions:
    """The use cases about definitions. `Engine` says what each does."""

    def __init__(
        self, services: Services, registry: NodeRegistry, graphs: GraphStore, namespaces: Namespaces
    ) -> None:
        self._services = services
        self._registry = registry
        self._graphs = graphs
        self._namespaces = namespaces

    async def register(self, namespace: str, nodes: Sequence[RegisteredNode]) -> Registration:
        """Make or replace nodes."""
        await self._registry.put(namespace, nodes)
        await self._namespaces.note(namespace)
        names = {node.name for node in nodes}
        broken = {}
        for graph in await self._graphs.names(namespace):
            with suppress(NotFound):  # deleted meanwhile
                view = await self._graphs.current(namespace, graph)
                if names.isdisjoint(instance.node_name for instance in view.definition.nodes):
                    continue
                problems = await self.check(namespace, view.definition)
                if problems:
                    broken[graph] = problems
        return Registration(tuple(node.name for node in nodes), broken)

    async def check(self, namespace: str, definition: GraphDefinition) -> tuple[Problem, ...]:
        """What is wrong with a definition."""
        nodes = {}
        for owner, name in node_keys(definition):
            found = await self._registry.find(owner or namespace, name)
            if found is not None:
                nodes[owner, name] = found
        return validate(definition, nodes)

    async def put(
        self, namespace: str, definition: GraphDefinition, *, secrets: Mapping[str, str] | None = None
    ) -> GraphView:
        """Store a definition with its schedules and secrets."""
        if secrets:
            known = dict.fromkeys((*definition.secrets, *sorted(secrets)))
            definition = definition.model_copy(update={"secrets": tuple(known)})
        problems = await self.check(namespace, definition)
        if secrets:
            await self._services.backend.secrets.put(scope(namespace, definition.name), secrets)
        view = await self._graphs.put(namespace, definition, problems)
        await self._namespaces.note(namespace)
        await self._put_schedules(namespace, view)
        return view

    async def delete(self, namespace: str, name: str) -> None:
        """End a graph. Again, it ends what an attempt that was cut off has left, and raises NotFound all the same."""
        was_there = await self._graphs.bury(namespace, name)
        backend = self._services.backend
        for schedule in await backend.schedules.list(namespace, name):
            # The schedule last: it is what tells that there is something to delete.
            await backend.table.delete(keys.cron(namespace, name, schedule.trigger))
            await backend.schedules.delete(namespace, name, schedule.trigger)
        place = scope(namespace, name)
        if secrets := await backend.secrets.names(place):
            await backend.secrets.delete(place, secrets)
        if not was_there:
            raise NotFound(f"There is no graph '{name}' in namespace '{namespace}'.")

    async def set_trigger(self, namespace: str, name: str, trigger: str, *, enabled: bool) -> CronTrigger:
        """Enable or disable a trigger, in a new version of its graph; none when it is so already."""
        for _ in range(_TRIES):
            view = await self._graphs.current(namespace, name)
            definition, changed = _with_trigger(view, trigger, enabled=enabled)
            if definition == view.definition:
                await self._put_schedules(namespace, view)
                return changed
            problems = await self.check(namespace, definition)
            with suppress(Conflict):  # Somebody else has stored a version: look at that one.
                stored = await self._graphs.put(namespace, definition, problems, after=view.version)
                await self._put_schedules(namespace, stored)
                return changed
        raise Conflict(f"Graph '{name}' is being changed all the time; try again.")

    async def _put_schedules(self, namespace: str, view: GraphView) -> None:
        schedules = self._services.backend.schedules
        wanted = wanted_schedules(namespace, view)
        before = {schedule.trigger: schedule for schedule in await schedules.list(namespace, view.name)}
        for name, schedule in wanted.items():
            if before.get(name) != schedule:
                await schedules.put(schedule)
        for name in before.keys() - wanted.keys():
            await schedules.delete(namespace, view.name, name)


def _with_trigger(view: GraphView, name: str, *, enabled: bool) -> tuple[GraphDefinition, CronTrigger]:
    """The definition with a trigger enabled or not, and that trigger. Raises NotFound."""
    triggers = list(view.definition.triggers)
    for place, trigger in enumerate(triggers):
        if trigger_name(trigger, place) == name:
            value = trigger.value.model_copy(update={"enabled": enabled})
            triggers[place] = trigger.model_copy(update={"value": value})
            changed = view.definition.model_copy(update={"triggers": tuple(triggers)})
            return changed, triggers[place]
    raise NotFound(f"Graph '{view.name}' has no trigger '{name}'.")
