"""Lists of runs, newest first: of a namespace, of a graph, or of those that have a tag.

Runs of a namespace and of a graph are read from the listing indexes, a partition a day, through the days that have any.
Runs with a tag are read from the tag's own entries; the header, which each entry names, has the last word, since
entries are written before it. A cursor is the key of the last run that was looked at, so it fits any partition.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from karman_core.domain.errors import InvalidRequest, NewerLayout
from karman_core.domain.layouts import layout_of
from karman_core.domain.tags import cut
from karman_core.domain.transitions import FINAL_RUNS, OPEN_RUNS, RunStatus
from karman_core.engine import keys
from karman_core.engine.cursors import NO_CURSOR, checked_limit, read_cursor, write_cursor
from karman_core.engine.paging import every
from karman_core.engine.run_items import Header, is_purged, read_header
from karman_core.engine.services import Services
from karman_core.engine.views import RunsPage, RunView, TotalsView
from karman_core.ports.table import BY_GRAPH, BY_TIME, Index, Item, Key, Query

MAX_LOOKED_AT = 5_000
"""Runs that one page looks through: where a filter lets few pass, a page comes early, with a cursor."""

_MAX_DAYS = 400
_FILTERED_CHUNK = 100
_BEFORE = "before"
_RESERVED_START = "its start, which the graph's rate limit reserved for it"
_ORDER = re.compile(r"[0-9]{15}#[a-z0-9]{1,64}")

Entry: TypeAlias = tuple[str, Header | None]
"""The key of a run among others, and its header.

None for what a tag was noted for and never became so, and for a run that only a later release can read.
"""


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs a list has. Times are of the run's creation, epoch ms: from `since_ms` on, before `until_ms`."""

    graph: str | None = None
    status: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    def passes(self, view: RunView) -> bool:
        """Whether a run is one of these; those outside of the times are not read at all."""
        wanted = ((view.graph, self.graph), (view.status, self.status))
        return all(want in {None, has} for has, want in wanted) and all(
            view.tags.get(name) == cut(value) for name, value in self.tags.items()
        )


@dataclass(frozen=True, slots=True)
class _Span:
    """Times of creation, and keys of runs: the last one is looked at too."""

    since_ms: int
    until_ms: int
    last: str

    @property
    def first(self) -> str:
        """Sorts before all runs of its time."""
        return keys.time_text(self.since_ms)

    @property
    def empty(self) -> bool:
        return self.until_ms <= self.since_ms or self.last < self.first


class RunLister:
    """Lists runs."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def page(self, namespace: str, wanted: RunFilter, limit: int, cursor: str | None) -> RunsPage:
        """A page of runs. One that looked through many may hold fewer than the limit, and have a cursor.

        Raises:
            InvalidRequest: a limit or a cursor that cannot be.
        """
        found: list[RunView] = []
        chunk = checked_limit(limit)
        if wanted.tags or wanted.status is not None:
            chunk = max(chunk, _FILTERED_CHUNK)
        looked_at = 0
        async with aclosing(self.entries(namespace, wanted, chunk, cursor)) as entries:
            async for order, header in entries:
                looked_at += 1
                view = None if header is None else self.view(header)
                if view is not None and wanted.passes(view):
                    found.append(view)
                if len(found) == limit or looked_at == MAX_LOOKED_AT:
                    return RunsPage(tuple(found), write_cursor(_BEFORE, order))
        return RunsPage(tuple(found))

    def view(self, header: Header) -> RunView:
        """A run as its header has it."""
        return run_view(header, self._services.clock.now_ms())

    async def entries(
        self, namespace: str, wanted: RunFilter, chunk: int, cursor: str | None = None
    ) -> AsyncGenerator[Entry]:
        """Runs of the times, and of the graph or of the first tag, newest first, read so many at a time."""
        span = self._span(wanted, cursor)
        if span.empty:
            return
        partitions = self._days(namespace, wanted.graph, span)
        if wanted.tags:
            partitions = self._tag(namespace, *next(iter(wanted.tags.items())))
        async for partition, index in partitions:
            query = Query(
                partition,
                first=span.first,
                last=span.last,
                index=index,
                reverse=True,
                limit=chunk,
                consistent=False,
            )
            while True:
                page = await self._services.backend.table.query(query)
                for entry in await self._read(namespace, index, page.items):
                    yield entry
                if page.cursor is None:
                    break
                query = replace(query, cursor=page.cursor)

    async def _days(
        self, namespace: str, graph: str | None, span: _Span
    ) -> AsyncGenerator[tuple[str, Index | None]]:
        """The days on which runs began, newest first."""
        first = keys.day_text(span.since_ms // keys.DAY_MS)
        last = keys.day_text(int(span.last.partition("#")[0]) // keys.DAY_MS)
        query = Query(keys.days(namespace, graph), first=first, last=last, reverse=True)
        async for item in every(self._services.backend.table, query):
            at = int(item["sk"]) * keys.DAY_MS
            if graph is None:
                yield keys.by_time(namespace, at), BY_TIME
            else:
                yield keys.by_graph(namespace, graph, at), BY_GRAPH

    async def _tag(self, namespace: str, name: str, value: str) -> AsyncGenerator[tuple[str, Index | None]]:
        yield keys.tagged(namespace, name, cut(value)), None

    async def _read(self, namespace: str, index: Index | None, items: Sequence[Item]) -> list[Entry]:
        if index is not None:
            return [(item[index.sk], self._header(item)) for item in items]
        named = [keys.run(namespace, item["sk"].partition("#")[2]) for item in items]
        headers = await self._named(list(dict.fromkeys(named)))
        return [
            (item["sk"], _begun_so(item, headers.get(key))) for item, key in zip(items, named, strict=True)
        ]

    async def _named(self, named: Sequence[Key]) -> dict[Key, Item]:
        """The headers of these keys; one of a later release keeps no other from being listed."""
        try:
            return await self._services.backend.table.batch_get(named, consistent=False)
        except NewerLayout:
            if len(named) == 1:
                return {}
        half = len(named) // 2
        return {**await self._named(named[:half]), **await self._named(named[half:])}

    def _header(self, item: Item) -> Header | None:
        """None for that of a later release."""
        return read_header(item) if layout_of(item) <= self._services.layout else None

    def _span(self, wanted: RunFilter, cursor: str | None) -> _Span:
        now = self._services.clock.now_ms()
        oldest = (now // keys.DAY_MS - _MAX_DAYS) * keys.DAY_MS
        since = max(0, oldest if wanted.since_ms is None else wanted.since_ms)
        # Another process, which made a run, may have a clock that is ahead of this one.
        until = max(0, now + keys.DAY_MS if wanted.until_ms is None else wanted.until_ms)
        last = keys.time_text(until)
        return _Span(since, until, last if cursor is None else min(last, _below(_read_order(cursor))))


def run_view(header: Header, now_ms: int) -> RunView:
    """A run as its header has it at a time."""
    run, status = header.run, header.status
    queued = header.queued and status in OPEN_RUNS
    if status is RunStatus.RUNNING and (queued or now_ms < header.starts_ms):
        status = RunStatus.QUEUED
    elif status is RunStatus.RUNNING and header.waiting:
        status = RunStatus.WAITING
    return RunView(
        namespace=run.namespace,
        run_id=run.run_id,
        graph=run.graph,
        graph_version=run.version,
        status=status.value,
        epoch=run.epoch,
        created_ms=header.created_ms,
        starts_ms=header.starts_ms,
        ended_ms=header.ended_ms if status in FINAL_RUNS else None,
        deadline_ms=run.deadline_ms,
        inputs=header.inputs or {},
        totals=TotalsView(**header.totals._asdict()),
        tags=header.tags or {},
        idempotency_key=header.key,
        queued_for=_queued_for(header, status),
        rerun_of=None if run.reused is None else run.reused.sources[-1].run_id,
    )


def _queued_for(header: Header, status: RunStatus) -> str | None:
    """What a run waits for that a limit keeps from going on."""
    if header.queued and header.slot is not None and header.status in OPEN_RUNS:
        return header.slot.told(header.slot.limit)
    return _RESERVED_START if header.placed and status is RunStatus.QUEUED else None


def _begun_so(entry: Item, item: Item | None) -> Header | None:
    """The header that an entry was written for: of two triggers of one key, the other one's run may have begun."""
    if item is None or is_purged(item):
        return None
    header = read_header(item)
    return header if keys.order(header.created_ms, header.run.run_id) == entry["sk"] else None


def _below(order: str) -> str:
    """Sorts before a run's key and after all keys before it: run ids have letters and digits alone."""
    return f"{order[:-1]}{chr(ord(order[-1]) - 1)}~"


def _read_order(cursor: str) -> str:
    kind, order = read_cursor(cursor)
    if kind != _BEFORE or not isinstance(order, str) or not _ORDER.fullmatch(order):
        raise InvalidRequest(NO_CURSOR)
    return order
