"""All items of a query, page after page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

from karman_core.ports.table import Item, Query, Table


async def every(table: Table, query: Query) -> AsyncIterator[Item]:
    """The items of a query, over all its pages."""
    while True:
        page = await table.query(query)
        for item in page.items:
            yield item
        if page.cursor is None:
            return
        query = replace(query, cursor=page.cursor)
