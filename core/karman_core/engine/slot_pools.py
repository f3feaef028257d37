"""Slots in the table: a partition for all that share a limit, with a count and an item for each run that holds one.

Both change in one transaction, so the count is the number of the items, whatever crashes; the cost does not depend on
the limit. The item is what makes taking and giving once: a run that takes twice has one slot, and one that gives twice
takes nothing off.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto

from karman_core.domain.errors import ConditionFailed, TransactionConflict, TransactionFailed
from karman_core.engine import keys
from karman_core.engine.paging import every
from karman_core.engine.services import Services
from karman_core.ports.table import (
    Absent,
    Add,
    AllOf,
    AnyOf,
    Check,
    Delete,
    Equals,
    Item,
    Key,
    LessThan,
    Present,
    Put,
    Query,
    Set,
    Update,
    Write,
)

_CONFLICT_TRIES = 50
_CONFLICT_PAUSE_SECONDS = 0.05
_HELD, _WAIT = 1, 2
"""The places of the items in the transaction that takes a slot."""

_NEXT, _LAST = " ", "~"
"""Behind the id of a run: what follows it directly; behind all of them."""


class Taken(Enum):
    """How it went."""

    TAKEN = auto()
    MINE = auto()
    """It was held before, or the run does not wait any more."""
    FULL = auto()


@dataclass(frozen=True, slots=True)
class SlotPools:
    """Takes slots and gives them back. `pool` is always the partition."""

    services: Services

    async def take(
        self,
        pool: str,
        run_id: str,
        epoch: int,
        limit: int,
        *,
        wait: Key | None = None,
        still_waits: bool = False,
    ) -> Taken:
        """Take a slot for an epoch of a run, unless `limit` of them are held.

        Args:
            wait: the item by which the run waits, which goes with it.
            still_waits: only if that item is there; without it somebody else has seen to the run.
        """
        held, now = keys.slot_held(pool, run_id), self.services.clock.now_ms()
        free = AnyOf((Absent("held"), LessThan("held", limit)))
        writes: list[Write] = [
            Update(keys.slot_count(pool), (Add("held", 1),), free),
            Put({"pk": held.pk, "sk": held.sk, "run": run_id, "epoch": epoch, "at": now}, Absent()),
        ]
        if wait is not None:
            writes.append(Delete(wait, Present() if still_waits else None))
        while True:
            try:
                await self._transact(writes)
            except TransactionFailed as lost:
                if _WAIT in lost.failed:
                    return Taken.MINE
                if _HELD not in lost.failed:
                    return Taken.FULL
                old = lost.old[_HELD]
                if old is None or await self._take_over(held, old, epoch):
                    return Taken.MINE
            else:
                return Taken.TAKEN

    async def _take_over(self, held: Key, old: Item, epoch: int) -> bool:
        """Have what an earlier epoch of the run held, and has not given back yet; False if it has by now."""
        if old["epoch"] >= epoch:
            return True
        actions = [Set("epoch", epoch), Set("at", self.services.clock.now_ms())]
        with suppress(ConditionFailed):
            await self.services.backend.table.update(held, actions, Equals("epoch", old["epoch"]))
            return True
        return False

    async def give(
        self, pool: str, run_id: str, epoch: int, *, at: int | None = None, only_if: Check | None = None
    ) -> bool:
        """Give back the slot that a run took in this epoch or an earlier one. Returns whether it held one.

        Args:
            at: only if it was taken, or claimed, at this time.
            only_if: what holds of another item in the same moment.
        """
        mine = LessThan("epoch", epoch + 1)
        count = Update(keys.slot_count(pool), (Add("held", -1),), Present("held"))
        held = Delete(keys.slot_held(pool, run_id), mine if at is None else AllOf((mine, Equals("at", at))))
        try:
            await self._transact([count, held] if only_if is None else [count, held, only_if])
        except TransactionFailed:
            return False
        return True

    async def claim(self, pool: str, run_id: str, epoch: int) -> bool:
        """Note that the slot taken for an epoch is needed now, so that nobody takes it for a forgotten one."""
        try:
            actions = [Set("at", self.services.clock.now_ms())]
            key = keys.slot_held(pool, run_id)
            await self.services.backend.table.update(key, actions, Equals("epoch", epoch))
        except ConditionFailed:
            return False
        return True

    async def holds(self, pool: str, run_id: str) -> bool:
        """Whether a run holds a slot."""
        return await self.services.backend.table.get(keys.slot_held(pool, run_id)) is not None

    async def count(self, pool: str) -> int:
        """How many slots are held."""
        item = await self.services.backend.table.get(keys.slot_count(pool))
        return 0 if item is None else int(item.get("held", 0))

    async def tidy(self, pool: str) -> None:
        """Leave nothing of a pool of which no slot is held."""
        if await self.count(pool) == 0:
            with suppress(ConditionFailed, TransactionConflict):
                await self.services.backend.table.delete(keys.slot_count(pool), Equals("held", 0))

    async def holders(self, pool: str, behind: str = "") -> AsyncIterator[Item]:
        """The items of the runs that hold a slot, by their ids, those behind one.

        A look at many, so it may be some moments old.
        """
        first, last = keys.slot_held(pool, f"{behind}{_NEXT}"), keys.slot_held(pool, _LAST)
        query = Query(pool, first=first.sk, last=last.sk, consistent=False)
        async for item in every(self.services.backend.table, query):
            yield item

    async def waiting(self, pool: str, limit: int) -> AsyncIterator[Item]:
        """The items of the runs that wait, the first one first, read so many at a time."""
        async for item in every(self.services.backend.table, Query(pool, prefix=keys.SLOT_WAIT, limit=limit)):
            yield item

    async def _transact(self, writes: Sequence[Write]) -> None:
        for _ in range(_CONFLICT_TRIES):
            try:
                await self.services.backend.table.transact(writes)
            except TransactionConflict:
                await self.services.clock.sleep(_CONFLICT_PAUSE_SECONDS * self.services.entropy.uniform())
            else:
                return
        raise TransactionConflict("Too many runs take or give back slots of one limit at once; try again.")
