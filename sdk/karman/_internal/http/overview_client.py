"""Methods of the blocking client that look at much at once, or at a whole graph or namespace."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
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


class OverviewMethods(ABC):
    """See `Client`."""

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
    ) -> Iterator[RunView]:
        """Runs, newest first.

        Args:
            status: as RunView has it, in capitals.
            since: only those begun since then; with a time zone.
            until: only those begun before then.
            tags: only those that have all of them.
        """
        wanted = RunsWanted(graph, status, since, until, tags or {})
        return self._all(OverviewRoutes(self._routes).runs(wanted, page_size))

    def runs_page(
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
        return self._send(OverviewRoutes(self._routes).runs(wanted, limit, cursor))

    def statistics(
        self, *, graph: str | None = None, since: datetime | None = None, until: datetime | None = None
    ) -> Statistics:
        """Runs together: how they stand, how long they took, what they did, what failed; arguments as of `runs`."""
        return self._send(OverviewRoutes(self._routes).statistics(graph, since, until))

    def watch(self, run_id: str, *, timeout: Duration | None = None) -> Iterator[RunProgress]:
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
            progress = self._send(OverviewRoutes(self._routes).events(run_id, watch.seen, seconds))
            if watch.take(progress):
                yield progress
            time.sleep(watch.pause(time.monotonic()))

    def delete_graph(self, name: str) -> None:
        """End a graph, its schedules and its secrets; runs that go on keep their version. Raises NotFound."""
        self._send(OverviewRoutes(self._routes).delete_graph(name))

    def enable_trigger(self, graph: str, trigger: str) -> Firings:
        """Let a cron trigger fire, by a new version of its graph, if it does not. Raises NotFound."""
        return self._send(OverviewRoutes(self._routes).set_trigger(graph, trigger, "enable"))

    def disable_trigger(self, graph: str, trigger: str) -> Firings:
        """Keep a cron trigger from firing, by a new version of its graph, if it does. Raises NotFound."""
        return self._send(OverviewRoutes(self._routes).set_trigger(graph, trigger, "disable"))

    def reconcile_triggers(self, *, dry_run: bool = False, rewrite: bool = False) -> Reconciliation:
        """Compare the schedules of this client's namespace with its graphs' triggers, and mend what is different.

        Args:
            dry_run: tell, and change nothing.
            rewrite: write all other schedules again too, with their target and role.
        """
        return self._send(OverviewRoutes(self._routes).reconcile(dry_run=dry_run, rewrite=rewrite))

    def namespaces(self, *, page_size: int | None = None) -> Iterator[str]:
        """The names of all namespaces, sorted. Takes the server's own admin key."""
        return self._all(OverviewRoutes(self._routes).namespaces(page_size))

    def describe_namespace(self) -> NamespaceView:
        """This client's namespace, and how many nodes and graphs it has. Raises NotFound."""
        return self._send(OverviewRoutes(self._routes).describe_namespace())

    def create_namespace(self) -> NamespaceView:
        """Make this client's namespace, unless it is there."""
        return self._send(OverviewRoutes(self._routes).create_namespace())

    def quotas(self) -> NamespaceQuotas:
        """What all runs of this client's namespace may take together."""
        return self._send(OverviewRoutes(self._routes).quotas())

    def set_quotas(
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
        return self._send(OverviewRoutes(self._routes).set_quotas(quotas))

    @abstractmethod
    def _all(self, call: Call[Page[T]]) -> Iterator[T]: ...

    @abstractmethod
    def _send(self, call: Call[T]) -> T: ...
