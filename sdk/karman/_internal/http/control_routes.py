"""The routes that operate runs and tell of their parts, as calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from pydantic import BaseModel

from karman._internal.http.calls import Call
from karman._internal.http.overview_routes import RunsWanted, epoch_ms
from karman._internal.http.results import Page, page_reader, reader
from karman._internal.http.routes import Routes
from karman._internal.json_values import to_json
from karman_core.domain.definition import JSON
from karman_core.engine.auditing import AuditEntry
from karman_core.engine.views import (
    BulkView,
    GroupView,
    PurgeView,
    RedriveView,
    RunView,
    Started,
    StateView,
)

Outputs: TypeAlias = Mapping[str, object] | BaseModel


@dataclass(frozen=True, slots=True)
class ControlRoutes:
    """The routes of a namespace."""

    routes: Routes

    def retry_state(self, run_id: str, state_id: str) -> Call[RunView]:
        path = self.routes.path("runs", run_id, "states", state_id, "retry")
        # Between two of them the state may have failed again.
        return Call("POST", path, reader(RunView), idempotent=False)

    def rerun(
        self, run_id: str, start: str, inputs: Mapping[str, object] | BaseModel | None, key: str
    ) -> Call[Started]:
        body: dict[str, JSON] = {"from": start}
        if inputs is not None:
            body["inputs"] = to_json(inputs, "The inputs")
        path, headers = self.routes.path("runs", run_id, "rerun"), {"idempotency-key": key}
        return Call("POST", path, reader(Started), body, headers=headers)

    def bulk(
        self, action: str, wanted: RunsWanted, limit: int | None, cursor: str | None, *, dry_run: bool
    ) -> Call[BulkView]:
        given: dict[str, JSON] = {
            "graph": wanted.graph,
            "status": wanted.status,
            "since_ms": epoch_ms(wanted.since, "since"),
            "until_ms": epoch_ms(wanted.until, "until"),
            "tags": dict(wanted.tags),
        }
        body: dict[str, JSON] = {"action": action, "filter": given, "cursor": cursor, "dry_run": dry_run}
        if limit is not None:
            body["limit"] = limit
        path, again = self.routes.path("runs", "bulk"), dry_run or action != "retry"
        return Call("POST", path, reader(BulkView), body, idempotent=again)

    def skip(
        self, run_id: str, state_id: str, outputs: Sequence[Outputs] | Outputs | None, next_node: str | None
    ) -> Call[StateView]:
        several = isinstance(outputs, Sequence)
        given: JSON = None
        if outputs is not None:
            each = outputs if isinstance(outputs, Sequence) else [outputs]
            values = [to_json(output, "The outputs") for output in each]
            given = list[JSON](values) if several else values[0]
        body: dict[str, JSON] = {"outputs": given}
        if next_node is not None:
            body["next"] = next_node
        return Call(
            "POST", self.routes.path("runs", run_id, "states", state_id, "skip"), reader(StateView), body
        )

    def redrive(self, run_id: str, cursor: str | None) -> Call[RedriveView]:
        path = self.routes.path("runs", run_id, "redrive")
        # Again it would send all of it again, which does no harm but takes work.
        return Call("POST", path, reader(RedriveView), query={"cursor": cursor}, idempotent=False)

    def purge(self, run_id: str) -> Call[PurgeView]:
        return Call("DELETE", self.routes.path("runs", run_id), reader(PurgeView))

    def audit(
        self, since: datetime | None, until: datetime | None, run_id: str | None, limit: int | None
    ) -> Call[Page[AuditEntry]]:
        query = {
            "since_ms": epoch_ms(since, "since"),
            "until_ms": epoch_ms(until, "until"),
            "run_id": run_id,
            "limit": limit,
        }
        return Call("GET", self.routes.path("audit"), page_reader("entries", AuditEntry), query=query)

    def state(self, run_id: str, state_id: str) -> Call[StateView]:
        return Call("GET", self.routes.path("runs", run_id, "states", state_id), reader(StateView))

    def groups(self, run_id: str, parent: str | None, limit: int | None) -> Call[Page[GroupView]]:
        query = {"parent": parent, "limit": limit}
        return Call(
            "GET", self.routes.path("runs", run_id, "groups"), page_reader("groups", GroupView), query=query
        )

    def group(self, run_id: str, state_id: str) -> Call[GroupView]:
        return Call("GET", self.routes.path("runs", run_id, "groups", state_id), reader(GroupView))
