"""Every route of `/v1` for those who operate runs, as a call. Routes for workers are in `work_routes`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias
from urllib.parse import quote

from pydantic import BaseModel

from karman._internal.durations import Duration, to_milliseconds
from karman._internal.http.calls import Call, Parameter, T, nothing
from karman._internal.http.results import (
    Checked,
    Firings,
    GraphVersion,
    Health,
    Page,
    field_reader,
    page_reader,
    reader,
)
from karman._internal.json_values import to_json
from karman.errors import InvalidInput
from karman_core.domain.definition import JSON, GraphDefinition, RegisteredNode
from karman_core.engine.access import IssuedKey, KeyView, Scope
from karman_core.engine.views import GraphView, RunView, Started, StateView


class HasName(Protocol):
    """What has a graph's name: the builder's graph, or a definition."""

    @property
    def name(self) -> str: ...


class HasDefinition(Protocol):
    """The builder's graph."""

    def definition(self) -> GraphDefinition: ...


GraphLike: TypeAlias = HasDefinition | GraphDefinition | Mapping[str, JSON]


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How a run begins; durations are timedeltas or seconds."""

    inputs: Mapping[str, object] | BaseModel | None = None
    store: Mapping[str, object] | None = None
    tags: Mapping[str, str] | None = None
    delay: Duration | None = None
    timeout: Duration | None = None

    def body(self) -> dict[str, JSON]:
        """As the route takes it. Raises InvalidInput."""
        body: dict[str, JSON] = {
            "inputs": to_json(self.inputs or {}, "The inputs"),
            "store": to_json(self.store or {}, "The store"),
            "tags": dict(self.tags or {}),
        }
        if self.delay:
            body["start_delay_ms"] = to_milliseconds(self.delay, "The delay")
        if self.timeout is not None:
            body["timeout_ms"] = to_milliseconds(self.timeout, "The timeout")
        return body


@dataclass(frozen=True, slots=True)
class Routes:
    """The routes of a namespace."""

    namespace: str

    def health(self) -> Call[Health]:
        return Call("GET", "/v1/health", reader(Health))

    def nodes(self, page_size: int | None) -> Call[Page[RegisteredNode]]:
        return self._list("/nodes", "nodes", RegisteredNode, limit=page_size)

    def node(self, name: str) -> Call[RegisteredNode]:
        return Call("GET", self.path("nodes", name), reader(RegisteredNode))

    def put_graph(self, graph: GraphLike, secrets: Mapping[str, str] | None) -> Call[GraphView]:
        name, definition = _definition(graph)
        body = {"definition": definition, "secrets": dict(secrets or {})}
        return Call("PUT", self.path("graphs", name), reader(GraphView), body)

    def check_graph(self, graph: GraphLike) -> Call[Checked]:
        name, definition = _definition(graph)
        body = {"definition": definition}
        path = self.path("graphs", name)
        return Call("PUT", path, reader(Checked), body, {"validate_only": "true"})

    def graphs(self, page_size: int | None) -> Call[Page[str]]:
        return self._list("/graphs", "graphs", str, limit=page_size)

    def graph(self, name: str, version: int | None) -> Call[GraphView]:
        return Call("GET", self.path("graphs", name), reader(GraphView), query={"version": version})

    def versions(self, name: str, page_size: int | None) -> Call[Page[GraphVersion]]:
        path = self.path("graphs", name, "versions")
        return Call("GET", path, page_reader("versions", GraphVersion), query={"limit": page_size})

    def trigger(self, graph: str, options: RunOptions, idempotency_key: str) -> Call[Started]:
        headers = {"idempotency-key": idempotency_key}
        return Call(
            "POST", self.path("graphs", graph, "runs"), reader(Started), options.body(), headers=headers
        )

    def run(self, run_id: str, wait_seconds: float = 0) -> Call[RunView]:
        query = {"wait_seconds": wait_seconds} if wait_seconds else {}
        path = self.path("runs", run_id)
        return Call("GET", path, reader(RunView), query=query, wait_seconds=wait_seconds)

    def operate(self, run_id: str, verb: str) -> Call[RunView]:
        # Done twice, all but retry do the same as once: a run may fail again between two of them.
        path = self.path("runs", run_id, verb)
        return Call("POST", path, reader(RunView), idempotent=verb != "retry")

    def states(
        self,
        run_id: str,
        identifier: str | None,
        status: str | None,
        branch: str | None,
        limit: int | None,
        cursor: str | None = None,
    ) -> Call[Page[StateView]]:
        query = {
            "identifier": identifier,
            "status": status,
            "branch": branch,
            "limit": limit,
            "cursor": cursor,
        }
        return Call("GET", self.path("runs", run_id, "states"), page_reader("states", StateView), query=query)

    def store(self, run_id: str) -> Call[dict[str, JSON]]:
        path = self.path("runs", run_id, "store")
        return Call("GET", path, field_reader("values", dict[str, JSON]))

    def awaited(self, run_id: str) -> Call[tuple[str, ...]]:
        path = self.path("runs", run_id, "signals")
        return Call("GET", path, field_reader("awaiting", tuple[str, ...]))

    def signal(self, run_id: str, name: str, payload: object, signal_id: str) -> Call[None]:
        plain = to_json(payload, f"The payload of signal '{name}'")
        body = {"name": name, "payload": plain, "id": signal_id}
        return Call("POST", self.path("runs", run_id, "signals"), nothing, body)

    def triggers(self, graph: str | None, page_size: int | None) -> Call[Page[Firings]]:
        path = "/triggers" if graph is None else f"/graphs/{quote(graph, safe='')}/triggers"
        return self._list(path, "triggers", Firings, limit=page_size)

    def fire(self, graph: str, trigger: str) -> Call[Started]:
        path = self.path("graphs", graph, "triggers", trigger, "fire")
        return Call("POST", path, reader(Started), idempotent=False)

    def keys(self, page_size: int | None) -> Call[Page[KeyView]]:
        return self._list("/keys", "keys", KeyView, limit=page_size)

    def issue_key(self, name: str, scopes: Sequence[Scope | str]) -> Call[IssuedKey]:
        body = {"name": name, "scopes": [str(scope) for scope in scopes]}
        return Call("POST", self.path("keys"), reader(IssuedKey), body, idempotent=False)

    def rotate_key(self, key_id: str, overlap_seconds: int | None) -> Call[IssuedKey]:
        body = {} if overlap_seconds is None else {"overlap_seconds": overlap_seconds}
        # Twice would end the secret that clients still have.
        return Call("POST", self.path("keys", key_id, "rotate"), reader(IssuedKey), body, idempotent=False)

    def revoke_key(self, key_id: str) -> Call[None]:
        return Call("DELETE", self.path("keys", key_id), nothing, idempotent=False)

    def path(self, *parts: str) -> str:
        """A path below the namespace's; the parts may hold anything."""
        if any(part in {"", ".", ".."} for part in parts):
            raise InvalidInput("A name or an id is empty, or only dots.")
        return "/".join([f"/v1/namespaces/{self.namespace}", *(quote(part, safe="") for part in parts)])

    def _list(self, path: str, name: str, kind: type[T], **query: Parameter) -> Call[Page[T]]:
        return Call("GET", f"/v1/namespaces/{self.namespace}{path}", page_reader(name, kind), query=query)


def name_of(graph: str | HasName) -> str:
    """A graph's name, of the graph or of what is one itself."""
    return graph if isinstance(graph, str) else graph.name


def _definition(graph: GraphLike) -> tuple[str, dict[str, JSON]]:
    """The name and the definition as JSON. Raises InvalidInput, InvalidGraph."""
    if isinstance(graph, Mapping):
        name = graph.get("name")
        if not isinstance(name, str):
            raise InvalidInput("The definition has no name.")
        return name, dict(graph)
    definition = graph if isinstance(graph, GraphDefinition) else graph.definition()
    return definition.name, definition.model_dump(mode="json")
