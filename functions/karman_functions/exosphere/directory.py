"""What Exosphere tells and Karman does not keep otherwise.

When a node was first registered and by whom, which namespaces have nodes, which manual retries were asked for:

    #namespaces             {ns}                        a namespace in which nodes were registered
    {ns}#exosphere          node#{name}                 who registered a node, and when
    {ns}#exosphere#retries  {state}#{fanout id}         a manual retry
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from karman_core.domain.errors import ConditionFailed
from karman_core.engine.layout_table import LayoutTable
from karman_core.ports.system import Clock
from karman_core.ports.table import Absent, Action, Item, Key, Query, Set, SetOnce, Table

_NAMESPACES = "#namespaces"
_RETRIES_KEPT_SECONDS = 400 * 86_400
"""Longer than any run is kept."""


@dataclass(frozen=True, slots=True)
class Registered:
    """Who registered a node, and when it was first registered."""

    runtime_name: str
    created_ms: int


class Directory:
    """Reads and writes these items."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self._table = LayoutTable(table)
        self._clock = clock

    async def note_nodes(self, namespace: str, runtime_name: str, names: Iterable[str]) -> None:
        """A runtime has registered these nodes."""
        await self._table.put({"pk": _NAMESPACES, "sk": namespace})
        actions: list[Action] = [Set("runtime", runtime_name), SetOnce("created", self._clock.now_ms())]
        for name in names:
            await self._table.update(_node(namespace, name), actions)

    async def nodes(self, namespace: str) -> dict[str, Registered]:
        """What is known of a namespace's nodes, by name."""
        items = await self._all(_nodes(namespace))
        return {
            item["sk"].removeprefix("node#"): Registered(item["runtime"], item["created"]) for item in items
        }

    async def namespaces(self) -> list[str]:
        """Every namespace in which nodes were registered through this API, sorted."""
        return sorted(item["sk"] for item in await self._all(_NAMESPACES))

    async def claim_retry(self, namespace: str, state_id: str, fanout_id: str) -> bool:
        """Take the name of a manual retry; False when it was taken before."""
        digest = hashlib.sha256(fanout_id.encode()).hexdigest()[:32]
        item = {
            "pk": f"{namespace}#exosphere#retries",
            "sk": f"{state_id}#{digest}",
            "ttl": self._clock.now_ms() // 1000 + _RETRIES_KEPT_SECONDS,
        }
        try:
            await self._table.put(item, Absent())
        except ConditionFailed:
            return False
        return True

    async def _all(self, pk: str) -> list[Item]:
        found: list[Item] = []
        cursor = None
        while True:
            page = await self._table.query(Query(pk, cursor=cursor))
            found += page.items
            cursor = page.cursor
            if cursor is None:
                return found


def _nodes(namespace: str) -> str:
    return f"{namespace}#exosphere"


def _node(namespace: str, name: str) -> Key:
    return Key(_nodes(namespace), f"node#{name}")
