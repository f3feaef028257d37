"""Schedules as the graphs want them: what is missing, orphaned or different, and mending it.

A graph's schedules are written after its version, each by itself: a process that dies in between, a restored table, or
somebody in the console leaves them apart. Everything is compared with the current versions, which are what counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

from karman_core.domain.cron import trigger_name
from karman_core.domain.errors import NotFound
from karman_core.engine import keys
from karman_core.engine.graphs import GraphStore
from karman_core.engine.services import Services
from karman_core.engine.views import GraphView
from karman_core.ports.timers import Schedule


class Drift(StrEnum):
    """How a schedule is not as its graph wants it."""

    MISSING = "missing"
    """The graph has the trigger; it never fires."""

    ORPHANED = "orphaned"
    """No graph has the trigger; it fires in vain, or what nobody wants any more."""

    DIFFERENT = "different"
    """It fires at other times, or is enabled where it should not be, or the reverse."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One schedule that is not as it should be.

    Attributes:
        wanted: by the graph; None for one that is orphaned.
        found: in the backend; None for one that is missing.
    """

    graph: str
    trigger: str
    drift: Drift
    wanted: Schedule | None
    found: Schedule | None


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What was compared.

    Attributes:
        differences: by graph and trigger.
        mended: they are no more.
    """

    differences: tuple[Difference, ...]
    mended: bool


def wanted_schedules(namespace: str, view: GraphView) -> dict[str, Schedule]:
    """What a version of a graph wants, by trigger; nothing, if it cannot be triggered."""
    wanted = {}
    if view.valid:
        for place, trigger in enumerate(view.definition.triggers):
            name, value = trigger_name(trigger, place), trigger.value
            wanted[name] = Schedule(
                namespace, view.name, name, value.expression, value.timezone, enabled=value.enabled
            )
    return wanted


class Reconciler:
    """Compares and mends."""

    def __init__(self, services: Services, graphs: GraphStore) -> None:
        self._services = services
        self._graphs = graphs

    async def differences(self, namespace: str) -> list[Difference]:
        """What is not as it should be, by graph and trigger."""
        # Schedules first: a graph that is stored meanwhile then has one too few here, which mending finds out.
        found: dict[tuple[str, str], Schedule] = {
            (each.graph, each.trigger): each
            for each in await self._services.backend.schedules.list(namespace)
        }
        wanted: dict[tuple[str, str], Schedule] = {}
        for name in await self._graphs.names(namespace):
            wanted |= {
                (name, trigger): each for trigger, each in (await self._wanted(namespace, name)).items()
            }
        return [
            _difference(place, wanted.get(place), found.get(place))
            for place in sorted(wanted.keys() | found.keys())
            if wanted.get(place) != found.get(place)
        ]

    async def reconcile(self, namespace: str, *, rewrite: bool = False) -> list[Difference]:
        """Mend what is not as it should be, and tell what it was. Again is no harm.

        Args:
            rewrite: write all other schedules again too: their parts, target and role are compared with nothing.
        """
        told = await self.differences(namespace)
        graphs = {each.graph for each in told}
        if rewrite:
            graphs.update(await self._graphs.names(namespace))
        for graph in sorted(graphs):
            await self._mend(namespace, graph, rewrite=rewrite)
        return told

    async def _mend(self, namespace: str, graph: str, *, rewrite: bool) -> None:
        """By the version that is current now: it may be another one than was compared."""
        backend = self._services.backend
        wanted = await self._wanted(namespace, graph)
        found = {each.trigger: each for each in await backend.schedules.list(namespace, graph)}
        for trigger, schedule in wanted.items():
            if rewrite or found.get(trigger) != schedule:
                await backend.schedules.put(schedule)
        for trigger in sorted(found.keys() - wanted.keys()):
            # The schedule last: it is what tells that there is something to delete.
            await backend.table.delete(keys.cron(namespace, graph, trigger))
            await backend.schedules.delete(namespace, graph, trigger)

    async def _wanted(self, namespace: str, graph: str) -> Mapping[str, Schedule]:
        with suppress(NotFound):  # deleted
            return wanted_schedules(namespace, await self._graphs.current(namespace, graph))
        return {}


def _difference(place: tuple[str, str], wanted: Schedule | None, found: Schedule | None) -> Difference:
    unlike = Drift.DIFFERENT if wanted is not None else Drift.ORPHANED
    return Difference(*place, Drift.MISSING if found is None else unlike, wanted, found)
