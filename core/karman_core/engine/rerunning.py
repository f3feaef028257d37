"""Running again from a state: a new run of the same graph version, which reuses what came before that state.

Nothing is copied but the store. The new run's messages and header say in which run the records lie that it reuses, and
whoever reads a state, or a list over the branches of a group, looks there. So the new run begins as every run does:
with one message, which carries its header.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from karman_core.domain.branches import parse_state_id
from karman_core.domain.decide import Fork
from karman_core.domain.definition import JSON
from karman_core.domain.errors import ConditionFailed, Conflict, NotFound, PayloadTooLarge
from karman_core.domain.graph import Graph
from karman_core.domain.joins import climb
from karman_core.domain.messages import Position, RunRef
from karman_core.domain.reuse import Reused, Source, outcomes, reuse
from karman_core.domain.totals import Totals
from karman_core.domain.transitions import RunStatus
from karman_core.engine import keys
from karman_core.engine.graphs import GraphStore
from karman_core.engine.join_items import read_join
from karman_core.engine.lifecycle import Lifecycle, RunPurged
from karman_core.engine.payloads import dumps
from karman_core.engine.reusing import key_of
from karman_core.engine.run_items import Header, sorted_json
from karman_core.engine.sending import Sender
from karman_core.engine.services import Services
from karman_core.engine.triggering import Request, Triggers
from karman_core.engine.views import Started
from karman_core.engine.walking import Visit, Walker
from karman_core.ports.table import Item, Key, Present, Set

_AT_ONCE = 25


class Reruns:
    """Makes runs from states of others."""

    def __init__(
        self,
        services: Services,
        *,
        graphs: GraphStore,
        lifecycle: Lifecycle,
        sender: Sender,
        walker: Walker,
        triggers: Triggers,
    ) -> None:
        self._services = services
        self._graphs = graphs
        self._lifecycle = lifecycle
        self._sender = sender
        self._walker = walker
        self._triggers = triggers

    async def rerun(
        self, namespace: str, run_id: str, start: str, inputs: Mapping[str, JSON] | None, key: str | None
    ) -> Started:
        """Begin a run at a state of another; see Operations.rerun."""
        old = await self._lifecycle.header(namespace, run_id)
        graph = await self._graphs.compiled(namespace, old.run.graph, old.run.version)
        header = await self._header(old, graph, start, inputs, key)
        existing = await self._triggers.existing(header)
        if existing is not None:
            return existing
        await self._graphs.current(namespace, old.run.graph)  # Of a graph that was deleted, no run begins.
        before, visit = await self._first_branch(graph, old.run, start)
        number = visit.position.number
        header = await self._with_inputs(header, old, graph, visit.position, inputs)
        source = Source(old.run.run_id, old.run.epoch, number)
        reused = reuse(old.run.reused, source, await self._totals(old.run, before))
        run = replace(header.run, reused=reused)

        async def keep() -> None:
            await self._prolong(run, number)
            await self._note_reuse(run, reused)

        position = _begin_at(visit.position, run)
        return await self._triggers.begin(replace(header, run=run), graph, position, keep)

    async def _first_branch(self, graph: Graph, run: RunRef, start: str) -> tuple[list[Visit], Visit]:
        """The states before the one to begin with, and that one: the last of its identifier, or the one of an id."""
        visits = [visit async for visit in self._walker.branch(graph, self._walker.root(graph, run))]
        if start in graph.instances:
            found = [visit for visit in visits if visit.position.identifier == start]
        else:
            number = _number(run, start)
            found = [visit for visit in visits if visit.position.number == number]
        if not found:
            reached = ", ".join(dict.fromkeys(visit.position.identifier for visit in visits))
            raise Conflict(
                f"Run '{run.run_id}' has not come to '{start}' in its first branch, or not through the states before "
                f"it; it can be run again from: {reached}."
            )
        return visits[: visits.index(found[-1])], found[-1]

    async def _header(
        self, old: Header, graph: Graph, start: str, inputs: Mapping[str, JSON] | None, key: str | None
    ) -> Header:
        run, now = old.run, self._services.clock.now_ms()
        new = RunRef(
            run.namespace,
            self._triggers.run_id(run.namespace, run.graph, key, now),
            run.graph,
            run.version,
            0,
            now + old.limit_ms,
        )
        ended = old.status is RunStatus.SUCCEEDED
        # Tags that come from what a run gave come anew from what this one gives.
        tags = {
            name: value
            for name, value in (old.tags or {}).items()
            if not (ended and name in graph.tags.outputs)
        }
        return Header(
            run=new,
            status=RunStatus.RUNNING,
            created_ms=now,
            starts_ms=now,
            request=_request_hash(run.run_id, start, inputs),
            home=await self._sender.queue_of(graph, run.namespace, graph.root),
            inputs=old.inputs or {},
            tags=tags,
            key=key,
            timed=old.timed,
            slot=graph.slot(old.inputs or {}),
        )

    async def _with_inputs(
        self, header: Header, old: Header, graph: Graph, start: Position, inputs: Mapping[str, JSON] | None
    ) -> Header:
        """The header with the inputs that are given: instead of the trigger's, or for a later state alone."""
        if inputs is None:
            same = old.run.reused is not None and old.run.reused.before == start.number
            return replace(header, overrides=old.overrides) if same else header
        # What the trigger's store had to hold, it held.
        required = dict.fromkeys(graph.definition.store_config.required_keys)
        request = Request(old.run.namespace, old.run.graph, inputs, required)
        await self._triggers.check_values(request, graph, start=start.identifier)
        if start.number:
            self._check_size(header.inputs, inputs)
            return replace(header, overrides=inputs)
        tags = {**(header.tags or {}), **graph.tags.at_start(graph.instances[graph.root], inputs)}
        return replace(header, inputs=inputs, tags=tags, slot=graph.slot(inputs))

    def _check_size(self, *given: Mapping[str, JSON] | None) -> None:
        size = len(dumps([dict(each or {}) for each in given]).encode())
        limit = self._services.settings.max_inputs_bytes
        if size > limit:
            raise PayloadTooLarge(
                f"The inputs take {size:,} bytes together with those of the trigger; the limit is {limit:,}."
            )

    async def _totals(self, run: RunRef, before: Sequence[Visit]) -> Totals:
        """How the states ended that are reused: those of the first branch, and all in the groups that they opened."""
        totals = Totals()
        for visit in before:
            if visit.record is not None:
                totals = totals.plus(visit.record.totals)
            if isinstance(visit.decision, Fork):
                totals = totals.plus(await self._group_totals(run, visit, visit.decision.width))
        return outcomes(totals)

    async def _group_totals(self, run: RunRef, visit: Visit, width: int) -> Totals:
        """The sum over epochs of what came up to the root item: each counts what is new in it."""
        (branch, number), totals = visit.place, Totals()
        source = run.source(branch, number) or Source(run.run_id, run.epoch, 0)
        root = list(climb(width, 0, self._services.settings.shard_width))[-1]
        wanted = [
            keys.join(run.namespace, source.run_id, branch, number, epoch, root.level, root.item)
            for epoch in range(source.epoch + 1)
        ]
        for item in (await self._services.backend.table.batch_get(wanted)).values():
            totals = totals.plus(read_join(item).totals)
        return totals

    async def _note_reuse(self, run: RunRef, reused: Reused) -> None:
        """Keep the runs that are reused from being purged; then look whether one is. Raises RunPurged, a NotFound."""
        now, ttl, table = self._services.clock.now_ms(), self._services.ttl(), self._services.backend.table
        notes: list[Item] = [
            {
                "pk": keys.reusers(run.namespace, each.run_id),
                "sk": run.run_id,
                "at": now,
                "before": each.before,
                "ttl": ttl,
            }
            for each in reused.sources
        ]
        await table.batch_write(notes)
        for each in reused.sources:
            try:
                await self._lifecycle.header(run.namespace, each.run_id)
            except RunPurged:
                await table.batch_write(deletes=[Key(note["pk"], note["sk"]) for note in notes])
                raise
            except NotFound:
                continue  # Its header has expired; its states, which are kept for reruns, are read when needed.

    async def _prolong(self, run: RunRef, before: int) -> None:
        """Keep the reused states of the first branch as long as the new run's; their groups are the sweeper's."""
        for first in range(0, before, _AT_ONCE):
            numbers = range(first, min(first + _AT_ONCE, before))
            await asyncio.gather(*(self._prolong_one(run, number) for number in numbers))

    async def _prolong_one(self, run: RunRef, number: int) -> None:
        actions = [Set("ttl", self._services.ttl())]
        with suppress(ConditionFailed):
            await self._services.backend.table.update(key_of(run, ((), number)), actions, Present())


def _number(run: RunRef, start: str) -> int:
    """The number of a state in the first branch, from its id. Raises NotFound, Conflict."""
    try:
        owner, branch, number = parse_state_id(start)
    except ValueError:
        owner, branch, number = "", (), 0
    if owner != run.run_id:
        raise NotFound(f"Run '{run.run_id}' has no node instance and no state '{start}'.")
    if branch:
        raise Conflict(
            f"State '{start}' is in a branch of a group; a run is run again from a state of its first branch."
        )
    return number


def _begin_at(position: Position, run: RunRef) -> Position:
    """The position as a run begins at it."""
    totals = run.reused.totals if run.reused is not None else Totals()
    blank = Position(run, position.branch, position.number, position.identifier, totals=totals)
    return replace(blank, scope=position.scope)


def _request_hash(run_id: str, start: str, inputs: Mapping[str, JSON] | None) -> str:
    """What makes two reruns of one idempotency key the same request."""
    text = dumps(["rerun", run_id, start, None if inputs is None else sorted_json(dict(inputs))])
    return hashlib.sha256(text.encode()).hexdigest()[:32]
