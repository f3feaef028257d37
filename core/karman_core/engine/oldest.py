"""The run that has been going on for the longest, of all namespaces."""

from __future__ import annotations

from karman_core.domain.layouts import LAYOUT, layout_of
from karman_core.engine import keys
from karman_core.engine.run_items import Header, read_header
from karman_core.ports.table import UNFINISHED, Query, Table


async def oldest_unfinished(table: Table) -> Header | None:
    """The first of every shard of the index, and of these the oldest; None when nothing is unfinished."""
    found: list[Header] = []
    for shard in range(keys.UNFINISHED_SHARDS):
        query = Query(f"unfinished#{shard}", index=UNFINISHED, limit=1, consistent=False)
        page = await table.query(query)
        found += [read_header(item) for item in page.items if layout_of(item) <= LAYOUT]
    return min(found, key=lambda header: header.created_ms, default=None)
