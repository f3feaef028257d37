"""A connection to a server over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime

from karman import AsyncClient
from karman.client import Firings
from karman.errors import Forbidden, NotFound, StillRunning
from karman_cli.connections.connection import Place, RunRequest
from karman_cli.registering import instance_of
from karman_core.domain.definition import JSON, GraphDefinition
from karman_core.domain.errors import Problem
from karman_core.domain.quotas import NamespaceQuotas
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

PAGE = 100
"""Runs or states of one answer: a Lambda function's has at most 6 MB, and each may have inputs and outputs."""


class HttpConnection:
    """Asks a server for them. Belongs to one event loop."""

    def __init__(self, client: AsyncClient, place: Place) -> None:
        self._client = client
        self._place = place

    @property
    def place(self) -> Place:
        return self._place

    @property
    def client(self) -> AsyncClient:
        """What asks the server."""
        return self._client

    async def graph(self, name: str, version: int | None = None) -> GraphView:
        return await self._client.graph(name, version)

    async def check_graph(self, definition: GraphDefinition) -> tuple[Problem, ...]:
        return (await self._client.check_graph(definition)).problems

    async def put_graph(self, definition: GraphDefinition, secrets: Mapping[str, str]) -> GraphView:
        return await self._client.put_graph(definition, secrets=secrets or None)

    async def secrets_missing(self, definition: GraphDefinition, given: Mapping[str, str]) -> list[str]:
        """A server does not say which secrets have values; those that the stored version reads were given then."""
        try:
            stored = (await self.graph(definition.name)).definition.secrets
        except NotFound:
            stored = ()
        return sorted(set(definition.secrets) - set(given) - set(stored))

    async def inputs_schema(
        self, definition: GraphDefinition, identifier: str | None = None
    ) -> Mapping[str, JSON]:
        instance = instance_of(definition, identifier)
        if instance is None or instance.namespace not in {None, self._place.namespace}:
            return {}  # a key of one namespace may not ask for another's nodes
        try:
            return (await self._client.node(instance.node_name)).inputs_schema
        except (Forbidden, NotFound):
            return {}

    async def trigger(self, request: RunRequest) -> Started:
        return await self._client.trigger(
            request.graph,
            request.inputs,
            store=request.store,
            tags=request.tags,
            delay=request.delay_seconds or None,
            timeout=request.timeout_seconds,
            idempotency_key=request.idempotency_key,
        )

    async def run(self, run_id: str) -> RunView:
        return await self._client.run(run_id)

    async def wait(self, run_id: str, seconds: float) -> RunView:
        try:
            return await self._client.wait(run_id, timeout=seconds)
        except StillRunning as still:
            return still.run

    async def runs(self, wanted: RunFilter, limit: int) -> AsyncIterator[RunView]:
        cursor = None
        while limit > 0:
            page = await self._client.runs_page(
                graph=wanted.graph,
                status=wanted.status,
                since=_moment(wanted.since_ms),
                until=_moment(wanted.until_ms),
                tags=wanted.tags,
                limit=min(limit, PAGE),
                cursor=cursor,
            )
            for run in page.items[:limit]:
                yield run
            limit -= len(page.items)
            cursor = page.cursor
            if cursor is None:
                return

    async def states(self, run_id: str, *, status: str | None = None) -> AsyncIterator[StateView]:
        async for state in self._client.states(run_id, status=status, page_size=PAGE):
            yield state

    async def state(self, run_id: str, state_id: str) -> StateView:
        return await self._client.state(run_id, state_id)

    async def cancel(self, run_id: str) -> RunView:
        return await self._client.cancel(run_id)

    async def pause(self, run_id: str) -> RunView:
        return await self._client.pause(run_id)

    async def resume(self, run_id: str) -> RunView:
        return await self._client.resume(run_id)

    async def retry(self, run_id: str) -> RunView:
        return await self._client.retry(run_id)

    async def retry_state(self, run_id: str, state_id: str) -> RunView:
        return await self._client.retry_state(run_id, state_id)

    async def skip(
        self, run_id: str, state_id: str, outputs: Sequence[Mapping[str, JSON]] | None, next_node: str | None
    ) -> StateView:
        return await self._client.skip(run_id, state_id, outputs, next_node=next_node)

    async def redrive(self, run_id: str) -> int:
        return await self._client.redrive(run_id)

    async def purge(self, run_id: str) -> PurgeView:
        return await self._client.purge(run_id)

    async def audit(
        self, since_ms: int | None, until_ms: int | None, run_id: str | None, limit: int
    ) -> AsyncIterator[AuditEntry]:
        found = self._client.audit(
            since=_moment(since_ms), until=_moment(until_ms), run_id=run_id, page_size=min(limit, PAGE)
        )
        async for entry in found:
            yield entry
            limit -= 1
            if limit == 0:
                return

    async def rerun(
        self, run_id: str, start: str, inputs: Mapping[str, JSON] | None, idempotency_key: str | None
    ) -> Started:
        return await self._client.rerun(run_id, start, inputs=inputs, idempotency_key=idempotency_key)

    async def bulk(self, action: str, wanted: RunFilter, *, dry_run: bool) -> AsyncIterator[BulkView]:
        cursor = None
        while True:
            page = await self._client.bulk(
                action,
                graph=wanted.graph,
                status=wanted.status,
                since=_moment(wanted.since_ms),
                until=_moment(wanted.until_ms),
                tags=wanted.tags,
                limit=PAGE,
                cursor=cursor,
                dry_run=dry_run,
            )
            yield page
            cursor = page.cursor
            if cursor is None:
                return

    async def groups(self, run_id: str) -> AsyncIterator[GroupView]:
        async for group in self._client.groups(run_id, page_size=PAGE):
            yield group

    async def group(self, run_id: str, state_id: str) -> GroupView:
        return await self._client.group(run_id, state_id)

    async def store(self, run_id: str) -> Mapping[str, JSON]:
        return await self._client.store(run_id)

    async def signal(self, run_id: str, name: str, payload: JSON) -> None:
        await self._client.signal(run_id, name, payload)

    async def triggers(self, graph: str | None) -> list[Firings]:
        return [each async for each in self._client.triggers(graph)]

    async def fire(self, graph: str, trigger: str) -> Started:
        return await self._client.fire(graph, trigger)

    async def set_trigger(self, graph: str, trigger: str, *, enabled: bool) -> Firings:
        if enabled:
            return await self._client.enable_trigger(graph, trigger)
        return await self._client.disable_trigger(graph, trigger)

    async def reconcile(self, *, dry_run: bool, rewrite: bool) -> list[Difference]:
        return list((await self._client.reconcile_triggers(dry_run=dry_run, rewrite=rewrite)).differences)

    async def delete_graph(self, name: str) -> None:
        await self._client.delete_graph(name)

    async def statistics(self, wanted: RunFilter) -> Statistics:
        return await self._client.statistics(
            graph=wanted.graph, since=_moment(wanted.since_ms), until=_moment(wanted.until_ms)
        )

    async def quotas(self) -> NamespaceQuotas:
        return await self._client.quotas()

    async def set_quotas(self, quotas: NamespaceQuotas) -> NamespaceQuotas:
        return await self._client.set_quotas(
            concurrent_runs=quotas.concurrent_runs,
            states_per_second=quotas.states_per_second,
            payload_bytes=quotas.payload_bytes,
        )

    async def keys(self) -> list[KeyView]:
        found = self._client.keys()
        return [each async for each in found]

    async def issue_key(self, name: str, scopes: Sequence[Scope]) -> IssuedKey:
        return await self._client.issue_key(name, scopes)

    async def rotate_key(self, key_id: str, overlap_seconds: int) -> IssuedKey:
        return await self._client.rotate_key(key_id, overlap_seconds=overlap_seconds)

    async def revoke_key(self, key_id: str) -> None:
        await self._client.revoke_key(key_id)

    async def webhooks(self) -> list[WebhookView]:
        return [each async for each in self._client.webhooks()]

    async def create_webhook(
        self, url: str, events: Sequence[str] | None, graphs: Sequence[str]
    ) -> IssuedWebhook:
        return await self._client.create_webhook(url, events=events, graphs=graphs)

    async def webhook(self, webhook_id: str) -> WebhookView:
        return await self._client.webhook(webhook_id)

    async def set_webhook(self, webhook_id: str, *, enabled: bool) -> WebhookView:
        return await self._client.update_webhook(webhook_id, enabled=enabled)

    async def rotate_webhook(self, webhook_id: str, overlap_seconds: int) -> IssuedWebhook:
        return await self._client.rotate_webhook(webhook_id, overlap_seconds=overlap_seconds)

    async def delete_webhook(self, webhook_id: str) -> None:
        await self._client.delete_webhook(webhook_id)

    async def test_webhook(self, webhook_id: str) -> DeliveryView:
        return await self._client.test_webhook(webhook_id)

    async def deliveries(self, webhook_id: str, limit: int) -> AsyncIterator[DeliveryView]:
        async for each in self._client.deliveries(webhook_id, page_size=min(limit, PAGE)):
            yield each
            limit -= 1
            if limit == 0:
                return

    async def retry_delivery(self, webhook_id: str, delivery_id: str) -> DeliveryView:
        return await self._client.retry_delivery(webhook_id, delivery_id)


def _moment(epoch_ms: int | None) -> datetime | None:
    return None if epoch_ms is None else datetime.fromtimestamp(epoch_ms / 1000, UTC)
