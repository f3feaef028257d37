"""Runs that live longer than the retention: what they still need must not expire under them.

Every item of a run is written with the same retention, counted from its writing, so that a run that has ended is gone
after it. A run that waits for months is prolonged by the sweeper, from its table alone, once each half of the
retention: one write an item, which only such runs pay for.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

from karman_core.domain.decide import Fork
from karman_core.domain.errors import ConditionFailed, NotFound
from karman_core.domain.graph import Graph
from karman_core.domain.joins import climb
from karman_core.domain.messages import RunRef
from karman_core.engine import keys
from karman_core.engine.graphs import GraphStore
from karman_core.engine.paging import every
from karman_core.engine.reusing import key_of
from karman_core.engine.run_items import Header
from karman_core.engine.services import Services
from karman_core.engine.walking import Visit, Walker
from karman_core.ports.table import Key, Present, Query, Set


class Prolonger:
    """Sets the expiry of a run's items anew."""

    def __init__(self, services: Services, graphs: GraphStore, walker: Walker) -> None:
        self._services = services
        self._graphs = graphs
        self._walker = walker

    async def prolong(self, header: Header) -> bool:
        """Prolong an unfinished run if half of the retention has passed. Returns whether it was due."""
        half_ms = self._services.settings.retention_seconds * 500
        now, run = self._services.clock.now_ms(), header.run
        # What is reused of another run may be about to expire: it is prolonged soon after the beginning.
        begun = header.created_ms if run.reused is None else 0
        if now - max(begun, header.prolonged_ms) < half_ms:
            return False
        async for key in self._keys(header):
            with suppress(ConditionFailed):
                await self._services.backend.table.update(key, [Set("ttl", self._services.ttl())], Present())
        actions = [Set("prolonged", now)]
        await self._services.backend.table.update(keys.run(run.namespace, run.run_id), actions, Present())
        return True

    async def _keys(self, header: Header) -> AsyncIterator[Key]:
        run = header.run
        graph = await self._graphs.compiled(run.namespace, run.graph, run.version)
        yield keys.control(run.namespace, run.run_id)
        for name, value in (header.tags or {}).items():
            yield Key(keys.tagged(run.namespace, name, value), keys.order(header.created_ms, run.run_id))
        partitions = [keys.store(run.namespace, run.run_id), keys.park(run.namespace, run.run_id)]
        partitions += [
            keys.signals_shard(run.namespace, run.run_id, shard) for shard in range(keys.SIGNAL_SHARDS)
        ]
        for pk in partitions:
            async for key in self._partition(pk):
                yield key
        root = self._walker.root(graph, run)
        async for visit in self._walker.walk(graph, root, run.reused.last if run.reused else None):
            for key in self._of_visit(run, visit):
                yield key
        with suppress(NotFound):  # Some of it is gone already: whoever needs it will be told.
            async for key in self._reused(graph, run):
                yield key

    async def _reused(self, graph: Graph, run: RunRef) -> AsyncIterator[Key]:
        if run.reused is None:
            return
        for source in run.reused.sources:
            yield Key(keys.reusers(run.namespace, source.run_id), run.run_id)
        async for visit in self._walker.walk(graph, self._walker.root(graph, run)):
            if run.source(*visit.place) is None:
                return
            for key in self._of_visit(run, visit):
                yield key

    def _of_visit(self, run: RunRef, visit: Visit) -> Iterator[Key]:
        if visit.record is not None:
            yield key_of(run, visit.place)
        yield from self._joins(run, visit)

    async def _partition(self, pk: str) -> AsyncIterator[Key]:
        async for item in every(self._services.backend.table, Query(pk)):
            yield Key(item["pk"], item["sk"])

    def _joins(self, run: RunRef, visit: Visit) -> set[Key]:
        if not isinstance(visit.decision, Fork):
            return set()
        (branch, number), width = visit.place, visit.decision.width
        source = run.source(branch, number)
        owner, latest = (source.run_id, source.epoch) if source else (run.run_id, run.epoch)
        arity = self._services.settings.shard_width
        return {
            keys.join(run.namespace, owner, branch, number, epoch, slot.level, slot.item)
            for index in range(0, width, arity)
            for slot in climb(width, index, arity)
            for epoch in range(latest + 1)
        }
