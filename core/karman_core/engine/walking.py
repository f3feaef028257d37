"""Walking a run's states from the table alone: what messages carry can be rebuilt from what was committed.

The walk goes through a branch's records in order, with the position that the branch's message had at each; below a fork
through the group's branches, in order, before what follows the group in the parent branch. Listing, redriving and
retrying all go this way. What a run reuses of another one is read where it lies.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, replace
from typing import TypeAlias

from karman_core.domain.branches import Branch
from karman_core.domain.decide import Decision, Fork, GoOn, UniteAtOnce, decide
from karman_core.domain.definition import UniteStrategy
from karman_core.domain.graph import Graph
from karman_core.domain.joins import climb
from karman_core.domain.messages import Position, RunRef
from karman_core.domain.positions import (
    branch,
    fork,
    go_on,
    loop_back,
    run_again,
    unite,
    unite_as_member,
    unite_at_once,
)
from karman_core.domain.records import Record
from karman_core.domain.totals import Totals
from karman_core.engine import keys
from karman_core.engine.join_items import read_join
from karman_core.engine.outputs import OutputStore, Place
from karman_core.engine.paging import every
from karman_core.engine.reusing import gone
from karman_core.engine.services import Services
from karman_core.engine.state_items import read_record
from karman_core.ports.table import Item, Query

_AHEAD = 100


@dataclass(frozen=True, slots=True)
class Visit:
    """A state on the walk: where it stands, its record (None: not recorded yet), and what follows from that."""

    position: Position
    record: Record | None
    decision: Decision | None

    @property
    def place(self) -> Place:
        """Branch and number."""
        return self.position.branch, self.position.number


_Steps: TypeAlias = "AsyncGenerator[Visit | _Steps]"
"""States, and in their places the walks of what lies below them."""


class Walker:
    """Walks runs."""

    def __init__(self, services: Services, outputs: OutputStore) -> None:
        self._services = services
        self._outputs = outputs

    def root(self, graph: Graph, run: RunRef) -> Position:
        """The first position of a run."""
        return Position(run, (), 0, graph.root)

    async def walk(self, graph: Graph, start: Position, after: Place | None = None) -> AsyncIterator[Visit]:
        """Every state from a branch's first position on, its sub-branches included; only those after a place."""
        # By hand, not by generators that go through generators: a loop around an ANY_SUCCESS group nests without end.
        stack = [self._branch(graph, start, after, None)]
        while stack:
            step = await anext(stack[-1], None)
            if step is None:
                stack.pop()
            elif isinstance(step, Visit):
                yield step
            else:
                stack.append(step)

    async def branch(self, graph: Graph, start: Position) -> AsyncIterator[Visit]:
        """The states of one branch alone, unites of its groups included."""
        records = await self.records(start)
        position: Position | None = start
        while position is not None:
            visit = self._visit(graph, position, records.get(position.number))
            yield visit
            position = await self._next(graph, visit, records)

    async def records(self, position: Position) -> dict[int, Record]:
        """The records of a position's branch, by number. Raises NotFound when reused ones are gone."""
        run, path = position.run, position.branch
        found: dict[int, Record] = {}
        for owner, first, last in _parts(run, path):
            query = Query(keys.branch(run.namespace, owner, path), first=keys.number(first), last=last)
            async for item in every(self._services.backend.table, query):
                found[int(item["sk"][2:])] = read_record(item)
        reused = 0 if run.reused is None else run.reused.before
        missing = [number for number in range(reused) if number not in found] if not path else []
        if missing:
            raise gone(run, (path, missing[0]))
        return found

    async def find(self, graph: Graph, run: RunRef, place: Place) -> Visit | None:
        """The state at a place, recorded or the next of its branch; None if the run has not come there."""
        path, number = place
        start: Position | None = self.root(graph, run)
        for fork_number, index in path:
            above = None if start is None else await self._in_branch(graph, start, fork_number)
            start = None if above is None else await self.below(graph, above, index)
        return None if start is None else await self._in_branch(graph, start, number)

    async def below(self, graph: Graph, visit: Visit, index: int) -> Position | None:
        """The first position of a branch of the group that a state opened; None if there is none."""
        record, decision = visit.record, visit.decision
        if record is None or not isinstance(decision, Fork):
            return None
        parent = fork(graph, visit.position, record, decision)
        if index < decision.width:
            return branch(graph, parent, index, decision.starts, None)
        return await self.member_unite(graph, parent, decision) if index == decision.width else None

    async def _in_branch(self, graph: Graph, start: Position, number: int) -> Visit | None:
        async for visit in self.branch(graph, start):
            if visit.position.number == number:
                return visit
        return None

    async def _branch(
        self, graph: Graph, start: Position, after: Place | None, first: Record | None
    ) -> _Steps:
        """One branch and all below it; `first` is its first record, if it was read ahead."""
        records: dict[int, Record] | None = None
        position: Position | None = start
        while position is not None:
            record = first if records is None else records.get(position.number)
            if records is None and (first is None or goes_on(graph, first)):
                records = await self.records(start)
                record = records.get(position.number)
            if record is None and position.run.source(position.branch, position.number):
                raise gone(position.run, (position.branch, position.number))
            visit = self._visit(graph, position, record)
            if comes_after(visit.place, after):
                yield visit
            if isinstance(visit.decision, Fork) and record is not None:
                yield self._group(graph, visit, record, visit.decision, after)
            position = None if records is None else await self._next(graph, visit, records)

    async def _group(
        self, graph: Graph, visit: Visit, record: Record, decision: Fork, after: Place | None
    ) -> _Steps:
        parent = fork(graph, visit.position, record, decision)
        first = _first_index(visit.place, after)
        if first is None:
            return
        for begin in range(first, decision.width, _AHEAD):
            starts = [
                branch(graph, parent, index, decision.starts, None)
                for index in range(begin, min(begin + _AHEAD, decision.width))
            ]
            ahead = await self._outputs.records(visit.position.run, [(start.branch, 0) for start in starts])
            for start in starts:
                yield self._branch(graph, start, after, ahead.get((start.branch, 0)))
        unite_start = await self.member_unite(graph, parent, decision)
        if unite_start is not None:
            yield self._branch(graph, unite_start, after, None)

    async def member_unite(self, graph: Graph, parent: Position, decision: Fork) -> Position | None:
        """The first position of a unite that runs as a member of its group; None if none was fired."""
        if decision.unite is None or graph.strategy(decision.unite) is not UniteStrategy.ANY_SUCCESS:
            return None
        fired = await self.fired(parent, decision.width)
        if fired is None:
            return None
        member = branch(graph, parent, fired, decision.starts, None)
        return unite_as_member(graph, member, decision.unite, fired)

    async def fired(self, parent: Position, width: int) -> int | None:
        """The branch whose success fired the unite of an ANY_SUCCESS group; `parent` is what its branches share."""
        item, _ = await self._join_root(parent, width)
        return None if item is None else item.get("fi")

    async def _next(self, graph: Graph, visit: Visit, records: dict[int, Record]) -> Position | None:
        position, run = await self._following(graph, visit, records), visit.position.run
        reused = run.reused
        if position is None or reused is None or position.branch or position.number != reused.before:
            return position
        return replace(position, totals=Totals() if run.epoch else reused.totals)

    async def _following(self, graph: Graph, visit: Visit, records: dict[int, Record]) -> Position | None:
        record, position = visit.record, visit.position
        if record is None:
            return None
        match visit.decision:
            case GoOn(identifier, looping):
                if looping:
                    return loop_back(graph, position, record, None)
                return go_on(graph, position, record, identifier, None)
            case UniteAtOnce(identifier):
                return unite_at_once(graph, position, record, identifier)
            case Fork(width, starts, name) if name is not None and _was_united(position, records):
                parent = fork(graph, position, record, Fork(width, starts, name))
                member = branch(graph, parent, 0, starts, None)
                item, epoch = await self._join_root(parent, width)
                # What an earlier epoch has summed up was counted then.
                totals = read_join(item).totals if epoch == position.run.epoch else Totals()
                return unite(graph, member, name, parent.frames[-1].totals.plus(totals))
            case _:
                return None

    async def _join_root(self, parent: Position, width: int) -> tuple[Item | None, int]:
        """The root join item of a group as the latest epoch that has one left it, and that epoch."""
        run, source = parent.run, parent.run.source(parent.branch, parent.number)
        owner, latest = (source.run_id, source.epoch) if source else (run.run_id, run.epoch)
        root = list(climb(width, 0, self._services.settings.shard_width))[-1]
        for epoch in range(latest, -1, -1):
            key = keys.join(run.namespace, owner, parent.branch, parent.number, epoch, root.level, root.item)
            item = await self._services.backend.table.get(key)
            if item is not None:
                return item, epoch
        return None, run.epoch

    def _visit(self, graph: Graph, position: Position, record: Record | None) -> Visit:
        if record is None:
            return Visit(position, None, None)
        counted = record.counted_before(position.run.epoch)
        position = replace(position, totals=position.totals.minus(counted))
        at = run_again(position, record) if record.runnable else position
        return Visit(at, record, decide(graph, record))


def _parts(run: RunRef, path: Branch) -> list[tuple[str, int, str]]:
    """The runs that have a branch's records: from which number on, and up to which sort key."""
    source = run.source(path, 0) if path else None
    if path or run.reused is None:
        return [(source.run_id if source else run.run_id, 0, keys.LAST_NUMBER)]
    parts, first = [], 0
    for each in run.reused.sources:
        if each.before > first:
            parts.append((each.run_id, first, keys.number(each.before - 1)))
            first = each.before
    return [*parts, (run.run_id, first, keys.LAST_NUMBER)]


def _was_united(position: Position, records: dict[int, Record]) -> bool:
    """Whether the unite of a group has run, or is what a run that reuses the group begins with."""
    reused, after = position.run.reused, position.number + 1
    begins = reused is not None and not position.branch and after == reused.before
    return begins or after in records


def goes_on(graph: Graph, record: Record) -> bool:
    """Whether the branch may have records beyond this first one."""
    return isinstance(decide(graph, record), GoOn | UniteAtOnce | Fork)


def _order(place: Place) -> tuple[tuple[int, int, int], ...]:
    """States in the order of the walk: a state, then the branches below it, then the next state."""
    path, number = place
    return (*((fork_number, 1, index) for fork_number, index in path), (number, 0, 0))


def comes_after(place: Place, after: Place | None) -> bool:
    """Whether a place is behind another one in the order of the walk; behind None all are."""
    return after is None or _order(place) > _order(after)


def _first_index(place: Place, after: Place | None) -> int | None:
    """The first branch of the group at `place` that can hold a state after `after`; None if the group is behind it."""
    if after is None or _order(place) >= _order(after):
        return 0
    path, number = place
    depth = len(path)
    below = after[0][depth : depth + 1]
    if after[0][:depth] == path and below and below[0][0] == number:
        return below[0][1]
    return None
