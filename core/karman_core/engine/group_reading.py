"""How far groups are, from their join items alone: a million branches are told by some thousand items, and not listed.

Branches arrive at the first level of the join tree, so its items together say how each branch ended. A retried run's
items are those of the latest epoch that has one: an item that no branch was opened again in stays as it was.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from karman_core.domain.branches import Branch
from karman_core.domain.decide import Fork, UniteAtOnce, decide
from karman_core.domain.definition import UniteStrategy
from karman_core.domain.errors import InvalidRequest, NotFound
from karman_core.domain.graph import Graph
from karman_core.domain.messages import Position, RunRef
from karman_core.domain.records import Record
from karman_core.domain.transitions import FINAL_RUNS
from karman_core.engine import keys
from karman_core.engine.cursors import NO_CURSOR, checked_limit, read_place, write_place
from karman_core.engine.graphs import GraphStore
from karman_core.engine.join_items import read_join
from karman_core.engine.lifecycle import Lifecycle
from karman_core.engine.outputs import OutputStore, Place
from karman_core.engine.reusing import place_of
from karman_core.engine.run_items import Header
from karman_core.engine.sending import id_of
from karman_core.engine.services import Services
from karman_core.engine.views import GroupsPage, GroupView
from karman_core.engine.walking import Walker, comes_after, goes_on
from karman_core.ports.table import Item, Key

_LOOKED_AT = 1_000
"""Branches of a parent group that one page looks into; it may hold fewer groups than the limit, or none."""

_AHEAD = 100
_PAST_ALL = 2**53


@dataclass(frozen=True, slots=True)
class _Group:
    place: Place
    identifier: str
    width: int
    unite: str | None


class GroupReader:
    """Tells how far groups are."""

    def __init__(
        self,
        services: Services,
        graphs: GraphStore,
        lifecycle: Lifecycle,
        outputs: OutputStore,
        walker: Walker,
    ) -> None:
        self._services = services
        self._graphs = graphs
        self._lifecycle = lifecycle
        self._outputs = outputs
        self._walker = walker

    async def get(self, namespace: str, run_id: str, state_id: str) -> GroupView:
        """The group that a state opened. Raises NotFound."""
        header, graph = await self._run(namespace, run_id)
        return await self._view(header, await self._group(graph, header.run, state_id))

    async def list(
        self, namespace: str, run_id: str, *, parent: str | None, limit: int, cursor: str | None
    ) -> GroupsPage:
        """Groups in the order of the states that opened them.

        Args:
            parent: the state whose group's branches opened them; None for those of the first branch. A unite of
                ANY_SUCCESS goes on with the branch that forked.

        Raises:
            NotFound: no such run, or no such group.
            InvalidRequest: a limit or a cursor that cannot be.
        """
        limit, after = checked_limit(limit), read_place(cursor)
        header, graph = await self._run(namespace, run_id)
        found: list[GroupView] = []
        if parent is None:
            branches = _first_branch()
        else:
            above = await self._group(graph, header.run, parent)
            branches = self._branches(graph, header.run, above, after)
        last: Place | None = None
        async for path, behind in branches:
            if behind is not None:  # the page ends here, or goes on behind this branch
                return GroupsPage(tuple(found), write_place(behind))
            async for group in self._opened(graph, header.run, path):
                if not comes_after(group.place, after):
                    continue
                if len(found) == limit and last is not None:
                    return GroupsPage(tuple(found), write_place(last))
                found.append(await self._view(header, group))
                last = group.place
        return GroupsPage(tuple(found))

    async def _run(self, namespace: str, run_id: str) -> tuple[Header, Graph]:
        header = await self._lifecycle.header(namespace, run_id)
        return header, await self._graphs.compiled(namespace, header.run.graph, header.run.version)

    async def _group(self, graph: Graph, run: RunRef, state_id: str) -> _Group:
        place = place_of(run.run_id, state_id)
        record = (await self._outputs.records(run, [place])).get(place)
        group = None if record is None else _opened_by(graph, place, record)
        if group is None:
            raise NotFound(f"State '{state_id}' of run '{run.run_id}' has opened no group.")
        return group

    async def _branches(
        self, graph: Graph, run: RunRef, above: _Group, after: Place | None
    ) -> AsyncIterator[tuple[Branch, Place | None]]:
        """The branches of a group that may have opened groups; with a place, where the next page is to begin."""
        path, number = above.place
        first = 0 if after is None else _index_of(after, above.place)
        for begin in range(first, above.width, _AHEAD):
            if begin - first >= _LOOKED_AT:
                yield (), ((*path, (number, begin - 1)), _PAST_ALL)
                return
            some: list[Branch] = [
                (*path, (number, index)) for index in range(begin, min(begin + _AHEAD, above.width))
            ]
            ahead = await self._outputs.records(run, [(branch, 0) for branch in some])
            for branch in some:
                record = ahead.get((branch, 0))
                if record is not None and goes_on(graph, record):
                    yield branch, None

    async def _opened(self, graph: Graph, run: RunRef, path: Branch) -> AsyncIterator[_Group]:
        """The groups that the states of a branch opened, and those of the unites that it goes on with."""
        waiting: Branch | None = path
        while waiting is not None:
            branch, waiting = waiting, None
            records = await self._walker.records(Position(run, branch, 0, graph.root))
            for number in sorted(records):
                group = _opened_by(graph, (branch, number), records[number])
                if group is None:
                    continue
                yield group
                if group.unite and graph.strategy(group.unite) is UniteStrategy.ANY_SUCCESS:
                    waiting = (*branch, (number, group.width))

    async def _view(self, header: Header, group: _Group) -> GroupView:
        succeeded = failed = pruned = 0
        for item, members in (await self._items(header.run, group)).items():
            join = read_join(members)
            # The unite of ANY_SUCCESS is a member of the root item, behind the branches, and none of them.
            room = group.width - item * self._services.settings.shard_width
            succeeded += sum(member < room for member in join.succeeded)
            failed += sum(member < room for member in join.failed)
            pruned += sum(member < room for member in join.pruned)
        left = group.width - succeeded - failed - pruned
        return GroupView(
            state_id=id_of(Position(header.run, *group.place, group.identifier)),
            identifier=group.identifier,
            width=group.width,
            succeeded=succeeded,
            failed=failed,
            pruned=pruned,
            open=left,
            ended=not left or header.status in FINAL_RUNS,
            united_by=() if group.unite is None else (group.unite,),
        )

    async def _items(self, run: RunRef, group: _Group) -> dict[int, Item]:
        """The first level of a group's join tree, each item as the latest epoch that has it left it."""
        (branch, number), source = group.place, run.source(*group.place)
        owner, latest = (source.run_id, source.epoch) if source else (run.run_id, run.epoch)
        missing: Sequence[int] = range(-(-group.width // self._services.settings.shard_width))
        found: dict[int, Item] = {}
        for epoch in range(latest, -1, -1):
            wanted = {
                keys.join(run.namespace, owner, branch, number, epoch, 0, item): item for item in missing
            }
            items = await self._services.backend.table.batch_get(wanted)
            found.update({wanted[Key(*key)]: item for key, item in items.items()})
            missing = [item for item in missing if item not in found]
            if not missing:
                break
        return found


async def _first_branch() -> AsyncIterator[tuple[Branch, Place | None]]:
    yield (), None


def _opened_by(graph: Graph, place: Place, record: Record) -> _Group | None:
    match decide(graph, record):
        case Fork(width, _, unite):
            return _Group(place, record.identifier, width, unite)
        case UniteAtOnce(unite):
            return _Group(place, record.identifier, 0, unite)
        case _:
            return None


def _index_of(after: Place, above: Place) -> int:
    """The branch of a group that a place is in. Raises InvalidRequest if it is in none."""
    depth = len(above[0])
    below = after[0][depth : depth + 1]
    if after[0][:depth] != above[0] or not below or below[0][0] != above[1]:
        raise InvalidRequest(NO_CURSOR)
    return below[0][1]
