"""What operators may change, each of it recorded in the audit log before it is done.

API and command line go through here, and say who asks; what the engine does by itself (cron, workers, the sweeper) does
not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from karman_core.domain.definition import JSON, CronTrigger, GraphDefinition
from karman_core.domain.errors import Conflict, InvalidRequest
from karman_core.domain.quotas import NamespaceQuotas
from karman_core.domain.webhooks import parse_url
from karman_core.engine.access import AccessKeys, IssuedKey, Scope
from karman_core.engine.auditing import AuditLog
from karman_core.engine.listing import RunFilter
from karman_core.engine.operations import Action
from karman_core.engine.reconciling import Difference
from karman_core.engine.views import BulkView, GraphView, PurgeView, RedriveView, RunView, Started, StateView
from karman_core.engine.webhook_items import DeliveryView, IssuedWebhook, WebhookView
from karman_core.engine.webhooks import Changes, Webhooks
from karman_core.ports.timers import Schedule

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from karman_core.engine.auditing import Recording
    from karman_core.engine.engine import Engine


@dataclass(frozen=True, slots=True)
class Operator:
    """Somebody who changes things; `by` is who, as the audit log has it. Raises what the operations raise."""

    engine: Engine
    by: str

    @property
    def _audit(self) -> AuditLog:
        return self.engine.audit

    # --- runs ---------------------------------------------------------------------------------------------------------

    async def cancel(self, namespace: str, run_id: str) -> RunView:
        """See Operations.cancel."""
        async with self._run(namespace, "cancel", run_id):
            return await self.engine.operations.cancel(namespace, run_id)

    async def pause(self, namespace: str, run_id: str) -> RunView:
        """See Operations.pause."""
        async with self._run(namespace, "pause", run_id):
            return await self.engine.operations.pause(namespace, run_id)

    async def resume(self, namespace: str, run_id: str) -> RunView:
        """See Operations.resume."""
        async with self._run(namespace, "resume", run_id):
            return await self.engine.operations.resume(namespace, run_id)

    async def retry(self, namespace: str, run_id: str) -> RunView:
        """See Operations.retry."""
        async with self._run(namespace, "retry", run_id):
            return await self.engine.operations.retry(namespace, run_id)

    async def retry_state(self, namespace: str, run_id: str, state_id: str) -> RunView:
        """See Operations.retry_state."""
        async with self._run(namespace, "retry_state", run_id, target=state_id):
            return await self.engine.operations.retry_state(namespace, run_id, state_id)

    async def rerun(
        self,
        namespace: str,
        run_id: str,
        start: str,
        *,
        inputs: Mapping[str, JSON] | None = None,
        idempotency_key: str | None = None,
    ) -> Started:
        """See Operations.rerun."""
        async with self._run(namespace, "rerun", run_id, target=start) as recording:
            started = await self.engine.operations.rerun(
                namespace, run_id, start, inputs=inputs, idempotency_key=idempotency_key
            )
            recording.note(new_run=started.run_id)
            return started

    async def skip(
        self,
        namespace: str,
        run_id: str,
        state_id: str,
        outputs: Sequence[Mapping[str, JSON]] | None,
        *,
        chosen: str | None = None,
    ) -> StateView:
        """See Operations.skip."""
        details: dict[str, JSON] = {} if chosen is None else {"next": chosen}
        async with self._run(namespace, "skip", run_id, target=state_id, **details):
            return await self.engine.operations.skip(
                namespace, run_id, state_id, outputs, chosen=chosen, by=self.by
            )

    async def redrive(self, namespace: str, run_id: str, *, cursor: str | None = None) -> RedriveView:
        """See Operations.redrive."""
        async with self._run(namespace, "redrive", run_id) as recording:
            view = await self.engine.operations.redrive(namespace, run_id, cursor=cursor)
            recording.note(sent=view.sent)
            return view

    async def purge(self, namespace: str, run_id: str) -> PurgeView:
        """See Operations.purge."""
        async with self._run(namespace, "purge", run_id):
            return await self.engine.operations.purge(namespace, run_id)

    async def bulk(
        self,
        namespace: str,
        action: Action,
        wanted: RunFilter,
        *,
        limit: int = 100,
        cursor: str | None = None,
        dry_run: bool = False,
    ) -> BulkView:
        """See Operations.bulk. One entry, and one of each run that is worked on; a dry run changes nothing."""
        operations = self.engine.operations
        if dry_run:
            return await operations.bulk(namespace, action, wanted, limit=limit, cursor=cursor, dry_run=True)
        asked: dict[str, JSON] = {
            "graph": wanted.graph,
            "status": wanted.status,
            "since_ms": wanted.since_ms,
            "until_ms": wanted.until_ms,
            "tags": dict(wanted.tags),
        }
        filters = {name: value for name, value in asked.items() if value}
        async with self._audit.recorded(
            namespace, self.by, "bulk", target=action.value, filter=filters
        ) as recording:

            def each(run_id: str) -> AbstractAsyncContextManager[Recording]:
                return self._run(namespace, action.value, run_id, bulk=recording.id)

            done = await operations.bulk(namespace, action, wanted, limit=limit, cursor=cursor, around=each)
            recording.note(done=len(done.done), refused=len(done.refused))
            return done

    async def signal(
        self, namespace: str, run_id: str, name: str, payload: JSON = None, *, signal_id: str | None = None
    ) -> None:
        """See Engine.signal."""
        async with self._run(namespace, "signal", run_id, target=name):
            await self.engine.signal(namespace, run_id, name, payload, signal_id=signal_id)

    # --- graphs and triggers ------------------------------------------------------------------------------------------

    async def put_graph(
        self, namespace: str, definition: GraphDefinition, *, secrets: Mapping[str, str] | None = None
    ) -> GraphView:
        """See Engine.put_graph. Of secrets only the names are recorded."""
        names: dict[str, JSON] = {"secrets": list[JSON](sorted(secrets))} if secrets else {}
        async with self._audit.recorded(
            namespace, self.by, "put_graph", target=definition.name, **names
        ) as recording:
            view = await self.engine.put_graph(namespace, definition, secrets=secrets)
            recording.note(version=view.version, changed=view.changed)
            return view

    async def delete_graph(self, namespace: str, name: str) -> None:
        """See Engine.delete_graph."""
        async with self._audit.recorded(namespace, self.by, "delete_graph", target=name):
            await self.engine.delete_graph(namespace, name)

    async def set_trigger(self, namespace: str, graph: str, trigger: str, *, enabled: bool) -> CronTrigger:
        """See Engine.set_trigger."""
        action = "enable_trigger" if enabled else "disable_trigger"
        async with self._audit.recorded(namespace, self.by, action, target=trigger, graph=graph):
            return await self.engine.set_trigger(namespace, graph, trigger, enabled=enabled)

    async def reconcile(self, namespace: str, *, rewrite: bool = False) -> list[Difference]:
        """See Reconciler.reconcile."""
        async with self._audit.recorded(namespace, self.by, "reconcile_triggers") as recording:
            told = await self.engine.reconciler.reconcile(namespace, rewrite=rewrite)
            recording.note(mended=len(told))
            return told

    async def fire(self, schedule: Schedule, at_ms: int) -> Started:
        """See Engine.fire. Raises Conflict where that does nothing."""
        namespace, graph, trigger = schedule.namespace, schedule.graph, schedule.trigger
        async with self._audit.recorded(
            namespace, self.by, "fire_trigger", target=trigger, graph=graph
        ) as recording:
            started = await self.engine.fire(schedule, at_ms)
            if started is None:
                raise Conflict(f"Trigger '{trigger}' is disabled, or its run before goes on.")
            recording.note(new_run=started.run_id)
            return started

    # --- quotas -------------------------------------------------------------------------------------------------------

    async def set_quotas(self, namespace: str, quotas: NamespaceQuotas) -> NamespaceQuotas:
        """See Quotas.set."""
        async with self._audit.recorded(namespace, self.by, "set_quotas", **quotas.as_json()):
            return await self.engine.quotas.set(namespace, quotas)

    # --- keys ---------------------------------------------------------------------------------------------------------

    async def issue_key(
        self, keys: AccessKeys, namespace: str, name: str, scopes: Sequence[Scope]
    ) -> IssuedKey:
        """See AccessKeys.issue."""
        wanted: list[JSON] = [scope.value for scope in sorted(set(scopes))]
        async with self._audit.recorded(
            namespace, self.by, "issue_key", name=name, scopes=wanted
        ) as recording:
            issued = await keys.issue(namespace, name, scopes)
            recording.note(key=issued.id)
            return issued

    async def rotate_key(
        self, keys: AccessKeys, namespace: str, key_id: str, *, overlap_seconds: int
    ) -> IssuedKey:
        """See AccessKeys.rotate."""
        async with self._audit.recorded(
            namespace, self.by, "rotate_key", target=key_id, overlap_seconds=overlap_seconds
        ):
            return await keys.rotate(namespace, key_id, overlap_seconds=overlap_seconds)

    async def revoke_key(self, keys: AccessKeys, namespace: str, key_id: str) -> None:
        """See AccessKeys.revoke."""
        async with self._audit.recorded(namespace, self.by, "revoke_key", target=key_id):
            await keys.revoke(namespace, key_id)

    # --- webhooks -----------------------------------------------------------------------------------------------------
    # Of a URL the host alone is recorded: what follows it is often a secret.

    async def create_webhook(
        self,
        webhooks: Webhooks,
        namespace: str,
        url: str,
        *,
        events: Sequence[str],
        graphs: Sequence[str] = (),
        enabled: bool = True,
    ) -> IssuedWebhook:
        """See Webhooks.create."""
        details: dict[str, JSON] = {"events": list[JSON](events), "host": _host(url)}
        async with self._audit.recorded(namespace, self.by, "create_webhook", **details) as recording:
            issued = await webhooks.create(namespace, url, events=events, graphs=graphs, enabled=enabled)
            recording.note(webhook=issued.id)
            return issued

    async def update_webhook(
        self, webhooks: Webhooks, namespace: str, webhook_id: str, changes: Changes
    ) -> WebhookView:
        """See Webhooks.update."""
        told: dict[str, JSON] = {
            "host": None if changes.url is None else _host(changes.url),
            "events": None if changes.events is None else list[JSON](changes.events),
            "graphs": None if changes.graphs is None else list[JSON](changes.graphs),
            "enabled": changes.enabled,
        }
        details = {name: value for name, value in told.items() if value is not None}
        async with self._webhook(namespace, "update_webhook", webhook_id, **details):
            return await webhooks.update(namespace, webhook_id, changes)

    async def delete_webhook(self, webhooks: Webhooks, namespace: str, webhook_id: str) -> None:
        """See Webhooks.delete."""
        async with self._webhook(namespace, "delete_webhook", webhook_id):
            await webhooks.delete(namespace, webhook_id)

    async def rotate_webhook(
        self, webhooks: Webhooks, namespace: str, webhook_id: str, *, overlap_seconds: int
    ) -> IssuedWebhook:
        """See Webhooks.rotate."""
        async with self._webhook(namespace, "rotate_webhook", webhook_id, overlap_seconds=overlap_seconds):
            return await webhooks.rotate(namespace, webhook_id, overlap_seconds=overlap_seconds)

    async def test_webhook(self, webhooks: Webhooks, namespace: str, webhook_id: str) -> DeliveryView:
        """See Webhooks.test."""
        async with self._webhook(namespace, "test_webhook", webhook_id):
            return await webhooks.test(namespace, webhook_id)

    async def redeliver(
        self, webhooks: Webhooks, namespace: str, webhook_id: str, delivery_id: str
    ) -> DeliveryView:
        """See Webhooks.redeliver."""
        async with self._webhook(namespace, "redeliver", webhook_id, delivery=delivery_id):
            return await webhooks.redeliver(namespace, webhook_id, delivery_id)

    def _webhook(
        self, namespace: str, action: str, webhook_id: str, **details: JSON
    ) -> AbstractAsyncContextManager[Recording]:
        return self._audit.recorded(namespace, self.by, action, target=webhook_id, **details)

    def _run(
        self, namespace: str, action: str, run_id: str, *, target: str | None = None, **details: JSON
    ) -> AbstractAsyncContextManager[Recording]:
        return self._audit.recorded(namespace, self.by, action, run_id=run_id, target=target, **details)


def _host(url: str) -> str | None:
    """Of a webhook's URL, if it is one."""
    try:
        return parse_url(url).host
    except InvalidRequest:
        return None
