"""Runs that live longer than the retention: what they still need must not expire under them.

Every item of a run is written with the same retention, counted from its writing, so that a run that has ended is gone
after it. A run that waits for months is prolonged by the sweeper, from its table alone, once each half of the
retention: one write an item, which only such runs pay for.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress

from karman_core.domain.decide import Fork
from karman_core.domain.errors import ConditionFailed
from karman_core.domain.joins import climb
from karman_core.engine import keys
from karman_core.engine.graphs import GraphStore
from karman_core.engine.paging import every
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
        if now - max(header.created_ms, header.prolonged_ms) < half_ms:
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
        partitions = [keys.store(run.namespace, run.run_id), keys.park(run.namespace, run.run_id)]
        partitions += [
            keys.signals_shard(run.namespace, run.run_id, shard) for shard in range(keys.SIGNAL_SHARDS)
        ]
        for pk in partitions:
            async for key in self._partition(pk):
                yield key
        async for visit in self._walker.walk(graph, self._walker.root(graph, run)):
            if visit.record is not None:
                yield keys.state(run.namespace, run.run_id, *visit.place)
            for key in self._joins(header, visit):
                yield key

    async def _partition(self, pk: str) -> AsyncIterator[Key]:
        async for item in every(self._services.backend.table, Query(pk)):
            yield Key(item["pk"], item["sk"])

    def _joins(self, header: Header, visit: Visit) -> set[Key]:
        if not isinstance(visit.decision, Fork):
            return set()
        run, (branch, number), width = header.run, visit.place, visit.decision.width
        arity = self._services.settings.shard_width
        return {
            keys.join(run.namespace, run.run_id, branch, number, epoch, slot.level, slot.item)
            for index in range(0, width, arity)
            for slot in climb(width, index, arity)
            for epoch in range(run.epoch + 1)
        }
