"""Who may go on: slots for the runs of a concurrency key, and for all runs of a namespace that has a quota.

A run of a graph that limits concurrency takes its slot before its first state, whatever message brings it there, and
holds it until its final status, through pauses and waits. A run that finds none waits in the table: it writes that it
waits and then looks again; a run that ends gives its slot back and then looks who waits: one of them sees the other.
Whoever finds room for a run that waits sends it the message of its first state and takes the slot in its name.

The slots of a namespace, and those of a graph that refuses instead of queueing, are taken by the trigger, before
anything is sent. What a trigger that died took, is found when the next one is refused, or by the sweeper.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace

from karman_core.domain.concurrency import Slot
from karman_core.domain.errors import ConditionFailed, KarmanError, NotFound, QuotaExceeded
from karman_core.domain.message_bodies import decode_position, encode_position
from karman_core.domain.messages import Advance, Position
from karman_core.domain.transitions import FINAL_RUNS
from karman_core.engine import keys
from karman_core.engine.graphs import GraphStore
from karman_core.engine.quotas import Quotas
from karman_core.engine.run_items import PURGED, Header, is_purged, open_in_epoch, read_header
from karman_core.engine.sending import Sender
from karman_core.engine.services import Services
from karman_core.engine.slot_pools import SlotPools, Taken
from karman_core.ports.table import Absent, AnyOf, Check, Item, Key, OneOf, Present, Remove, Set

_LOOKED_AFTER_MS = 60_000
"""A pool is looked through for forgotten slots so often at most, by one process."""

_FORGOTTEN_MS = 300_000
"""A slot is forgotten if its run has not begun, or has ended, or has another one, so long after it was taken."""

_MOST_HOLDERS = 1_000
"""That are looked through at a time."""

_MOST_POOLS = 10_000
_OVER = (PURGED, *sorted(status.value for status in FINAL_RUNS))
_WAITING_AT_ONCE = 5


@dataclass(frozen=True, slots=True)
class Slots:
    """Gives runs their slots, and takes them back."""

    services: Services
    graphs: GraphStore
    sender: Sender
    quotas: Quotas
    pools: SlotPools
    _looked_after: dict[str, tuple[int, str]] = field(default_factory=dict)
    """When pools were looked through, and behind which run to go on the next time."""

    # --- triggers -----------------------------------------------------------------------------------------------------

    async def admit(self, header: Header) -> Header:
        """Take what a run has to have before its first message is sent. Returns the header that says so.

        Raises:
            QuotaExceeded: the namespace's quota is used up, or all slots are held and the graph does not queue.
        """
        header = await self._count(header, header.run.epoch)
        if header.slot is not None and header.slot.refuses:
            try:
                await self._hold(header, header.slot, header.run.epoch, header.slot.limit)
            except QuotaExceeded:
                await self.abandon(header, header.run.epoch)
                raise
        return header

    @asynccontextmanager
    async def again(self, header: Header) -> AsyncIterator[None]:
        """What a run that FAILED has to have to be retried; given back if that comes to nothing.

        Raises:
            QuotaExceeded: no slot is free; a retry does not wait for one.
        """
        run, epoch = header.run, header.run.epoch + 1
        counted = await self._count(header, epoch)
        try:
            if counted.counted and not header.counted:
                actions = [Set("counted", 1)]
                key = keys.run(run.namespace, run.run_id)
                await self.services.backend.table.update(key, actions, Present())
            if header.slot is not None:
                await self._hold(header, header.slot, epoch, await self._limit(header, header.slot))
            yield
        except Exception:
            await self.abandon(counted, epoch)
            raise

    async def abandon(self, header: Header, epoch: int) -> None:
        """Give back what was taken for a run that did not begin after all, as far as that can be known.

        Somebody else may begin it at this moment, for another trigger of the same key.
        """
        run = header.run
        over = AnyOf((Absent("status"), Present("purging"), OneOf("status", _OVER)))
        check = Check(keys.run(run.namespace, run.run_id), over)
        with suppress(KarmanError):
            for pool in self._pools(header):
                await self._give_on(pool, run.run_id, epoch, only_if=check)
            item = await self.services.backend.table.get(check.key)
            if item is not None and not is_purged(item):
                await self.yield_to(read_header(item), header)

    async def yield_to(self, begun: Header | None, header: Header) -> None:
        """Give back what a trigger took and its run does not hold, for it began as another trigger of the key had it.

        That one may have taken other slots: for other inputs, or by another version of the graph.

        Args:
            begun: the header in the table; None if the run is gone.
        """
        for pool in self._pools(header):
            if begun is not None and pool in self._pools(begun):
                continue
            await self._give_on(pool, header.run.run_id, header.run.epoch)

    async def _give_on(self, pool: str, run_id: str, epoch: int, only_if: Check | None = None) -> None:
        """Give back a slot, if it was held, and let others go on."""
        given = await self.pools.give(pool, run_id, epoch, only_if=only_if)
        if given and not await self.wake(pool):
            await self.pools.tidy(pool)

    async def _count(self, header: Header, epoch: int) -> Header:
        run = header.run
        limit = (await self.quotas.of(run.namespace)).concurrent_runs
        if limit is None:
            return header
        if not await self._take(run.namespace, keys.slots(run.namespace), run.run_id, epoch, limit):
            raise QuotaExceeded(
                f"Namespace '{run.namespace}' has as many runs that have not ended as its quota allows ({limit:,}); "
                "trigger again when one has ended."
            )
        return replace(header, counted=True)

    async def _hold(self, header: Header, slot: Slot, epoch: int, limit: int) -> None:
        run = header.run
        if not await self._take(run.namespace, _pool(header, slot), run.run_id, epoch, limit):
            raise QuotaExceeded(
                f"Graph '{run.graph}' has no free slot for the run; it needs {slot.told(limit)}. Try again when one of "
                "these runs has ended."
            )

    async def _take(self, namespace: str, pool: str, run_id: str, epoch: int, limit: int) -> bool:
        taken = await self.pools.take(pool, run_id, epoch, limit)
        if taken is Taken.FULL and await self.look_after(namespace, pool):
            taken = await self.pools.take(pool, run_id, epoch, limit)
        return taken is not Taken.FULL

    # --- runs that begin ----------------------------------------------------------------------------------------------

    async def enter(self, header: Header, slot: Slot, position: Position) -> bool | None:
        """Whether a run, which has not ended, goes on with its first state.

        Returns:
            False when it waits for a slot: its message is not needed any more. None when it has ended meanwhile.
        """
        run, pool = header.run, _pool(header, slot)
        table, held = self.services.backend.table, keys.slot_held(pool, run.run_id)
        likely = slot.refuses or header.queued  # Whoever woke it took the slot in its name.
        if (likely and await self.pools.holds(pool, run.run_id)) or await self._get(header, slot, pool):
            return await self._entered(header, pool)
        if not header.queued and not await self._mark(header):
            return None
        wait = _wait(header, pool)
        bare = self.sender.light(replace(position, trigger_inputs=None))
        await table.put({"pk": wait.pk, "sk": wait.sk, "position": encode_position(bare)})
        key = keys.run(run.namespace, run.run_id)
        found = await table.batch_get([held, key])
        if held in found:  # By a duplicate of this message, or by whoever found room for it.
            return await self._entered(header, pool)
        if _is_over(found.get(key)):
            await table.delete(wait)
            return None
        await self.wake(pool)
        return False

    async def _get(self, header: Header, slot: Slot, pool: str) -> bool:
        """Take the slot if there is one; who comes for the first time does not go before those that wait."""
        run, limit, wait = header.run, slot.limit, None
        if header.queued:
            limit, wait = await self._limit(header, slot), _wait(header, pool)
        else:
            async for _ in self.pools.waiting(pool, 1):
                return False
        return await self.pools.take(pool, run.run_id, run.epoch, limit, wait=wait) is not Taken.FULL

    async def _entered(self, header: Header, pool: str) -> bool | None:
        """Look at the run once more, now that it holds its slot: whoever ends it after this sees the slot."""
        key, table = keys.run(header.run.namespace, header.run.run_id), self.services.backend.table
        item = await table.get(key)
        if item is None or _is_over(item):
            return None
        if "queued" in item:
            await table.delete(_wait(header, pool))
            with suppress(ConditionFailed):
                await table.update(key, [Remove("queued")], open_in_epoch(item["epoch"]))
        return True

    async def _mark(self, header: Header) -> bool:
        run = header.run
        try:
            key = keys.run(run.namespace, run.run_id)
            await self.services.backend.table.update(key, [Set("queued", 1)], open_in_epoch(run.epoch))
        except ConditionFailed:
            return False
        return True

    async def _limit(self, header: Header, slot: Slot) -> int:
        """The limit that holds now: of the graph's current version, if it counts by the same key; else the run's."""
        run = header.run
        try:
            current = await self.graphs.current(run.namespace, run.graph)
        except NotFound:
            return slot.limit
        now = current.definition.concurrency
        mine = (await self.graphs.compiled(run.namespace, run.graph, run.version)).concurrency
        same = current.valid and now is not None and mine is not None and now.key == mine.declared.key
        return now.limit if same and now is not None else slot.limit

    # --- runs that have ended -----------------------------------------------------------------------------------------

    async def release(self, header: Header) -> None:
        """Give back what a run holds that has ended, and let others go on. Again does no harm."""
        run = header.run
        if header.slot is not None and header.queued:
            # First: whoever is about to take the slot in the name of this run, does so only while this is there.
            await self.services.backend.table.delete(_wait(header, _pool(header, header.slot)))
        for pool in self._pools(header):
            await self.pools.give(pool, run.run_id, run.epoch)
        if header.slot is None:
            return
        pool = _pool(header, header.slot)
        if not await self.wake(pool):
            await self.pools.tidy(pool)

    async def wake(self, pool: str) -> bool:
        """Let those that wait go on, as many as there is room for. Returns whether anybody waited."""
        some = False
        async for item in self.pools.waiting(pool, _WAITING_AT_ONCE):
            some = True
            try:
                room = await self._hand_over(pool, item)
            except NotFound:
                continue  # Nobody can take its message, for its queue is gone; it keeps no other from going on.
            if not room:
                break
        return some

    async def _hand_over(self, pool: str, item: Item) -> bool:
        """Have a run that waits go on. Returns False when there is no room."""
        table, position = self.services.backend.table, decode_position(item["position"])
        run, wait = position.run, Key(item["pk"], item["sk"])
        found = await table.get(keys.run(run.namespace, run.run_id))
        header = None if found is None or _is_over(found) else read_header(found)
        if header is None or header.slot is None:
            await table.delete(wait)
            return True
        limit = await self._limit(header, header.slot)
        if await self.pools.count(pool) >= limit:
            return False
        graph = await self.graphs.compiled(run.namespace, run.graph, run.version)
        queue = await self.sender.queue_of(graph, run.namespace, graph.root)  # By now it may be another one.
        # The message first: it takes the slot itself, should this process come no further.
        await self.sender.send(queue, [Advance(position, again=True)])
        taken = await self.pools.take(pool, run.run_id, header.run.epoch, limit, wait=wait, still_waits=True)
        return taken is not Taken.FULL

    async def claim(self, header: Header, epoch: int) -> bool:
        """Whether a run that is to be retried has the slot that was taken for it."""
        if header.slot is None:
            return True
        return await self.pools.claim(_pool(header, header.slot), header.run.run_id, epoch)

    # --- the last guard -----------------------------------------------------------------------------------------------

    async def waits(self, header: Header) -> bool:
        """Whether a run waits for its slot; what was forgotten of the others is seen to."""
        if header.slot is None or not header.queued:
            return False
        pool = _pool(header, header.slot)
        await self.look_after(header.run.namespace, pool)
        return await self.services.backend.table.get(_wait(header, pool)) is not None

    async def has(self, header: Header) -> bool:
        """Whether a run has the slot that it needs, if it needs one."""
        slot = header.slot
        return slot is None or await self.pools.holds(_pool(header, slot), header.run.run_id)

    async def look_after(self, namespace: str, pool: str) -> bool:
        """Give back forgotten slots and wake who waits, unless that was done a moment ago. Returns whether it was."""
        now = self.services.clock.now_ms()
        last, behind = self._looked_after.get(pool, (None, ""))
        if last is not None and now - last < _LOOKED_AFTER_MS:
            return False
        if len(self._looked_after) >= _MOST_POOLS:
            self._looked_after.clear()
        self._looked_after[pool] = (now, behind)
        behind = await self._give_forgotten(namespace, pool, now - _FORGOTTEN_MS, behind)
        self._looked_after[pool] = (now, behind)
        await self.wake(pool)
        return True

    async def _give_forgotten(self, namespace: str, pool: str, before_ms: int, behind: str) -> str:
        """Look at the holders behind one. Returns behind which to go on: the last of them, or none at the end."""
        old, looked_at, last = {}, 0, ""
        async for item in self.pools.holders(pool, behind):
            looked_at += 1
            if item["at"] < before_ms:
                old[keys.run(namespace, item["run"])] = item
            if looked_at == _MOST_HOLDERS:
                last = item["run"]
                break
        found = await self.services.backend.table.batch_get(old)
        for key, item in old.items():
            header = found.get(key)
            if header is None or _is_over(header) or pool not in self._pools(read_header(header)):
                await self.pools.give(pool, item["run"], item["epoch"], at=item["at"])
        return last

    def _pools(self, header: Header) -> list[str]:
        own = [] if header.slot is None else [_pool(header, header.slot)]
        return [keys.slots(header.run.namespace), *own] if header.counted else own


def _pool(header: Header, slot: Slot) -> str:
    return keys.slots_of(header.run.namespace, header.run.graph, slot.scope)


def _wait(header: Header, pool: str) -> Key:
    return keys.slot_wait(pool, header.starts_ms, header.run.run_id)


def _is_over(item: Item | None) -> bool:
    """Whether a header says that the run has ended, or is gone."""
    return item is None or is_purged(item) or item["status"] in FINAL_RUNS
