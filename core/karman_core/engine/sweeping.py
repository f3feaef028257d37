"""The sweeper, hourly: the last guard.

It ends runs that are overdue, and sends again what a stalled run is waiting for.

Nothing in the protocol needs it: it is for what the protocol cannot see (a queue that was purged, a message that
outlived its retention). A redrive walks the run's records and sends a message for each place where something should
go on; sending too much does no harm, because whoever receives it looks before running.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, replace

from karman_core.domain.decide import EndBranch, Fork, RunAgain, Wait
from karman_core.domain.definition import JSON
from karman_core.domain.errors import NotFound
from karman_core.domain.joins import climb
from karman_core.domain.layouts import check_layout
from karman_core.domain.messages import Command, CommandKind, Position
from karman_core.domain.transitions import RunStatus, StateStatus
from karman_core.engine import keys
from karman_core.engine.failures import Failures
from karman_core.engine.graphs import GraphStore
from karman_core.engine.lifecycle import Lifecycle
from karman_core.engine.outputs import Place
from karman_core.engine.paging import every
from karman_core.engine.prolonging import Prolonger
from karman_core.engine.purging import Purger
from karman_core.engine.reopening import is_for_skip
from karman_core.engine.run_items import Header, read_header
from karman_core.engine.sending import Sender
from karman_core.engine.services import Services
from karman_core.engine.slots import Slots
from karman_core.engine.waiting import Waits
from karman_core.engine.walking import Visit, Walker
from karman_core.ports.table import UNFINISHED, Item, Key, Query

_MOST_SENT = 10_000
_BOOKMARK = Key("sweeper", "bookmark")
_NEXT = " "
"""Behind a place in the index: what follows it directly."""


@dataclass(frozen=True, slots=True)
class SweepReport:
    """What a sweep did."""

    looked_at: int = 0
    expired: int = 0
    prolonged: int = 0
    redriven: int = 0
    sent: int = 0
    purged: int = 0
    failed: int = 0
    complete: bool = True
    """False when its time was over before all runs were looked at."""


@dataclass(frozen=True, slots=True)
class Redriven:
    """How many states were looked at, how many messages sent, and the last place if there are more behind it."""

    looked_at: int
    sent: int
    last: Place | None


class Sweeper:
    """Goes through unfinished runs."""

    def __init__(  # noqa: PLR0913  the parts that it guards
        self,
        services: Services,
        *,
        graphs: GraphStore,
        lifecycle: Lifecycle,
        walker: Walker,
        failures: Failures,
        waits: Waits,
        prolonger: Prolonger,
        purger: Purger,
        sender: Sender,
        slots: Slots,
    ) -> None:
        self._services = services
        self._graphs = graphs
        self._lifecycle = lifecycle
        self._walker = walker
        self._failures = failures
        self._waits = waits
        self._prolonger = prolonger
        self._purger = purger
        self._sender = sender
        self._slots = slots

    async def sweep(self, until_ms: int | None = None) -> SweepReport:
        """One sweep over all unfinished runs; a run that cannot be looked at is counted and left for the next one.

        One that ends early, by `until_ms` or cancelled, leaves a bookmark, and the next one goes round from there: so
        many runs, or a run that takes all the time there is, keep none from being looked at.
        """
        report = SweepReport()
        bookmark = await self._services.backend.table.get(_BOOKMARK)
        first = 0 if bookmark is None else bookmark["shard"]
        after = None if bookmark is None else bookmark["after"]
        for turn in range(keys.UNFINISHED_SHARDS):
            shard = (first + turn) % keys.UNFINISHED_SHARDS
            async for place, item in self._unfinished(shard, after if not turn else None):
                if until_ms is not None and self._services.clock.now_ms() >= until_ms:
                    await self._leave_bookmark(shard, after)
                    return replace(report, complete=False)
                after = place
                report = replace(report, looked_at=report.looked_at + 1)
                try:
                    check_layout(item, self._services.layout)
                    report = await self._look_at(read_header(item), report)
                except asyncio.CancelledError:
                    await asyncio.shield(self._leave_bookmark(shard, after))
                    raise
                except Exception:  # noqa: BLE001  whatever is wrong with one run keeps no other from being swept
                    report = replace(report, failed=report.failed + 1)
            after = None
        if bookmark is not None:
            await self._services.backend.table.delete(_BOOKMARK)
        self._services.backend.purge(self._services.clock.now_ms())
        return report

    async def _leave_bookmark(self, shard: int, after: str | None) -> None:
        ttl = self._services.ttl()
        await self._services.backend.table.put(
            {"pk": _BOOKMARK.pk, "sk": _BOOKMARK.sk, "shard": shard, "after": after, "ttl": ttl}
        )

    async def _unfinished(self, shard: int, after: str | None) -> AsyncIterator[tuple[str, Item]]:
        """Headers of unfinished runs with their place in the index, those after a place."""
        first = None if after is None else f"{after}{_NEXT}"
        query = Query(f"unfinished#{shard}", first=first, index=UNFINISHED, consistent=False)
        async for item in every(self._services.backend.table, query):
            # The same place as in the index that is read; of a run that has ended by now, that one is gone.
            yield item["by_time_sk"], item

    async def _look_at(self, header: Header, report: SweepReport) -> SweepReport:
        run, now = header.run, self._services.clock.now_ms()
        if header.purging:
            done = await self._purger.go_on(run.namespace, run.run_id)
            return replace(report, purged=report.purged + int(done))
        if now >= run.deadline_ms:
            await self._expire(header)
            return replace(report, expired=report.expired + 1)
        if await self._prolonger.prolong(header):
            report = replace(report, prolonged=report.prolonged + 1)
        if await self._slots.waits(header):
            return report
        stalled_ms = self._services.settings.stalled_seconds * 1000
        if header.status is RunStatus.PAUSED or now - header.starts_ms < stalled_ms:
            return report
        sent = await self.redrive(header, quiet_ms=stalled_ms)
        return replace(report, redriven=report.redriven + int(sent > 0), sent=report.sent + sent)

    async def _expire(self, header: Header) -> None:
        """End an overdue run. A message first: once the run has its status, no sweep sees to what follows from it."""
        run = header.run
        with suppress(NotFound):  # its queue is gone: nobody is to keep it from its end
            await self._sender.command(header.home, Command(CommandKind.DEADLINE, run.namespace, run.run_id))
        await self._lifecycle.expire(run.namespace, run.run_id)

    async def redrive(self, header: Header, *, quiet_ms: int = 0) -> int:
        """Send again all that a run waits for, unless something has moved in the last `quiet_ms`.

        Returns:
            How many messages were sent.
        """
        graph = await self._graphs.compiled(header.run.namespace, header.run.graph, header.run.version)
        positions: list[Position] = []
        latest, now = header.starts_ms, self._services.clock.now_ms()
        own = header.run.reused.last if header.run.reused else None
        async for visit in self._walker.walk(graph, self._walker.root(graph, header.run), own):
            latest = max(latest, _moved_ms(visit, now))
            if len(positions) < _MOST_SENT and await self._open(visit):
                positions.append(_sendable(visit))
        if now - latest < quiet_ms:
            return 0
        await self._reopen_again(header)
        await self._sender.send_positions(graph, positions, again=True)
        return len(positions)

    async def redrive_some(self, header: Header, after: Place | None, most: int) -> Redriven:
        """Send again what a part of a run waits for, whenever something moved last, and its deadline.

        What waits for a time is sent for that time: a queue that lost all else has lost that too.

        Args:
            after: where the part before ended.
            most: states that are looked at.
        """
        graph = await self._graphs.compiled(header.run.namespace, header.run.graph, header.run.version)
        begin = after or (header.run.reused.last if header.run.reused else None)
        found: dict[int, list[Position]] = {}
        looked_at, last = 0, None
        async for visit in self._walker.walk(graph, self._walker.root(graph, header.run), begin):
            if looked_at == most:
                break
            looked_at, last = looked_at + 1, visit.place
            due_ms = await self._due_ms(header, visit)
            if due_ms is not None:
                found.setdefault(due_ms, []).append(_sendable(visit))
        else:
            last = None
        if after is None:
            await self._reopen_again(header)
        if after is None and header.timed:
            deadline = Command(CommandKind.DEADLINE, header.run.namespace, header.run.run_id)
            await self._sender.command(header.home, deadline, at_ms=header.run.deadline_ms)
        for due_ms, positions in found.items():
            await self._sender.send_positions(graph, positions, again=True, at_ms=due_ms or None)
        return Redriven(looked_at, sum(map(len, found.values())), last)

    async def _reopen_again(self, header: Header) -> None:
        """Send again what opened the run's epoch: the states that were to be opened in it may not be yet.

        Which outputs a skip gave is known to nobody else: that is asked for again.
        """
        run, state = header.run, header.only
        if not run.epoch or (state is not None and is_for_skip(state)):
            return
        arguments: dict[str, JSON] = (
            {"epoch": run.epoch} if state is None else {"epoch": run.epoch, "state": state}
        )
        kind = CommandKind.RETRY if state is None else CommandKind.RETRY_STATE
        await self._sender.command(header.home, Command(kind, run.namespace, run.run_id, arguments))

    async def _due_ms(self, header: Header, visit: Visit) -> int | None:
        """When something should go on here (0: now), None where nothing does."""
        now = self._services.clock.now_ms()
        if visit.record is None:
            return header.starts_ms if header.starts_ms > now else 0
        match visit.decision:
            case RunAgain(due_ms):
                return due_ms if due_ms > now else 0
            case Wait():
                return 0  # It is registered again, with its time-out.
            case _:
                return 0 if await self._open(visit) else None

    async def _open(self, visit: Visit) -> bool:
        """Whether something should go on here: nothing recorded, a turn due, a wait, or an end that was not told."""
        record, position = visit.record, visit.position
        if record is None:
            return True
        match visit.decision:
            case RunAgain(due_ms):
                return due_ms <= self._services.clock.now_ms()
            case Wait():
                return record.status is StateStatus.READY or await self._waits.overlooked(position, record)
            case EndBranch():
                return await self._untold(position)
            case Fork():
                return False
            case _:
                return record.status is StateStatus.RUNNING

    async def _untold(self, position: Position) -> bool:
        """Whether a branch that has ended never arrived at its join, or filled it without anything having followed."""
        if not position.frames:
            return True
        frame, (number, index) = position.frames[-1], position.branch[-1]
        slot = next(iter(climb(frame.width, index, self._services.settings.shard_width)))
        parent = replace(position, branch=position.branch[:-1], number=number)
        join, epoch = await self._failures.join_and_epoch(
            parent, frame.width, level=slot.level, item=slot.item
        )
        if epoch < position.run.epoch:
            return False  # That epoch has ended, so all of it was told.
        return not join.holds(slot.member) or (join.full(slot) and join.last == slot.member)


def _moved_ms(visit: Visit, now: int) -> int:
    record = visit.record
    if record is None:
        return 0
    due = record.due_ms or 0
    return max(record.started_ms, record.ended_ms, due if due <= now else 0)


def _sendable(visit: Visit) -> Position:
    """The position as a message would have it: at an ended state, the turn before, so that it is followed again."""
    position, record = visit.position, visit.record
    if record is not None and not record.runnable:
        position = replace(position, turn=record.turn - 1)
    return position
