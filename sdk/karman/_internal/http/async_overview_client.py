"""Methods of the asynchronous client that look at much at once, or at a whole graph or namespace."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from datetime import datetime

from karman._internal.durations import Duration, to_seconds
from karman._internal.http.calls import Call, T
from karman._internal.http.overview_routes import OverviewRoutes, RunsWanted
from karman._internal.http.results import Firings, Page
from karman._internal.http.routes import Routes
from karman._internal.http.watching import ChangeWatch
from karman_core.domain.quotas import NamespaceQuotas
from karman_core.engine.reconciling import Reconciliation
from karman_core.engine.summaries import NamespaceView, RunProgress, Statistics
from karman_core.engine.views import RunView


class AsyncOverviewMethods(ABC):
    """See `AsyncClient`."""

    _routes: Routes

    def runs(
        self,
        *,
        graph: str | None = None,
        status: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        tags: Mapping[str, str] | None = None,
        page_size: int | None = None,
    ) -> AsyncIterator[RunView]:
        """Runs, newest first.

        Args:
            status: as RunView has it, in capitals.
            since: only those begun since then; with a time zone.
            until: only those begun before then.
            tags: only those that have all of them.
        """
        wanted = RunsWanted(graph, status, since, until, tags or {})
        return self._all(OverviewRoutes(self._routes).runs(wanted, page_size))

    async def runs_page(
        self,
        *,
        graph: str | None = None,
        status: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        tags: Mapping[str, str] | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Page[RunView]:
        """The same, a page at a time. One may be short of the limit, or empty, and have a cursor all the same."""
        wanted = RunsWanted(graph, status, since, until, tags or {})
        return await self._send(OverviewRoutes(self._routes).runs(wanted, limit, cursor))

    async def statistics(
        self, *, graph: str | None = None, since: datetime | None = None, until: datetime | None = None
    ) -> Statistics:
        """Runs together: how they stand, how long they took, what they did, what failed; arguments as of `runs`."""
        return await self._send(OverviewRoutes(self._routes).statistics(graph, since, until))

    async def watch(self, run_id: str, *, timeout: Duration | None = None) -> AsyncIterator[RunProgress]:
        """How a run stands, at once and whenever it has changed, until it has ended.

        Args:
            timeout: at most so long, as a timedelta or seconds; None for as long as it takes.

        Raises:
            StillRunning: the time is over; the run goes on.
        """
        watch = ChangeWatch(None if timeout is None else to_seconds(timeout, "The time to watch"))
        watch.begin(time.monotonic())
        while not watch.ended:
            seconds = watch.seconds(time.monotonic())
            progress = await self._send(OverviewRoutes(self._routes).events(run_id, watch.seen, seconds))
            if watch.take(progress):
                yield progress
            await asyncio.sleep(watch.pause(time.monotonic()))

    async def delete_graph(self, name: str) -> None:
        """End a graph, its schedules and its secrets; runs that go on keep their version. Raises NotFound."""
        await self._send(OverviewRoutes(self._routes).delete_graph(name))

    async def enable_trigger(self, graph: str, trigger: str) -> Firings:
        """Let a cron trigger fire, by a new version of its graph, if it does not. Raises NotFound."""
        return await self._send(OverviewRoutes(self._routes).set_trigger(graph, trigger, "enable"))

    async def disable_trigger(self, graph: str, trigger: str) -> Firings:
        """Keep a cron trigger from firing, by a new version of its graph, if it does. Raises NotFound."""
        return await self._send(OverviewRoutes(self._routes).set_trigger(graph, trigger, "disable"))

    async def reconcile_triggers(self, *, dry_run: bool = False, rewrite: bool = False) -> Reconciliation:
        """Compare the schedules of this client's namespace with its graphs' triggers, and mend what is different.

        Args:
            dry_run: tell, and change nothing.
            rewrite: write all other schedules again too, with their target and role.
        """
        return await self._send(OverviewRoutes(self._routes).reconcile(dry_run=dry_run, rewrite=rewrite))

    def namespaces(self, *, page_size: int | None = None) -> AsyncIterator[str]:
        """The names of all namespaces, sorted. Takes the server's own admin key."""
        return self._all(OverviewRoutes(self._routes).namespaces(page_size))

    async def describe_namespace(self) -> NamespaceView:
        """This client's namespace, and how many nodes and graphs it has. Raises NotFound."""
        return await self._send(OverviewRoutes(self._routes).describe_namespace())

    async def create_namespace(self) -> NamespaceView:
        """Make this client's namespace, unless it is there."""
        return await self._send(OverviewRoutes(self._routes).create_namespace())

    async def quotas(self) -> NamespaceQuotas:
        """What all runs of this client's namespace may take together."""
        return await self._send(OverviewRoutes(self._routes).quotas())

    async def set_quotas(
        self,
        *,
        concurrent_runs: int | None = None,
        states_per_second: float | None = None,
        payload_bytes: int | None = None,
    ) -> NamespaceQuotas:
        """Replace all quotas of this client's namespace. Takes the server's own admin key.

        Args:
            concurrent_runs: so many runs go on at a time; None for no limit, as of the others.
            states_per_second: so many states begin a second.
            payload_bytes: of the largest payload, as JSON.
        """
        quotas = NamespaceQuotas(concurrent_runs, states_per_second, payload_bytes)
        return await self._send(OverviewRoutes(self._routes).set_quotas(quotas))

    @abstractmethod
    def _all(self, call: Call[Page[T]]) -> AsyncIterator[T]: ...

    @abstractmethod
    async def _send(self, call: Call[T]) -> T: ...
