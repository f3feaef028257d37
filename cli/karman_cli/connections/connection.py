"""What commands ask of the place that they work on. Both kinds of places answer with the engine's views."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from karman_core.domain.definition import JSON, GraphDefinition
from karman_core.domain.errors import Problem
from karman_core.domain.quotas import NamespaceQuotas

if TYPE_CHECKING:
    from karman.client import Firings
    from karman_core.engine.access import IssuedKey, KeyView, Scope
    from karman_core.engine.auditing import AuditEntry
    from karman_core.engine.listing import RunFilter
    from karman_core.engine.reconciling import Difference
    from karman_core.engine.summaries import Statistics
    from karman_core.engine.views import (
        BulkView,
        GraphView,
        GroupView,
        PurgeView,
        RunView,
        Started,
        StateView,
    )
    from karman_core.engine.webhook_items import DeliveryView, IssuedWebhook, WebhookView


@dataclass(frozen=True, slots=True)
class Place:
    """Where a connection leads.

    Attributes:
        name: for people.
        namespace: whose graphs and runs these are.
        options: lead another command to the same graphs and runs.
    """

    name: str
    namespace: str
    options: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name}, namespace '{self.namespace}'"


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What a run is started with. Times are seconds; `timeout_seconds` None for the graph's own."""

    graph: str
    inputs: Mapping[str, JSON] = field(default_factory=dict)
    store: Mapping[str, JSON] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    idempotency_key: str | None = None
    delay_seconds: float = 0.0
    timeout_seconds: float | None = None


class Connection(Protocol):
    """The use cases of the command line. Every method raises KarmanError."""

    @property
    def place(self) -> Place:
        """Where it leads."""
        ...

    async def graph(self, name: str, version: int | None = None) -> GraphView:
        """A version of a graph, by default the current one. Raises NotFound."""
        ...

    async def check_graph(self, definition: GraphDefinition) -> tuple[Problem, ...]:
        """Everything that is wrong with a definition; nothing is stored."""
        ...

    async def put_graph(self, definition: GraphDefinition, secrets: Mapping[str, str]) -> GraphView:
        """Store a definition as the graph's next version, with the values of secrets."""
        ...

    async def secrets_missing(self, definition: GraphDefinition, given: Mapping[str, str]) -> list[str]:
        """Names of the secrets that the definition reads and that have no value, here or stored; as far as is known."""
        ...

    async def inputs_schema(
        self, definition: GraphDefinition, identifier: str | None = None
    ) -> Mapping[str, JSON]:
        """The JSON Schema of the inputs of a node instance, or of the first one; empty if it is not known."""
        ...

    async def trigger(self, request: RunRequest) -> Started:
        """Begin a run."""
        ...

    async def run(self, run_id: str) -> RunView:
        """A run. Raises NotFound."""
        ...

    async def wait(self, run_id: str, seconds: float) -> RunView:
        """The run, when it has ended, or so much later."""
        ...

    def runs(self, wanted: RunFilter, limit: int) -> AsyncIterator[RunView]:
        """Runs, newest first, at most so many."""
        ...

    def states(self, run_id: str, *, status: str | None = None) -> AsyncIterator[StateView]:
        """States of a run, in the order of their branches."""
        ...

    async def state(self, run_id: str, state_id: str) -> StateView:
        """One state of a run. Raises NotFound."""
        ...

    async def cancel(self, run_id: str) -> RunView:
        """End a run as CANCELLED."""
        ...

    async def pause(self, run_id: str) -> RunView:
        """Begin no further states."""
        ...

    async def resume(self, run_id: str) -> RunView:
        """Go on with a paused run."""
        ...

    async def retry(self, run_id: str) -> RunView:
        """Run every failed state of a FAILED run again."""
        ...

    async def retry_state(self, run_id: str, state_id: str) -> RunView:
        """Run one failed state of a FAILED run again."""
        ...

    async def skip(
        self, run_id: str, state_id: str, outputs: Sequence[Mapping[str, JSON]] | None, next_node: str | None
    ) -> StateView:
        """Give a state its outputs instead of its node."""
        ...

    async def redrive(self, run_id: str) -> int:
        """Send again all that a run waits for; how many messages were sent."""
        ...

    async def purge(self, run_id: str) -> PurgeView:
        """Delete a run that has ended."""
        ...

    def audit(
        self, since_ms: int | None, until_ms: int | None, run_id: str | None, limit: int
    ) -> AsyncIterator[AuditEntry]:
        """Who changed what, newest first, at most so many."""
        ...

    async def rerun(
        self, run_id: str, start: str, inputs: Mapping[str, JSON] | None, idempotency_key: str | None
    ) -> Started:
        """Begin a new run at a state of this one."""
        ...

    def bulk(self, action: str, wanted: RunFilter, *, dry_run: bool) -> AsyncIterator[BulkView]:
        """Do the same with all runs that pass, a page at a time; `action` is cancel, pause, resume, retry or purge."""
        ...

    def groups(self, run_id: str) -> AsyncIterator[GroupView]:
        """How far the groups are that states of the first branch opened."""
        ...

    async def group(self, run_id: str, state_id: str) -> GroupView:
        """How far the group is that a state opened. Raises NotFound."""
        ...

    async def store(self, run_id: str) -> Mapping[str, JSON]:
        """The run's store."""
        ...

    async def signal(self, run_id: str, name: str, payload: JSON) -> None:
        """Send a signal."""
        ...

    async def triggers(self, graph: str | None) -> list[Firings]:
        """The cron triggers, of all graphs or of one."""
        ...

    async def fire(self, graph: str, trigger: str) -> Started:
        """Begin a run as the trigger would now. Raises NotFound, Conflict."""
        ...

    async def set_trigger(self, graph: str, trigger: str, *, enabled: bool) -> Firings:
        """Let a trigger fire or not, by a new version of its graph. Raises NotFound."""
        ...

    async def reconcile(self, *, dry_run: bool, rewrite: bool) -> list[Difference]:
        """Schedules that were not as the graphs want them; mended unless it is a dry run."""
        ...

    async def delete_graph(self, name: str) -> None:
        """End a graph, its schedules and its secrets. Raises NotFound."""
        ...

    async def statistics(self, wanted: RunFilter) -> Statistics:
        """The runs of a graph and a time together; the filter's other fields are passed over."""
        ...

    async def quotas(self) -> NamespaceQuotas:
        """What the namespace may take."""
        ...

    async def set_quotas(self, quotas: NamespaceQuotas) -> NamespaceQuotas:
        """Replace what the namespace may take. Raises InvalidInput, Forbidden."""
        ...

    async def keys(self) -> list[KeyView]:
        """The API keys, oldest first."""
        ...

    async def issue_key(self, name: str, scopes: Sequence[Scope]) -> IssuedKey:
        """Make a key."""
        ...

    async def rotate_key(self, key_id: str, overlap_seconds: int) -> IssuedKey:
        """Give a key another secret; the one before goes on for the overlap."""
        ...

    async def revoke_key(self, key_id: str) -> None:
        """End a key. Raises NotFound."""
        ...

    async def webhooks(self) -> list[WebhookView]:
        """The webhooks, oldest first."""
        ...

    async def create_webhook(
        self, url: str, events: Sequence[str] | None, graphs: Sequence[str]
    ) -> IssuedWebhook:
        """Make a webhook; `events` None for the ends of runs. Raises InvalidRequest, Conflict."""
        ...

    async def webhook(self, webhook_id: str) -> WebhookView:
        """A webhook. Raises NotFound."""
        ...

    async def set_webhook(self, webhook_id: str, *, enabled: bool) -> WebhookView:
        """Let a webhook be delivered to or not. Raises NotFound."""
        ...

    async def rotate_webhook(self, webhook_id: str, overlap_seconds: int) -> IssuedWebhook:
        """Give a webhook another secret; the one before goes on for the overlap. Raises NotFound."""
        ...

    async def delete_webhook(self, webhook_id: str) -> None:
        """End a webhook. Raises NotFound."""
        ...

    async def test_webhook(self, webhook_id: str) -> DeliveryView:
        """Send an event that says nothing, once. Raises NotFound, Conflict."""
        ...

    def deliveries(self, webhook_id: str, limit: int) -> AsyncIterator[DeliveryView]:
        """What became of a webhook's events, those of the newest first, at most so many."""
        ...

    async def retry_delivery(self, webhook_id: str, delivery_id: str) -> DeliveryView:
        """Attempt a delivery again in a moment. Raises NotFound, Conflict."""
        ...
