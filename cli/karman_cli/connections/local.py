"""A connection to an engine of this process, on a database file or, by the environment, on a deployment's table."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING

from karman._internal.http.results import Firings
from karman_cli.connections.connection import Place, RunRequest
from karman_cli.registering import inputs_schema, secrets_missing
from karman_core.domain.cron import next_firing
from karman_core.domain.definition import JSON, GraphDefinition
from karman_core.domain.errors import NotFound, Problem
from karman_core.domain.events import FINAL_KINDS
from karman_core.domain.quotas import NamespaceQuotas
from karman_core.engine.access import AccessKeys, IssuedKey, KeyView, Scope
from karman_core.engine.auditing import AuditEntry
from karman_core.engine.listing import RunFilter
from karman_core.engine.operations import Action
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
from karman_core.engine.webhooks import Changes

if TYPE_CHECKING:
    from karman_core.ports.timers import Schedule
    from karman_runtime.composition import Assembly

PAGE = 500
LOOK_SECONDS = 0.2
"""How often a run is read while somebody waits for its end: other processes work on it."""

FIRINGS = 5


class EngineConnection:
    """Carries the use cases out by itself. Belongs to one event loop."""

    def __init__(self, assembly: Assembly, place: Place) -> None:
        self._assembly = assembly
        self._engine = assembly.engine
        self._place = place
        self._operator = assembly.engine.operator(f"local:{_user()}")
        self._namespace = place.namespace
        self._webhooks = assembly.webhooks()
        self._access = AccessKeys(assembly.backend.table, assembly.clock, assembly.entropy)

    @property
    def place(self) -> Place:
        return self._place

    @property
    def assembly(self) -> Assembly:
        """The engine and its backend, for what looks behind them."""
        return self._assembly

    async def graph(self, name: str, version: int | None = None) -> GraphView:
        return await self._engine.get_graph(self._namespace, name, version)

    async def check_graph(self, definition: GraphDefinition) -> tuple[Problem, ...]:
        return await self._engine.check_graph(self._namespace, definition)

    async def put_graph(self, definition: GraphDefinition, secrets: Mapping[str, str]) -> GraphView:
        return await self._operator.put_graph(self._namespace, definition, secrets=secrets or None)

    async def secrets_missing(self, definition: GraphDefinition, given: Mapping[str, str]) -> list[str]:
        return await secrets_missing(self._assembly, self._namespace, definition, given)

    async def inputs_schema(
        self, definition: GraphDefinition, identifier: str | None = None
    ) -> Mapping[str, JSON]:
        return await inputs_schema(self._engine, self._namespace, definition, identifier)

    async def trigger(self, request: RunRequest) -> Started:
        timeout = request.timeout_seconds
        return await self._engine.trigger(
            self._namespace,
            request.graph,
            inputs=request.inputs,
            store=request.store,
            tags=request.tags,
            start_delay_ms=round(request.delay_seconds * 1000),
            idempotency_key=request.idempotency_key,
            timeout_ms=None if timeout is None else round(timeout * 1000),
        )

    async def run(self, run_id: str) -> RunView:
        return await self._engine.get_run(self._namespace, run_id)

    async def wait(self, run_id: str, seconds: float) -> RunView:
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while True:  # other processes work on it, and tell this one nothing
            run, left = await self.run(run_id), until - loop.time()
            if run.ended or left <= 0:
                return run
            await asyncio.sleep(min(left, LOOK_SECONDS))

    async def runs(self, wanted: RunFilter, limit: int) -> AsyncIterator[RunView]:
        cursor = None
        while limit > 0:
            page = await self._engine.list_runs(
                self._namespace,
                graph=wanted.graph,
                status=wanted.status,
                since_ms=wanted.since_ms,
                until_ms=wanted.until_ms,
                tags=wanted.tags,
                limit=min(limit, PAGE),
                cursor=cursor,
            )
            for run in page.runs[:limit]:
                yield run
            limit -= len(page.runs)
            cursor = page.cursor
            if cursor is None:
                return

    async def states(self, run_id: str, *, status: str | None = None) -> AsyncIterator[StateView]:
        cursor = None
        while True:
            page = await self._engine.list_states(
                self._namespace, run_id, cursor=cursor, limit=PAGE, status=status
            )
            for state in page.states:
                yield state
            cursor = page.cursor
            if cursor is None:
                return

    async def state(self, run_id: str, state_id: str) -> StateView:
        return await self._engine.get_state(self._namespace, run_id, state_id)

    async def cancel(self, run_id: str) -> RunView:
        return await self._operator.cancel(self._namespace, run_id)

    async def pause(self, run_id: str) -> RunView:
        return await self._operator.pause(self._namespace, run_id)

    async def resume(self, run_id: str) -> RunView:
        return await self._operator.resume(self._namespace, run_id)

    async def retry(self, run_id: str) -> RunView:
        return await self._operator.retry(self._namespace, run_id)

    async def retry_state(self, run_id: str, state_id: str) -> RunView:
        return await self._operator.retry_state(self._namespace, run_id, state_id)

    async def skip(
        self, run_id: str, state_id: str, outputs: Sequence[Mapping[str, JSON]] | None, next_node: str | None
    ) -> StateView:
        return await self._operator.skip(self._namespace, run_id, state_id, outputs, chosen=next_node)

    async def redrive(self, run_id: str) -> int:
        sent, cursor = 0, None
        while True:
            done = await self._operator.redrive(self._namespace, run_id, cursor=cursor)
            sent, cursor = sent + done.sent, done.cursor
            if cursor is None:
                return sent

    async def purge(self, run_id: str) -> PurgeView:
        return await self._operator.purge(self._namespace, run_id)

    async def audit(
        self, since_ms: int | None, until_ms: int | None, run_id: str | None, limit: int
    ) -> AsyncIterator[AuditEntry]:
        cursor = None
        while limit > 0:
            page = await self._engine.audit.page(
                self._namespace,
                since_ms=since_ms,
                until_ms=until_ms,
                run_id=run_id,
                limit=min(limit, PAGE),
                cursor=cursor,
            )
            for entry in page.entries:
                yield entry
            limit -= len(page.entries)
            cursor = page.cursor
            if cursor is None:
                return

    async def rerun(
        self, run_id: str, start: str, inputs: Mapping[str, JSON] | None, idempotency_key: str | None
    ) -> Started:
        return await self._operator.rerun(
            self._namespace, run_id, start, inputs=inputs, idempotency_key=idempotency_key
        )

    async def bulk(self, action: str, wanted: RunFilter, *, dry_run: bool) -> AsyncIterator[BulkView]:
        cursor = None
        while True:
            page = await self._operator.bulk(
                self._namespace, Action(action), wanted, limit=PAGE, cursor=cursor, dry_run=dry_run
            )
            yield page
            cursor = page.cursor
            if cursor is None:
                return

    async def groups(self, run_id: str) -> AsyncIterator[GroupView]:
        cursor = None
        while True:
            page = await self._engine.list_groups(self._namespace, run_id, limit=PAGE, cursor=cursor)
            for group in page.groups:
                yield group
            cursor = page.cursor
            if cursor is None:
                return

    async def group(self, run_id: str, state_id: str) -> GroupView:
        return await self._engine.get_group(self._namespace, run_id, state_id)

    async def store(self, run_id: str) -> Mapping[str, JSON]:
        return await self._engine.read_store(self._namespace, run_id)

    async def signal(self, run_id: str, name: str, payload: JSON) -> None:
        await self._operator.signal(self._namespace, run_id, name, payload)

    async def triggers(self, graph: str | None) -> list[Firings]:
        now_ms = self._assembly.clock.now_ms()
        return [_firings(each, now_ms) for each in await self._schedules(graph)]

    async def fire(self, graph: str, trigger: str) -> Started:
        for schedule in await self._schedules(graph):
            if schedule.trigger == trigger:
                return await self._operator.fire(schedule, self._assembly.clock.now_ms())
        raise NotFound(f"Graph '{graph}' has no trigger '{trigger}'.")

    async def set_trigger(self, graph: str, trigger: str, *, enabled: bool) -> Firings:
        await self._operator.set_trigger(self._namespace, graph, trigger, enabled=enabled)
        return next(each for each in await self.triggers(graph) if each.trigger == trigger)

    async def reconcile(self, *, dry_run: bool, rewrite: bool) -> list[Difference]:
        if dry_run:
            return await self._engine.reconciler.differences(self._namespace)
        return await self._operator.reconcile(self._namespace, rewrite=rewrite)

    async def delete_graph(self, name: str) -> None:
        await self._operator.delete_graph(self._namespace, name)

    async def statistics(self, wanted: RunFilter) -> Statistics:
        return await self._engine.overview.statistics(
            self._namespace, graph=wanted.graph, since_ms=wanted.since_ms, until_ms=wanted.until_ms
        )

    async def quotas(self) -> NamespaceQuotas:
        return await self._engine.quotas.read(self._namespace)

    async def set_quotas(self, quotas: NamespaceQuotas) -> NamespaceQuotas:
        return await self._operator.set_quotas(self._namespace, quotas)

    async def keys(self) -> list[KeyView]:
        return await self._access.list(self._namespace)

    async def issue_key(self, name: str, scopes: Sequence[Scope]) -> IssuedKey:
        return await self._operator.issue_key(self._access, self._namespace, name, scopes)

    async def rotate_key(self, key_id: str, overlap_seconds: int) -> IssuedKey:
        return await self._operator.rotate_key(
            self._access, self._namespace, key_id, overlap_seconds=overlap_seconds
        )

    async def revoke_key(self, key_id: str) -> None:
        await self._operator.revoke_key(self._access, self._namespace, key_id)

    async def webhooks(self) -> list[WebhookView]:
        return await self._webhooks.list(self._namespace)

    async def create_webhook(
        self, url: str, events: Sequence[str] | None, graphs: Sequence[str]
    ) -> IssuedWebhook:
        return await self._operator.create_webhook(
            self._webhooks, self._namespace, url, events=events or FINAL_KINDS, graphs=graphs
        )

    async def webhook(self, webhook_id: str) -> WebhookView:
        return await self._webhooks.get(self._namespace, webhook_id)

    async def set_webhook(self, webhook_id: str, *, enabled: bool) -> WebhookView:
        return await self._operator.update_webhook(
            self._webhooks, self._namespace, webhook_id, Changes(enabled=enabled)
        )

    async def rotate_webhook(self, webhook_id: str, overlap_seconds: int) -> IssuedWebhook:
        return await self._operator.rotate_webhook(
            self._webhooks, self._namespace, webhook_id, overlap_seconds=overlap_seconds
        )

    async def delete_webhook(self, webhook_id: str) -> None:
        await self._operator.delete_webhook(self._webhooks, self._namespace, webhook_id)

    async def test_webhook(self, webhook_id: str) -> DeliveryView:
        return await self._operator.test_webhook(self._webhooks, self._namespace, webhook_id)

    async def deliveries(self, webhook_id: str, limit: int) -> AsyncIterator[DeliveryView]:
        cursor = None
        while limit > 0:
            page = await self._webhooks.page(
                self._namespace, webhook_id, limit=min(limit, PAGE), cursor=cursor
            )
            for delivery in page.deliveries:
                yield delivery
            limit -= len(page.deliveries)
            cursor = page.cursor
            if cursor is None:
                return

    async def retry_delivery(self, webhook_id: str, delivery_id: str) -> DeliveryView:
        return await self._operator.redeliver(self._webhooks, self._namespace, webhook_id, delivery_id)

    async def _schedules(self, graph: str | None) -> Sequence[Schedule]:
        if graph is not None:
            await self._engine.get_graph(self._namespace, graph)
        return await self._assembly.backend.schedules.list(self._namespace, graph)


def _user() -> str:
    """Who works on the database itself, as the operating system has it: its own word, for the audit log."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # as in a container whose user has no name
        return "unknown"


def _firings(schedule: Schedule, after_ms: int) -> Firings:
    found: list[int] = []
    while schedule.enabled and len(found) < FIRINGS:
        after_ms = next_firing(schedule.cron, schedule.timezone, after_ms)
        found.append(after_ms)
    return Firings(
        schedule.graph, schedule.trigger, schedule.cron, schedule.timezone, schedule.enabled, tuple(found)
    )
