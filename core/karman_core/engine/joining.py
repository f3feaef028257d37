"""Arriving at joins: a branch that has ended tells its group, and whoever comes last goes on for the group.

An arrival that was made before changes nothing and tells as much: the update's condition fails and returns the item. A
full item is acted on by the branch that is `last` in it alone; else each duplicate of a finished fork would fire the
unite again. The cheap path, a branch that is not last, is one write.
"""

from __future__ import annotations

from dataclasses import replace

from karman_core.domain.branches import Branch
from karman_core.domain.decide import Ending
from karman_core.domain.definition import UniteStrategy
from karman_core.domain.errors import ConditionFailed
from karman_core.domain.graph import Graph
from karman_core.domain.joins import Join, Slot, climb, end_group
from karman_core.domain.messages import Position
from karman_core.domain.positions import unite, unite_as_member
from karman_core.domain.totals import Totals
from karman_core.engine import keys
from karman_core.engine.control import Controls, group_text
from karman_core.engine.join_items import arrival, not_arrived, read_join
from karman_core.engine.lifecycle import Lifecycle
from karman_core.engine.sending import Sender
from karman_core.engine.services import Services
from karman_core.engine.task import Task
from karman_core.engine.waiting import Waits
from karman_core.ports.observer import GroupEnded
from karman_core.ports.table import Key, SetOnce


class Joiner:
    """Takes the ends of branches up the join trees."""

    def __init__(
        self, services: Services, lifecycle: Lifecycle, controls: Controls, sender: Sender, waits: Waits
    ) -> None:
        self._services = services
        self._waits = waits
        self._lifecycle = lifecycle
        self._controls = controls
        self._sender = sender

    async def arrive(
        self, task: Task, graph: Graph, position: Position, ending: Ending, totals: Totals
    ) -> Position | None:
        """A branch has ended at `position`.

        Args:
            totals: what the branch has done, its last state included.

        Returns:
            The position of a unite that runs now, or None when there is nothing more to do.
        """
        if ending is Ending.FAILED and graph.definition.fail_fast:
            await self._stop_siblings(graph, position)
        while position.frames:
            root = await self._climb(task, graph, position, ending, totals)
            if root is None:
                return None
            join, slot = root
            frame = position.frames[-1]
            name = graph.unite_of(frame.identifier)
            end = end_group(join, slot.size, graph.strategy(name) if name else None)
            run = position.run
            self._services.observe(GroupEnded(run.namespace, run.run_id, frame.identifier, frame.width))
            totals = frame.totals.plus(join.totals)
            if end.unite and name is not None:
                return unite(graph, position, name, totals)
            ending = end.ending
            position = replace(position, branch=position.branch[:-1], frames=position.frames[:-1])
        await self._lifecycle.finish(position.run, ending, totals)
        return None

    async def _climb(
        self, task: Task, graph: Graph, position: Position, ending: Ending, totals: Totals
    ) -> tuple[Join, Slot] | None:
        """Arrive at every level that this arrival fills; the root item when the whole group is in and it is ours."""
        frame, (_, index) = position.frames[-1], position.branch[-1]
        name = graph.unite_of(frame.identifier)
        strategy = graph.strategy(name) if name else None
        any_success = strategy is UniteStrategy.ANY_SUCCESS and index != frame.width
        slots = list(climb(frame.width, index, self._services.settings.shard_width))
        join, slot = Join(), slots[-1]
        for slot in slots:
            fires = any_success and slot.level == 0 and ending is Ending.SUCCEEDED
            join = await self._arrive_at(task, position, slot, ending, totals, fires=fires)
            done = join.last == slot.member and join.full(slot)
            if any_success and slot.level == 0 and join.fired is not None and name is not None:
                await self._fire(graph, position, slots, join.fired, name, up=done)
            if not done:
                return None
            ending, totals = join.ending(strategy), join.totals
        return join, slot

    async def _arrive_at(
        self, task: Task, position: Position, slot: Slot, ending: Ending, totals: Totals, *, fires: bool
    ) -> Join:
        key = self._key(position, slot)
        actions = arrival(slot.member, ending, totals, self._services.ttl(), fires=fires)
        try:
            item = await self._services.backend.table.update(key, actions, not_arrived(slot.member))
        except ConditionFailed as before:
            task.adopt()
            return read_join(before.old)
        return read_join(item)

    async def _fire(
        self, graph: Graph, position: Position, slots: list[Slot], member: int, name: str, *, up: bool
    ) -> None:
        """Freeze the first success of an ANY_SUCCESS group, and send its unite if this branch is it.

        In a wide group the first success of each first-level item is told to the root item, by that branch and by the
        one that fills the item (`up`), before the item's own arrival goes up: so the root item never looks full while a
        success is on its way.
        """
        slot, root, index = slots[0], slots[-1], position.branch[-1][1]
        fired = index - slot.member + member
        frozen = fired == index
        if not root.level:
            if frozen:
                await self._send_unite(graph, position, name, fired)
        elif frozen or up:
            actions = [SetOnce("fi", fired), SetOnce("ttl", self._services.ttl())]
            item = await self._services.backend.table.update(self._key(position, root), actions)
            if frozen and item["fi"] == fired:
                await self._send_unite(graph, position, name, fired)

    async def _send_unite(self, graph: Graph, position: Position, name: str, fired: int) -> None:
        unite_position = unite_as_member(graph, position, name, fired)
        await self._sender.send_positions(graph, [unite_position], again=True)

    async def _stop_siblings(self, graph: Graph, position: Position) -> None:
        groups = set()
        for depth in range(len(position.frames) - 1, -1, -1):
            name = graph.unite_of(position.frames[depth].identifier)
            if name is not None and graph.strategy(name) is not UniteStrategy.ALL_SUCCESS:
                break
            groups.add(group_text(position.branch[:depth], position.branch[depth][0], position.run.epoch))
        if groups:
            run = position.run
            await self._controls.stop_groups(run.namespace, run.run_id, frozenset(groups))
            await self._waits.wake_stopped(run.namespace, run.run_id)

    def _key(self, position: Position, slot: Slot) -> Key:
        run, (number, _) = position.run, position.branch[-1]
        parent: Branch = position.branch[:-1]
        return keys.join(run.namespace, run.run_id, parent, number, run.epoch, slot.level, slot.item)
