"""The routes that operate runs and tell of their parts, as calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel

from karman._internal.http.calls import Call
from karman._internal.http.overview_routes import RunsWanted, epoch_ms
from karman._internal.http.results import Page, page_reader, reader
from karman._internal.http.routes import Routes
from karman._internal.json_values import to_json
from karman_core.domain.definition import JSON
from karman_core.engine.views import BulkView, GroupView, RunView, Started, StateView


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

    def state(self, run_id: str, state_id: str) -> Call[StateView]:
        return Call("GET", self.routes.path("runs", run_id, "states", state_id), reader(StateView))

    def groups(self, run_id: str, parent: str | None, limit: int | None) -> Call[Page[GroupView]]:
        query = {"parent": parent, "limit": limit}
        return Call(
            "GET", self.routes.path("runs", run_id, "groups"), page_reader("groups", GroupView), query=query
        )

    def group(self, run_id: str, state_id: str) -> Call[GroupView]:
        return Call("GET", self.routes.path("runs", run_id, "groups", state_id), reader(GroupView))
