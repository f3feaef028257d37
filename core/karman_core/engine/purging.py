"""Purging a run that has ended: everything of it is deleted, from the leaves to the root, the header last.

First the header is marked: from then on nobody finds the run, and the sweeper sees to it that the rest is done. What is
below a state is deleted before the state, and the first state of a branch after all others of it, so a purge that was
cut off finds what is left. In the place of the header stays a small item that expires with the usual retention: it
keeps a message that is still under way, or the run's idempotency key, from beginning the run again.

A run whose states another run reuses is not purged before that one. A rerun notes what it reuses and then looks whether
that is being purged; a purge marks the run and then looks for such notes: one of them sees the other.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias

from karman_core.domain.branches import Branch
from karman_core.domain.decide import Fork, decide
from karman_core.domain.errors import ConditionFailed, Conflict
from karman_core.domain.graph import Graph
from karman_core.domain.joins import climb
from karman_core.domain.messages import Command, CommandKind
from karman_core.domain.transitions import FINAL_RUNS
from karman_core.engine import keys
from karman_core.engine.control import FINAL_VERSION, Controls, Flag
from karman_core.engine.graphs import GraphStore
from karman_core.engine.paging import every
from karman_core.engine.run_items import (
    PURGED,
    Header,
    purge_actions,
    read_header,
    tombstone,
    unpurge_actions,
)
from karman_core.engine.sending import Sender
from karman_core.engine.services import Services
from karman_core.engine.slots import Slots
from karman_core.engine.state_items import read_record
from karman_core.engine.walking import goes_on
from karman_core.ports.table import Absent, AllOf, Equals, Item, Key, OneOf, Present, Query, Set

_AHEAD = 100
_AT_A_TIME = 1_000
_FINAL = tuple(sorted(status.value for status in FINAL_RUNS))
_ROUND_SECONDS = 30
"""Of one message; what is left then has another one."""

_ON_THE_WAY_MS = 15 * 86_400_000
"""How long the first message of a run may be under way: no longer than queues keep messages."""

_Steps: TypeAlias = "AsyncGenerator[Branch | None]"
"""Branches below one, to be deleted before it; None for what was deleted already."""


@dataclass(frozen=True, slots=True)
class Purger:
    """Deletes runs."""

    services: Services
    graphs: GraphStore
    controls: Controls
    sender: Sender
    slots: Slots

    async def command(self, header: Header) -> Command:
        """The command that purges a run. Raises Conflict when the run goes on, or another one reuses it."""
        run = header.run
        if header.status not in FINAL_RUNS:
            raise Conflict(f"Run '{run.run_id}' is {header.status.value}; cancel it before it is purged.")
        user = await self._user(run.namespace, run.run_id)
        if user is not None:
            raise Conflict(f"Run '{user}' reuses states of run '{run.run_id}'; purge that one first.")
        return Command(CommandKind.PURGE, run.namespace, run.run_id, {"epoch": run.epoch})

    async def apply(self, command: Command) -> None:
        """Purge for a while; what is left has another message."""
        home = await self.mark(command)
        if home is not None and not await self.go_on(command.namespace, command.run_id):
            await self.sender.command(home, command)

    async def mark(self, command: Command) -> str | None:
        """Mark the run as being purged. Returns its queue, also when it was marked before; None when it cannot be."""
        key, table = keys.run(command.namespace, command.run_id), self.services.backend.table
        item = await table.get(key)
        if item is None or item["status"] not in _FINAL:
            return None
        ended = (OneOf("status", _FINAL), Equals("epoch", command.arguments["epoch"]), Absent("purging"))
        try:
            actions = purge_actions(read_header(item), self.services.clock.now_ms())
            item = await table.update(key, actions, AllOf(ended))
        except ConditionFailed as lost:
            item = lost.old
        return read_header(item).home if item is not None and "purging" in item else None

    async def go_on(self, namespace: str, run_id: str, *, seconds: float = _ROUND_SECONDS) -> bool:
        """Delete what is left of a run that was marked. Returns False when the time was over before the end."""
        until_ms = self.services.clock.now_ms() + round(seconds * 1000)
        header = await self._decided(namespace, run_id)
        if header is None:
            return True
        await self.controls.set_flag(namespace, run_id, Flag.STOPPED, FINAL_VERSION)
        if not await self._states(header, until_ms):
            return False
        await self._rest(header)
        stone = tombstone(namespace, run_id, self.services.clock.now_ms(), self.services.ttl())
        with suppress(ConditionFailed):
            await self.services.backend.table.put(stone, Present("purging"))
        return True

    async def _decided(self, namespace: str, run_id: str) -> Header | None:
        """The header of a run that is to be deleted; None of one that is not, also because another one reuses it.

        Once that is decided it stays so: half of a run may be gone.
        """
        key, table = keys.run(namespace, run_id), self.services.backend.table
        item = await table.get(key)
        if item is None or "purging" not in item:
            return None
        if "decided" in item:
            return read_header(item)
        try:
            if await self._user(namespace, run_id) is None:
                return read_header(await table.update(key, [Set("decided", 1)], Present("purging")))
            undecided = AllOf((Present("purging"), Absent("decided")))
            await table.update(key, unpurge_actions(read_header(item)), undecided)
        except ConditionFailed as lost:
            if lost.old is not None and "decided" in lost.old:
                return read_header(lost.old)
        return None

    async def is_complete(self, namespace: str, run_id: str) -> bool:
        """Whether nothing is left of a run but the note that it was purged."""
        item = await self.services.backend.table.get(keys.run(namespace, run_id))
        return item is None or "purging" not in item

    async def _user(self, namespace: str, run_id: str) -> str | None:
        """A run that reuses states of this one, and is there itself, or about to be."""
        now = self.services.clock.now_ms()
        async for note in every(self.services.backend.table, Query(keys.reusers(namespace, run_id))):
            item = await self.services.backend.table.get(keys.run(namespace, note["sk"]))
            on_the_way = item is None and now - note["at"] < _ON_THE_WAY_MS
            # One that began at its first state took the store's values when it began, and needs nothing more.
            reuses = item is not None and item["status"] != PURGED and note["before"] > 0
            if on_the_way or reuses:
                return str(note["sk"])
        return None

    async def _states(self, header: Header, until_ms: int) -> bool:
        run = header.run
        graph = await self.graphs.compiled(run.namespace, run.graph, run.version)
        stack: list[tuple[Branch, _Steps]] = [((), self._below(graph, header, ()))]
        while stack:
            if self.services.clock.now_ms() >= until_ms:
                for _, steps in stack:
                    await steps.aclose()
                return False
            path, steps = stack[-1]
            try:
                below = await anext(steps)
            except StopAsyncIteration:
                stack.pop()
                await self._delete_branch(graph, header, path)
                continue
            if below is not None:
                stack.append((below, self._below(graph, header, below)))
        return True

    async def _below(self, graph: Graph, header: Header, path: Branch) -> _Steps:
        """The branches right below one that have anything left and more than a single state, which is deleted here."""
        run, table = header.run, self.services.backend.table
        for item in await self._branch(header, path):
            decision = decide(graph, read_record(item))
            if not isinstance(decision, Fork):
                continue
            number = int(item["sk"].removeprefix("s#"))
            # A unite that runs as one more branch is the last of them.
            width = decision.width + int(decision.unite is not None)
            for first in range(0, width, _AHEAD):
                indexes = range(first, min(first + _AHEAD, width))
                paths: list[Branch] = [(*path, (number, index)) for index in indexes]
                some = {keys.state(run.namespace, run.run_id, below, 0): below for below in paths}
                found = await table.batch_get(some)
                single = [key for key, state in found.items() if not goes_on(graph, read_record(state))]
                await table.batch_write(deletes=single)
                yield None
                for key in found.keys() - set(single):
                    yield some[key]

    async def _branch(self, header: Header, path: Branch) -> list[Item]:
        run = header.run
        query = Query(keys.branch(run.namespace, run.run_id, path))
        return [item async for item in every(self.services.backend.table, query)]

    async def _delete_branch(self, graph: Graph, header: Header, path: Branch) -> None:
        items = await self._branch(header, path)
        for item in items:
            decision = decide(graph, read_record(item))
            if isinstance(decision, Fork):
                await self._delete_joins(header, path, int(item["sk"].removeprefix("s#")), decision.width)
        named = [Key(item["pk"], item["sk"]) for item in items]
        # The first state last: whoever goes on with this purge looks whether it is there.
        await self._delete(named[:0:-1])
        await self._delete(named[:1])

    async def _delete_joins(self, header: Header, path: Branch, number: int, width: int) -> None:
        run, arity = header.run, self.services.settings.shard_width
        found: dict[Key, None] = {}
        for index in range(0, width, arity):
            for slot in climb(width, index, arity):
                for epoch in range(run.epoch + 1):
                    found[
                        keys.join(run.namespace, run.run_id, path, number, epoch, slot.level, slot.item)
                    ] = None
            if len(found) >= _AT_A_TIME:
                await self._delete(list(found))
                found.clear()
        await self._delete(list(found))

    async def _rest(self, header: Header) -> None:
        run, table = header.run, self.services.backend.table
        await self.slots.release(header)
        partitions = [keys.store(run.namespace, run.run_id), keys.park(run.namespace, run.run_id)]
        partitions += [keys.signals_shard(run.namespace, run.run_id, n) for n in range(keys.SIGNAL_SHARDS)]
        for partition in [*partitions, keys.reusers(run.namespace, run.run_id)]:
            await self._delete([Key(item["pk"], item["sk"]) async for item in every(table, Query(partition))])
        order = keys.order(header.created_ms, run.run_id)
        named = [
            Key(keys.tagged(run.namespace, name, value), order) for name, value in (header.tags or {}).items()
        ]
        sources = () if run.reused is None else run.reused.sources
        await self._delete(
            [*named, *(Key(keys.reusers(run.namespace, each.run_id), run.run_id) for each in sources)]
        )
        if header.timed:
            await self.sender.forget(Command(CommandKind.DEADLINE, run.namespace, run.run_id))
        await self.services.backend.blobs.delete_prefix(f"{run.namespace}/{run.run_id}/")

    async def _delete(self, named: list[Key]) -> None:
        if named:
            await self.services.backend.table.batch_write(deletes=named)
