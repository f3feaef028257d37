"""Which namespaces there are: each that somebody made, or registered nodes, stored a graph or issued a key in."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from karman_core.domain.errors import ConditionFailed
from karman_core.engine import keys
from karman_core.ports.system import Clock
from karman_core.ports.table import BY_TIME, Absent, Item, Query, Table

_NOTED = 10_000
_AFTER = "!"
"""Sorts before all characters that names have."""


class Namespaces:
    """Notes namespaces, once each and process, and lists them."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self._table = table
        self._clock = clock
        self._noted: set[str] = set()

    async def note(self, namespace: str) -> None:
        """See to it that a namespace is listed; one write the first time."""
        if namespace in self._noted:
            return
        at = keys.about(namespace)
        item: Item = {
            "pk": at.pk,
            "sk": at.sk,
            "created": self._clock.now_ms(),
            BY_TIME.pk: keys.NAMESPACES,
            BY_TIME.sk: namespace,
        }
        with suppress(ConditionFailed):
            await self._table.put(item, Absent())
        if len(self._noted) >= _NOTED:
            self._noted.clear()
        self._noted.add(namespace)

    async def created_ms(self, namespace: str) -> int | None:
        """When a namespace came to be, epoch milliseconds; None when there is none of that name."""
        item = await self._table.get(keys.about(namespace))
        return None if item is None else int(item["created"])

    async def names(self, limit: int, after: str | None = None) -> list[str]:
        """Names in order, those after a name, at most so many. One that is seconds old may be missing."""
        found: list[str] = []
        query = Query(
            keys.NAMESPACES,
            first=None if after is None else after + _AFTER,
            index=BY_TIME,
            consistent=False,
            limit=limit,
        )
        while True:
            page = await self._table.query(query)
            found += [item[BY_TIME.sk] for item in page.items]
            if page.cursor is None or len(found) >= limit:
                return found[:limit]
            query = replace(query, cursor=page.cursor)
