"""The routes that look at much at once, or at a whole graph or namespace, as calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from karman._internal.http.calls import Call, nothing
from karman._internal.http.results import Firings, Page, page_reader, reader
from karman._internal.http.routes import Routes
from karman.errors import InvalidInput
from karman_core.domain.quotas import NamespaceQuotas
from karman_core.engine.reconciling import Reconciliation
from karman_core.engine.summaries import NamespaceView, RunProgress, Statistics
from karman_core.engine.views import RunView


@dataclass(frozen=True, slots=True)
class RunsWanted:
    """Which runs a list has."""

    graph: str | None = None
    status: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OverviewRoutes:
    """The routes of a namespace; those of the server are the same in all."""

    routes: Routes

    def runs(self, wanted: RunsWanted, limit: int | None, cursor: str | None = None) -> Call[Page[RunView]]:
        query = {
            "graph": wanted.graph,
            "status": wanted.status,
            "since_ms": epoch_ms(wanted.since, "since"),
            "until_ms": epoch_ms(wanted.until, "until"),
            "tag": tuple(map(_pair, wanted.tags.items())) or None,
            "limit": limit,
            "cursor": cursor,
        }
        return Call("GET", self.routes.path("runs"), page_reader("runs", RunView), query=query)

    def statistics(
        self, graph: str | None, since: datetime | None, until: datetime | None
    ) -> Call[Statistics]:
        query = {
            "graph": graph,
            "since_ms": epoch_ms(since, "since"),
            "until_ms": epoch_ms(until, "until"),
        }
        return Call("GET", self.routes.path("statistics"), reader(Statistics), query=query)

    def events(self, run_id: str, after: str | None, wait_seconds: float) -> Call[RunProgress]:
        query = {"after": after, "wait_seconds": wait_seconds or None}
        path = self.routes.path("runs", run_id, "events")
        return Call("GET", path, reader(RunProgress), query=query, wait_seconds=wait_seconds)

    def delete_graph(self, name: str) -> Call[None]:
        return Call("DELETE", self.routes.path("graphs", name), nothing, idempotent=False)

    def set_trigger(self, graph: str, trigger: str, verb: str) -> Call[Firings]:
        return Call("POST", self.routes.path("graphs", graph, "triggers", trigger, verb), reader(Firings))

    def reconcile(self, *, dry_run: bool, rewrite: bool) -> Call[Reconciliation]:
        path, body = self.routes.path("triggers", "reconcile"), {"dry_run": dry_run, "rewrite": rewrite}
        return Call("POST", path, reader(Reconciliation), body)

    def namespaces(self, page_size: int | None) -> Call[Page[str]]:
        return Call("GET", "/v1/namespaces", page_reader("namespaces", str), query={"limit": page_size})

    def describe_namespace(self) -> Call[NamespaceView]:
        return Call("GET", self.routes.path(), reader(NamespaceView))

    def create_namespace(self) -> Call[NamespaceView]:
        return Call("PUT", self.routes.path(), reader(NamespaceView))

    def quotas(self) -> Call[NamespaceQuotas]:
        return Call("GET", self.routes.path("quotas"), reader(NamespaceQuotas))

    def set_quotas(self, quotas: NamespaceQuotas) -> Call[NamespaceQuotas]:
        return Call("PUT", self.routes.path("quotas"), reader(NamespaceQuotas), quotas.as_json())


def epoch_ms(moment: datetime | None, name: str) -> int | None:
    """Epoch milliseconds. Raises InvalidInput for a time without a zone."""
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise InvalidInput(f"`{name}` has no time zone; give one, such as datetime.UTC.")
    return max(0, int(moment.timestamp() * 1000))


def _pair(tag: tuple[str, str]) -> str:
    """As the route takes it. Raises InvalidInput for a name that no tag can have."""
    name, value = tag
    if not name or ":" in name:
        raise InvalidInput("The name of a tag is not empty and has no ':'.")
    return f"{name}:{value}"
