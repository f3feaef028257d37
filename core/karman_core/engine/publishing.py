"""Events of runs: published after the header was changed, and again whenever a later delivery finds the change done.

So each is published at least once. What an event says comes from the header alone, so that publishing again says the
same under the same id.
"""

from __future__ import annotations

from dataclasses import replace

from karman_core.domain.events import ENDS, EventKind
from karman_core.domain.totals import Totals
from karman_core.domain.transitions import RunStatus
from karman_core.engine.run_items import Header, read_header
from karman_core.engine.services import Services
from karman_core.ports.events import Event
from karman_core.ports.table import Item


class Publisher:
    """Tells the outside what happens to runs."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def started(self, header: Header) -> None:
        """The run's first message was taken. An event a run more, so only where it is wanted."""
        if self._services.settings.publish_started:
            # A message that comes again may find a later epoch.
            first = replace(header, run=replace(header.run, epoch=0), totals=Totals())
            await self._publish(first, EventKind.STARTED, "STARTED", header.starts_ms, RunStatus.RUNNING)

    async def changed(self, item: Item) -> None:
        """The run was paused or goes on, as its header says."""
        header = read_header(item)
        kind = EventKind.PAUSED if header.status is RunStatus.PAUSED else EventKind.RESUMED
        name = f"{header.control}-{kind.name}"
        await self._publish(header, kind, name, item.get("changed", header.starts_ms), header.status)

    async def retried(self, item: Item) -> None:
        """An epoch was opened."""
        header = read_header(item)
        at_ms = header.run.deadline_ms - header.limit_ms
        await self._publish(header, EventKind.RETRIED, "RETRIED", at_ms, RunStatus.RUNNING)

    async def ended(self, item: Item) -> None:
        """The run has a final status. Any other is not told of here."""
        header = read_header(item)
        kind = ENDS.get(header.status)
        if kind is not None:
            await self._publish(header, kind, header.status.value, header.ended_ms or 0, header.status)

    async def _publish(
        self, header: Header, kind: EventKind, name: str, at_ms: int, status: RunStatus
    ) -> None:
        run = header.run
        event = Event(
            id=f"{run.run_id}-{run.epoch}-{name}",
            kind=kind.value,
            namespace=run.namespace,
            at_ms=at_ms,
            detail={
                "run_id": run.run_id,
                "graph": run.graph,
                "version": run.version,
                "status": status.value,
                "epoch": run.epoch,
                "created_ms": header.created_ms,
                "starts_ms": header.starts_ms,
                "ended_ms": header.ended_ms if kind in ENDS.values() else None,
                "totals": header.totals._asdict(),
                "tags": dict(header.tags or {}),
                "trigger": header.trigger,
            },
        )
        await self._services.backend.events.publish([event])
