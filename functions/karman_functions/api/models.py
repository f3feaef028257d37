"""Bodies of requests, and of those answers that are no view of the engine's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic.config import JsonDict

from karman_core.domain.definition import JSON, STORE_KEY_PATTERN, Name, NodeName, RegisteredNode, TagName
from karman_core.domain.errors import Problem
from karman_core.domain.events import FINAL_KINDS, EventKind
from karman_core.domain.quotas import (
    MAX_CONCURRENT_RUNS,
    MAX_PAYLOAD_BYTES,
    MAX_STATES_PER_SECOND,
    MIN_PAYLOAD_BYTES,
    MIN_STATES_PER_SECOND,
)
from karman_core.domain.rotation import DEFAULT_OVERLAP_SECONDS, MAX_OVERLAP_SECONDS
from karman_core.domain.tags import MAX_CHARACTERS, MAX_TAGS
from karman_core.domain.webhooks import MAX_URL_CHARACTERS, URL_PATTERN
from karman_core.engine.access import KeyView, Scope
from karman_core.engine.views import Work
from karman_core.engine.webhook_items import WebhookView
from karman_functions.api.limits import (
    MAX_DELAY_MS,
    MAX_LEASE_SECONDS,
    MAX_NODES,
    MAX_WAIT_SECONDS,
    MAX_WORK,
)


def _whole(value: object) -> object:
    """JSON has one kind of number, in which 5.0 is an integer; but a text or a boolean is none."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE = BeforeValidator(_whole)
Text: TypeAlias = Annotated[str, StringConstraints(min_length=1, max_length=256)]
SignalName: TypeAlias = Annotated[str, StringConstraints(min_length=1, max_length=128)]
LongText: TypeAlias = Annotated[str, StringConstraints(max_length=65_536)]
WebhookUrl: TypeAlias = Annotated[
    str, Field(max_length=MAX_URL_CHARACTERS, json_schema_extra={"pattern": URL_PATTERN})
]
"""Checked with where it leads, which says better what is wrong."""

SecretValue: TypeAlias = Annotated[str, StringConstraints(max_length=4_096)]
TagValue: TypeAlias = Annotated[str, StringConstraints(max_length=MAX_CHARACTERS)]
DelayMs: TypeAlias = Annotated[int, Field(ge=0, le=MAX_DELAY_MS, strict=True), WHOLE]
TimeoutMs: TypeAlias = Annotated[int, Field(gt=0, le=MAX_DELAY_MS, strict=True), WHOLE]
LeaseSeconds: TypeAlias = Annotated[int, Field(ge=10, le=MAX_LEASE_SECONDS, strict=True), WHOLE]

_STORE_KEYS: JsonDict = {"propertyNames": {"type": "string", "pattern": STORE_KEY_PATTERN}}
"""Said here and checked with the rest of a run's inputs, which lists every problem at once."""


class Request(BaseModel):
    """The base of all bodies: unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class NodeDeclaration(Request):
    """A node as its runtime declares it."""

    name: NodeName
    inputs_schema: dict[str, JSON] = {"type": "object"}
    outputs_schema: dict[str, JSON] = {"type": "object"}
    secrets: Annotated[list[Text], Field(max_length=100)] = []
    timeout_seconds: Annotated[float, Field(gt=0, le=86_400 * 7, allow_inf_nan=False, strict=True)] | None = (
        None
    )


class NodesToRegister(Request):
    """The nodes that a runtime runs."""

    runtime: Name
    nodes: Annotated[list[NodeDeclaration], Field(min_length=1, max_length=MAX_NODES)]


class GraphToStore(Request):
    """A graph's definition, and values of its secrets, which are kept apart and never shown."""

    definition: dict[str, JSON]
    secrets: Annotated[dict[Text, SecretValue], Field(max_length=100)] = {}


class RunToStart(Request):
    """What a run begins with."""

    inputs: dict[str, JSON] = {}
    store: Annotated[dict[str, JSON], Field(json_schema_extra=_STORE_KEYS)] = {}
    start_delay_ms: DelayMs = 0
    timeout_ms: TimeoutMs | None = None
    tags: Annotated[dict[TagName, TagValue], Field(max_length=MAX_TAGS)] = {}


class SignalToSend(Request):
    """A signal; the same id again is the same signal."""

    name: SignalName
    payload: JSON = None
    id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,128}$")] | None = None


class KeyToIssue(Request):
    """What a key is for."""

    name: Text
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=len(Scope))]


class KeyToRotate(Request):
    """How long the secret before goes on."""

    overlap_seconds: Annotated[int, Field(ge=0, le=MAX_OVERLAP_SECONDS, strict=True), WHOLE] = (
        DEFAULT_OVERLAP_SECONDS
    )


class SchedulesToReconcile(Request):
    """How schedules are compared with graphs."""

    dry_run: bool = Field(
        default=False, strict=True, description="Tell what is different, and change nothing."
    )
    rewrite: bool = Field(
        default=False, strict=True, description="Write all other schedules again too, with target and role."
    )


class QuotasToSet(Request):
    """What a namespace may take; null is no limit."""

    concurrent_runs: Annotated[int, Field(ge=1, le=MAX_CONCURRENT_RUNS, strict=True), WHOLE] | None = None
    states_per_second: (
        Annotated[
            float,
            Field(ge=MIN_STATES_PER_SECOND, le=MAX_STATES_PER_SECOND, allow_inf_nan=False, strict=True),
        ]
        | None
    ) = None
    payload_bytes: (
        Annotated[int, Field(ge=MIN_PAYLOAD_BYTES, le=MAX_PAYLOAD_BYTES, strict=True), WHOLE] | None
    ) = None


class WebhookToCreate(Request):
    """Where events go, and which: kinds, by default the ends of runs, and graphs, by default all."""

    url: WebhookUrl
    events: Annotated[list[EventKind], Field(min_length=1, max_length=len(EventKind))] = list(FINAL_KINDS)
    graphs: Annotated[list[Name], Field(max_length=100)] = []
    enabled: Annotated[bool, Field(strict=True)] = True


class WebhookToUpdate(Request):
    """What is to be changed of a webhook."""

    url: WebhookUrl | None = None
    events: Annotated[list[EventKind], Field(min_length=1, max_length=len(EventKind))] | None = None
    graphs: Annotated[list[Name], Field(max_length=100)] | None = None
    enabled: Annotated[bool, Field(strict=True)] | None = None


class WorkWanted(Request):
    """What a worker can run, and how much of it."""

    nodes: Annotated[list[NodeName], Field(min_length=1, max_length=MAX_NODES)]
    limit: Annotated[int, Field(ge=1, le=MAX_WORK, strict=True), WHOLE] = 1
    wait_seconds: Annotated[float, Field(ge=0, le=MAX_WAIT_SECONDS, allow_inf_nan=False, strict=True)] = 0
    lease_seconds: LeaseSeconds = 60


class LeaseToExtend(Request):
    """The lease that the poll gave, and how long it is to last from now."""

    lease: Text
    lease_seconds: LeaseSeconds = 60


class LeaseToRelease(Request):
    """The lease that the poll gave."""

    lease: Text


class Leased(Request):
    """The base of reports. Without a lease, whichever there is counts."""

    lease: Text | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """That the process answers."""

    status: str
    version: str


@dataclass(frozen=True, slots=True)
class Namespaces:
    """Names of namespaces, sorted."""

    namespaces: tuple[str, ...]
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Nodes:
    """Registered nodes, by name."""

    nodes: tuple[RegisteredNode, ...]
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Graphs:
    """Names of graphs, sorted."""

    graphs: tuple[str, ...]
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a graph."""

    version: int
    valid: bool
    created_ms: int


@dataclass(frozen=True, slots=True)
class Versions:
    """Versions of a graph, newest first."""

    versions: tuple[Version, ...]
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Checked:
    """What is wrong with a definition that was not stored."""

    valid: bool
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class StoreValues:
    """A run's store."""

    values: dict[str, JSON]


@dataclass(frozen=True, slots=True)
class Awaited:
    """Names of signals that states of a run wait for."""

    awaiting: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Trigger:
    """A cron trigger of a graph, and its next firings in epoch milliseconds; none while it is disabled."""

    graph: str
    trigger: str
    cron: str
    timezone: str
    enabled: bool
    next_ms: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Triggers:
    """Cron triggers, by graph and name."""

    triggers: tuple[Trigger, ...]
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Keys:
    """API keys, oldest first."""

    keys: tuple[KeyView, ...]
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class WebhookList:
    """Webhooks, oldest first."""

    webhooks: tuple[WebhookView, ...]
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class WorkPage:
    """States that were leased to the worker."""

    work: tuple[Work, ...]


@dataclass(frozen=True, slots=True)
class Accepted:
    """A signal was taken; it is delivered in a moment."""

    accepted: bool = True
