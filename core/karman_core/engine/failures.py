"""Why a run failed: from the root down along the failed members of the join items, to the states that ended badly.

The join items tell where the failures are, so a million branches that went well are not looked at.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from karman_core.domain.decide import EndBranch, Ending, Fork
from karman_core.domain.definition import UniteStrategy
from karman_core.domain.graph import Graph
from karman_core.domain.joins import Join, climb
from karman_core.domain.messages import Position, RunRef
from karman_core.domain.positions import branch, fork, unite_as_member
from karman_core.domain.records import Record
from karman_core.engine import keys
from karman_core.engine.join_items import read_join
from karman_core.engine.outputs import Place
from karman_core.engine.services import Services
from karman_core.engine.state_items import error_text
from karman_core.engine.walking import Visit, Walker


@dataclass(frozen=True, slots=True)
class Failure:
    """A state that made its run fail: it ended its branch, and no unite made up for it."""

    position: Position
    record: Record


class Failures:
    """Finds the failures of a run that has FAILED."""

    def __init__(self, services: Services, walker: Walker) -> None:
        self._services = services
        self._walker = walker

    async def first(self, graph: Graph, run: RunRef) -> str | None:
        """The first failure that is one of the node's own, in one line; a sibling cancelled for it comes after."""
        cancelled = None
        async for failure in self.of_run(graph, run):
            text = error_text(failure.record)
            if text is not None:
                return f"{failure.position.identifier}: {text}"
            cancelled = cancelled or f"{failure.position.identifier}: {failure.record.status.value.lower()}"
        return cancelled

    async def of_run(self, graph: Graph, run: RunRef) -> AsyncIterator[Failure]:
        """Every failure that the run's status comes from."""
        waiting = [self._walker.root(graph, run)]
        while waiting:
            last = await self._last(graph, waiting.pop())
            if last is None or last.record is None:
                continue
            if isinstance(last.decision, Fork):
                below = [one async for one in self._below(graph, last, last.record, last.decision)]
                waiting += reversed(below)
            elif _failed(last):
                yield Failure(last.position, last.record)

    async def at(self, graph: Graph, run: RunRef, place: Place) -> Failure | None:
        """The failure at a place, found along its branch alone; None if it is none that the status comes from."""
        path, number = place
        start: Position | None = self._walker.root(graph, run)
        for fork_number, index in path:
            above = None if start is None else await self._last(graph, start)
            if above is None or above.position.number != fork_number:
                return None  # The group was united, or never opened.
            start = await self._failed_branch(graph, above, index)
        last = None if start is None else await self._last(graph, start)
        if last is None or last.record is None or last.position.number != number or not _failed(last):
            return None
        return Failure(last.position, last.record)

    async def _last(self, graph: Graph, start: Position) -> Visit | None:
        """The last recorded state of a branch, unites of its groups included."""
        last: Visit | None = None
        async for visit in self._walker.branch(graph, start):
            if visit.record is not None:
                last = visit
        return last

    async def _failed_branch(self, graph: Graph, above: Visit, index: int) -> Position | None:
        """The first position of a branch, if it is one that made its group fail."""
        record, decision = above.record, above.decision
        if record is None or not isinstance(decision, Fork):
            return None
        parent = fork(graph, above.position, record, decision)
        if index < decision.width and not await self._walker.member_unite(graph, parent, decision):
            slot = next(iter(climb(decision.width, index, self._services.settings.shard_width)))
            join = await self.join(parent, decision.width, level=slot.level, item=slot.item)
            if slot.member not in join.failed:
                return None
        elif index != decision.width:
            return None  # A unite of ANY_SUCCESS made up for it.
        return await self._walker.below(graph, above, index)

    async def _below(
        self, graph: Graph, visit: Visit, record: Record, decision: Fork
    ) -> AsyncIterator[Position]:
        """First positions of the branches that made a group fail."""
        parent = fork(graph, visit.position, record, decision)
        root = await self.join(parent, decision.width, level=None, item=0)
        name = decision.unite
        any_success = name is not None and graph.strategy(name) is UniteStrategy.ANY_SUCCESS
        if any_success and name is not None and root.fired is not None:
            member = branch(graph, parent, root.fired, decision.starts, None)
            yield unite_as_member(graph, member, name, root.fired)
            return
        for index in await self._failed_indexes(parent, decision.width, root):
            yield branch(graph, parent, index, decision.starts, None)

    async def _failed_indexes(self, parent: Position, width: int, root: Join) -> list[int]:
        arity = self._services.settings.shard_width
        level = list(climb(width, 0, arity))[-1].level
        members = sorted(root.failed)
        while level > 0:
            level -= 1
            below: list[int] = []
            for item in members:
                join = await self.join(parent, width, level=level, item=item)
                below += [item * arity + member for member in sorted(join.failed)]
            members = below
        return [member for member in members if member < width]

    async def join(self, parent: Position, width: int, *, level: int | None, item: int) -> Join:
        """A join item of a group as the latest epoch that has one left it; level None is the root's."""
        return (await self.join_and_epoch(parent, width, level=level, item=item))[0]

    async def join_and_epoch(
        self, parent: Position, width: int, *, level: int | None, item: int
    ) -> tuple[Join, int]:
        """The same, and that epoch."""
        run = parent.run
        if level is None:
            level = list(climb(width, 0, self._services.settings.shard_width))[-1].level
        for epoch in range(run.epoch, -1, -1):
            key = keys.join(run.namespace, run.run_id, parent.branch, parent.number, epoch, level, item)
            found = await self._services.backend.table.get(key)
            if found is not None:
                return read_join(found), epoch
        return Join(), run.epoch


def _failed(last: Visit) -> bool:
    """Whether a branch whose last state this is has failed there; one that is retried has not yet run again."""
    runnable = last.record is not None and last.record.runnable
    return runnable or last.decision == EndBranch(Ending.FAILED)


def in_epoch(position: Position, epoch: int) -> Position:
    """The position as a later epoch sees it: nothing is counted twice, so what led to it counts nothing there."""
    frames = tuple(replace(frame, totals=type(frame.totals)()) for frame in position.frames)
    return replace(position, run=replace(position.run, epoch=epoch), frames=frames)
