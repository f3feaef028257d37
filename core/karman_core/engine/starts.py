"""Rate limits of graphs: when a run may begin is reserved once, and kept with the run.

The last starts of a key, those reserved for later too, are one item (see domain.windows), replaced on condition that it
is as it was read. A run that is triggered has its start reserved before anything of it exists, and begins as one with a
start delay does. One that was triggered with a delay has it reserved when its first message comes: then it is written
into its header, once, and the message is sent on. A reservation that is lost in a crash is a start that nobody makes:
never one too many.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from weakref import WeakValueDictionary

from karman_core.domain.errors import ConditionFailed, QuotaExceeded, Throttled
from karman_core.domain.graph import Graph
from karman_core.domain.messages import Advance, Command, CommandKind
from karman_core.domain.rate_limits import StartLimit
from karman_core.domain.transitions import RunStatus
from karman_core.domain.windows import Starts, log_text, read_log
from karman_core.engine import keys
from karman_core.engine.run_items import OPEN, Header, header_json, is_purged, read_header
from karman_core.engine.sending import Sender
from karman_core.engine.services import Services
from karman_core.ports.table import Absent, AllOf, Equals, Item, Key, OneOf, Set

_TRIES = 60
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.01, 0.5
_KEPT_SECONDS = 86_400


class StartLimits:
    """Reserves starts. Safe for concurrent use on one event loop."""

    def __init__(self, services: Services, sender: Sender) -> None:
        self._services = services
        self._sender = sender
        self._locks: WeakValueDictionary[Key, asyncio.Lock] = WeakValueDictionary()

    async def place(self, graph: Graph, header: Header) -> Header:
        """The header of a run that is about to be triggered, with the start that is reserved for it.

        One with a start delay is left as it is: its start is reserved when the delay is over.

        Raises:
            QuotaExceeded: the limit refuses, or the run would have to wait for longer than a run may take.
            Throttled: too many others reserve at the same moment.
        """
        limit = graph.rate_limit
        if limit is None or header.starts_ms > header.created_ms:
            return header
        at_ms = await self._reserve(graph, limit, header, refuses=limit.refuses)
        return _starting(header, at_ms)

    async def admit(self, graph: Graph, message: Advance, begun: Header) -> Header | None:
        """Whether a run goes on whose first message has come; None: it was sent on to its start, or has ended.

        Args:
            begun: the header in the table.
        """
        if graph.rate_limit is None or begun.run.epoch:
            return begun
        if not begun.placed:
            placed = await self._place_late(graph, graph.rate_limit, begun)
            if placed is None:
                return None
            begun = placed
        if begun.status in {RunStatus.CANCELLED, RunStatus.TIMED_OUT}:
            return None
        if begun.starts_ms <= self._services.clock.now_ms():
            return begun
        later = replace(
            message,
            position=replace(message.position, run=begun.run),
            header={**header_json(begun), "store": (message.header or {}).get("store", {})},
        )
        queue = await self._sender.queue_of(graph, begun.run.namespace, message.position.identifier)
        await self._sender.send(queue, [later], at_ms=begun.starts_ms)
        return None

    async def _place_late(self, graph: Graph, limit: StartLimit, begun: Header) -> Header | None:
        """Reserve the start of a run whose start delay is over, once; None if the run was ended or purged."""
        placed = _starting(begun, await self._reserve(graph, limit, begun, refuses=False))
        if begun.timed and placed.run.deadline_ms > begun.run.deadline_ms:
            # Before the header says so: the one that was sent for the deadline before does nothing then.
            deadline = Command(CommandKind.DEADLINE, begun.run.namespace, begun.run.run_id)
            await self._sender.command(begun.home, deadline, at_ms=placed.run.deadline_ms)
        key = keys.run(begun.run.namespace, begun.run.run_id)
        actions = [
            Set("placed", 1),
            Set("starts", placed.starts_ms),
            Set("deadline", placed.run.deadline_ms),
        ]
        first = AllOf((Absent("placed"), Absent("purging"), OneOf("status", OPEN)))
        try:
            item: Item | None = await self._services.backend.table.update(key, actions, first)
        except ConditionFailed as lost:
            item = lost.old
        return None if item is None or is_purged(item) else read_header(item)

    async def _reserve(self, graph: Graph, limit: StartLimit, header: Header, *, refuses: bool) -> int:
        """When the run may begin (epoch ms); 0 for at once."""
        run = header.run
        counted = limit.counted(graph.instances[graph.root], header.inputs or {})
        key = keys.starts(run.namespace, run.graph, counted.scope)
        async with self._locks.setdefault(key, asyncio.Lock()):
            item = await self._services.backend.table.get(key)
            for trial in range(_TRIES):
                log, now = () if item is None else read_log(item["log"]), self._services.clock.now_ms()
                at_ms = limit.window.reserve(log, now)
                self._check(limit.told(counted), at_ms - now, refuses=refuses)
                try:
                    await self._write(key, limit, item, limit.window.add(log, at_ms, now))
                except ConditionFailed as lost:
                    item = lost.old
                    await self._pause(trial)
                else:
                    return at_ms if at_ms > now else 0
        raise Throttled("Too many runs of one graph are begun at the same moment; try again.")

    def _check(self, told: str, wait_ms: int, *, refuses: bool) -> None:
        if wait_ms > 0 and refuses:
            raise QuotaExceeded(
                f"The graph begins at most {told}; the next one may begin in {wait_ms / 1000:g} seconds.",
                wait_ms / 1000,
            )
        if wait_ms > self._services.settings.run_deadline_seconds * 1000:
            raise QuotaExceeded(
                f"The graph begins at most {told}, and so many wait that this one never would."
            )

    async def _write(self, key: Key, limit: StartLimit, before: Item | None, log: tuple[Starts, ...]) -> None:
        """Replace the log. Raises ConditionFailed if it is not as it was read."""
        ttl = (log[-1].at_ms + limit.window.period_ms) // 1000 + _KEPT_SECONDS
        item = {"pk": key.pk, "sk": key.sk, "log": log_text(log), "ttl": ttl}
        unchanged = Absent() if before is None else Equals("log", before["log"])
        await self._services.backend.table.put(item, unchanged)

    async def _pause(self, trial: int) -> None:
        longest = min(_FIRST_PAUSE_SECONDS * 2.0**trial, _LONGEST_PAUSE_SECONDS)
        await self._services.clock.sleep(longest * self._services.entropy.uniform())


def _starting(header: Header, at_ms: int) -> Header:
    """The header of a run that begins then, or as it says if that is later; its time limit counts from there."""
    late_ms = max(0, at_ms - header.starts_ms)
    run = replace(header.run, deadline_ms=header.run.deadline_ms + late_ms)
    return replace(header, run=run, starts_ms=header.starts_ms + late_ms, placed=True)
