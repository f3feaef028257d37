"""The table as the engine sees it: what a later release wrote is neither read nor changed.

Every item that is read is looked at, and every write has the condition that the item is of a layout that is known
here, which costs nothing: so no use case has to think of it, and no kind of item is forgotten. Two calls are let
through. Queries of an index give headers of many runs, and one of a later release must not hide the others:
`read_header` looks at each. `batch_write` has no conditions; its puts are whole items, which later releases can read,
and what it deletes was read before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import assert_never

from karman_core.domain.errors import ConditionFailed, TransactionFailed
from karman_core.domain.layouts import ATTRIBUTE, LAYOUT, check_layout
from karman_core.ports.backend import Backend
from karman_core.ports.blobs import Blobs
from karman_core.ports.events import Events
from karman_core.ports.queue import Queue
from karman_core.ports.secrets import Secrets
from karman_core.ports.table import (
    Absent,
    Action,
    AllOf,
    AnyOf,
    Check,
    Condition,
    Consumed,
    Delete,
    Item,
    Key,
    LessThan,
    Page,
    Put,
    Query,
    Table,
    Update,
    Write,
)
from karman_core.ports.timers import Schedules, Timers

_NEW = Absent()


class LayoutTable:
    """A table, guarded. Every method raises NewerLayout beside what the port says."""

    def __init__(self, table: Table, known: int = LAYOUT) -> None:
        """Guard a table; `known` is the latest layout that is read and changed."""
        self.consumed: Consumed = table.consumed
        self._table = table
        self._known = known
        self._understood = AnyOf((Absent(ATTRIBUTE), LessThan(ATTRIBUTE, known + 1)))

    async def get(self, key: Key, *, consistent: bool = True) -> Item | None:
        item = await self._table.get(key, consistent=consistent)
        if item is not None:
            check_layout(item, self._known)
        return item

    async def batch_get(self, keys: Iterable[Key], *, consistent: bool = True) -> dict[Key, Item]:
        items = await self._table.batch_get(keys, consistent=consistent)
        for item in items.values():
            check_layout(item, self._known)
        return items

    async def put(self, item: Item, condition: Condition | None = None) -> None:
        try:
            await self._table.put(item, self._guarded(condition))
        except ConditionFailed as lost:
            self._check_lost(lost.old)
            raise

    async def update(self, key: Key, actions: Sequence[Action], condition: Condition | None = None) -> Item:
        try:
            return await self._table.update(key, actions, self._guarded(condition))
        except ConditionFailed as lost:
            self._check_lost(lost.old)
            raise

    async def delete(self, key: Key, condition: Condition | None = None) -> None:
        try:
            await self._table.delete(key, self._guarded(condition))
        except ConditionFailed as lost:
            self._check_lost(lost.old)
            raise

    async def batch_write(self, puts: Iterable[Item] = (), deletes: Iterable[Key] = ()) -> None:
        await self._table.batch_write(puts, deletes)

    async def transact(self, writes: Sequence[Write]) -> None:
        try:
            await self._table.transact([self._guarded_write(write) for write in writes])
        except TransactionFailed as lost:
            for old in lost.old:
                self._check_lost(old)
            raise

    async def query(self, query: Query) -> Page:
        page = await self._table.query(query)
        if query.index is None:
            for item in page.items:
                check_layout(item, self._known)
        return page

    def _guarded(self, condition: Condition | None) -> Condition:
        if condition == _NEW:
            return _NEW  # There is no item whose layout could be another.
        return self._understood if condition is None else AllOf((condition, self._understood))

    def _guarded_write(self, write: Write) -> Write:
        match write:
            case Put() | Update() | Delete() | Check():
                return replace(write, condition=self._guarded(write.condition))
        assert_never(write)

    def _check_lost(self, old: Item | None) -> None:
        """A write that has no condition of its own loses for the layout alone."""
        if old is not None:
            check_layout(old, self._known)


class LayoutBackend:
    """A backend whose table is guarded."""

    def __init__(self, backend: Backend, known: int = LAYOUT) -> None:
        """Guard a backend's table; `known` is the latest layout that is read and changed."""
        self._backend = backend
        self._table = LayoutTable(backend.table, known)

    @property
    def table(self) -> Table:
        return self._table

    @property
    def queue(self) -> Queue:
        return self._backend.queue

    @property
    def timers(self) -> Timers:
        return self._backend.timers

    @property
    def schedules(self) -> Schedules:
        return self._backend.schedules

    @property
    def secrets(self) -> Secrets:
        return self._backend.secrets

    @property
    def blobs(self) -> Blobs:
        return self._backend.blobs

    @property
    def events(self) -> Events:
        return self._backend.events

    def purge(self, now_ms: int) -> None:
        self._backend.purge(now_ms)

    def close(self) -> None:
        self._backend.close()
