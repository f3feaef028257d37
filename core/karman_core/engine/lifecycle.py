"""The life of a run: begun, ended, cancelled, paused, resumed.

Every change of status is one compare-and-set of the header. Events are published after the change, and again whenever
a later delivery finds the change done: at least once.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from karman_core.domain.decide import Ending
from karman_core.domain.errors import ConditionFailed, NotFound
from karman_core.domain.message_bodies import decode_position, encode_position
from karman_core.domain.messages import Advance, Position, RunRef
from karman_core.domain.totals import Totals
from karman_core.domain.transitions import FINAL_RUNS, RunStatus
from karman_core.engine import keys
from karman_core.engine.control import FINAL_VERSION, Controls, Flag
from karman_core.engine.graphs import GraphStore
from karman_core.engine.payloads import dumps
from karman_core.engine.publishing import Publisher
from karman_core.engine.run_items import (
    OPEN,
    Header,
    end_actions,
    header_from_json,
    is_purged,
    new_header,
    open_in_epoch,
    read_header,
)
from karman_core.engine.sending import Sender
from karman_core.engine.services import Services
from karman_core.engine.slots import Slots
from karman_core.engine.starts import StartLimits
from karman_core.engine.store import RunStore
from karman_core.engine.tagging import RunTags
from karman_core.ports.observer import RunBegan, RunEnded
from karman_core.ports.table import (
    Absent,
    Action,
    Add,
    AllOf,
    Condition,
    Equals,
    Item,
    Key,
    LessThan,
    OneOf,
    Query,
    Remove,
    Set,
)

_DAYS_KEPT_SECONDS = 400 * 86_400
_NOTED = 10_000


class RunPurged(NotFound):
    """There was such a run, and somebody deleted it."""


class Lifecycle:
    """Changes the status of runs."""

    def __init__(
        self,
        services: Services,
        graphs: GraphStore,
        controls: Controls,
        sender: Sender,
        tags: RunTags,
        starts: StartLimits,
        slots: Slots,
    ) -> None:
        self._services = services
        self._slots = slots
        self._starts = starts
        self._tags = tags
        self._graphs = graphs
        self._controls = controls
        self._sender = sender
        self._publisher = Publisher(services)
        self._noted: set[tuple[str, str, int]] = set()

    async def header(self, namespace: str, run_id: str) -> Header:
        """A run's header, read consistently. Raises NotFound; RunPurged, which is one, if it was there."""
        item = await self._services.backend.table.get(keys.run(namespace, run_id))
        if item is not None and is_purged(item):
            raise RunPurged(f"Run '{run_id}' was purged.")
        if item is None:
            raise NotFound(f"There is no run '{run_id}' in namespace '{namespace}'.")
        return read_header(item)

    async def begin(self, header: Header) -> Header | None:
        """Write the header and the store that the trigger gave, unless they are there.

        Returns:
            The header in the table, which may be another delivery's: two triggers of one key at once may have seen two
            versions of the graph. None when the run exists for another request, or begins at another place: the
            message that carries this header is to be dropped.
        """
        run = header.run
        item = await self._services.backend.table.get(keys.run(run.namespace, run.run_id))
        if item is None:
            await self._begin_store(header)
            await self._note_day(header)
            await self._tags.note(header, header.tags or {})
            item = new_header(header)
            try:
                await self._services.backend.table.put(item, Absent())
            except ConditionFailed as lost:
                item = lost.old
            else:
                self._services.observe(RunBegan(run.namespace, run.run_id, run.graph))
        begun = None if item is None or is_purged(item) else read_header(item)
        await self._slots.yield_to(begun, header)
        same = begun and (begun.request, begun.run.reused) == (header.request, run.reused)
        return begun if same else None

    async def _begin_store(self, header: Header) -> None:
        run = header.run
        store = RunStore(self._services, run.namespace, run.run_id, {})
        if run.reused is None:
            await store.begin(header.store or {})
        else:
            await store.begin_as(run.reused.sources[-1].run_id, anew=not run.reused.before)

    async def _note_day(self, header: Header) -> None:
        """Before the header, so that no run is missing in lists; once a day, graph and process."""
        run, day = header.run, header.created_ms // keys.DAY_MS
        if (run.namespace, run.graph, day) in self._noted:
            return
        ttl = self._services.ttl() + _DAYS_KEPT_SECONDS
        await self._services.backend.table.batch_write(
            {"pk": keys.days(run.namespace, graph), "sk": keys.day_text(day), "ttl": ttl}
            for graph in (None, run.graph)
        )
        if len(self._noted) >= _NOTED:
            self._noted.clear()
        self._noted.add((run.namespace, run.graph, day))

    async def first(self, message: Advance) -> Position | None:
        """Where a message stands, its run begun if it is the first one; None when it is to be dropped, or waits."""
        position = message.position
        if message.header is None:
            return await self._first_again(message)
        begun = await self.begin(header_from_json(message.header))
        if begun is None:
            return None
        graph = await self._graphs.compiled(begun.run.namespace, begun.run.graph, begun.run.version)
        begun = await self._starts.admit(graph, message, begun)
        if begun is None:
            return None
        await self._publisher.started(begun)
        run = replace(begun.run, epoch=position.run.epoch)
        position = replace(position, run=run, trigger_inputs=begun.inputs or {})
        return position if begun.slot is None else await self._enter(position, begun)

    async def _first_again(self, message: Advance) -> Position | None:
        """The position of a message without header; at the first state of a run, only when the run may go on.

        So it is where the message that had the header was lost, and the run was redriven.
        """
        position, run = message.position, message.position.run
        first = 0 if run.reused is None else run.reused.before
        if position.branch or position.turn or position.number != first:
            return position
        graph = await self._graphs.at(position)
        if graph.rate_limit is not None:
            with suppress(NotFound):
                begun = await self.header(run.namespace, run.run_id)
                if await self._starts.admit(graph, message, begun) is None:
                    return None
        return position if graph.concurrency is None else await self._enter(position, None)

    async def _enter(self, position: Position, header: Header | None) -> Position | None:
        """The position, once its run holds its slot; None when it waits for it, or was cut off."""
        run = position.run
        while True:
            try:
                header = header or await self.header(run.namespace, run.run_id)
            except NotFound:
                return position  # As any message of a run that is gone.
            if header.slot is None:
                return position
            if header.status in FINAL_RUNS:
                await self._end_again(run)
                return None
            entered = await self._slots.enter(header, header.slot, position)
            if entered is not None:
                return position if entered else None
            header = None

    async def _end_again(self, run: RunRef) -> None:
        """See to all that follows from a final status; whoever gave it to the run may have come no further."""
        item = await self._services.backend.table.get(keys.run(run.namespace, run.run_id))
        if item is None or is_purged(item) or item["status"] not in FINAL_RUNS:
            return  # Purged or retried meanwhile: its end was told before.
        if item["status"] in {RunStatus.CANCELLED, RunStatus.TIMED_OUT}:
            await self._controls.set_flag(run.namespace, run.run_id, Flag.STOPPED, FINAL_VERSION)
        await self._tell_end(item, found=True)

    async def finish(self, run: RunRef, ending: Ending, totals: Totals) -> None:
        """All branches have ended."""
        status = RunStatus.FAILED if ending is Ending.FAILED else RunStatus.SUCCEEDED
        tags = await self._new_tags(run) if status is RunStatus.SUCCEEDED else ()
        await self._end(run.namespace, run.run_id, status, open_in_epoch(run.epoch), totals, tags)

    async def _new_tags(self, run: RunRef) -> tuple[Action, ...]:
        """The change of the header that brings the tags from what the run gave; their entries are written before it.

        What the trigger gave stands.
        """
        graph = await self._graphs.compiled(run.namespace, run.graph, run.version)
        if not graph.tags.outputs:
            return ()
        item = await self._services.backend.table.get(keys.run(run.namespace, run.run_id))
        if item is None:
            return ()
        header = read_header(item)
        before = header.tags or {}
        try:
            found = await self._tags.at_end(graph, run)
        except NotFound:
            if run.reused is None:
                raise
            found = {}  # What the run reuses is gone; it ends without these tags, but it ends.
        new = {name: value for name, value in found.items() if name not in before}
        await self._tags.note(header, new)
        return (Set("tags", dumps({**before, **new})),) if new else ()

    async def cancel(self, namespace: str, run_id: str) -> bool:
        """End the run as CANCELLED. Returns whether that is what it is now."""
        return await self._cut_off(namespace, run_id, RunStatus.CANCELLED)

    async def expire(self, namespace: str, run_id: str) -> bool:
        """End the run as TIMED_OUT, if its deadline has passed; that of a retried run is a later one."""
        overdue = LessThan("deadline", self._services.clock.now_ms() + 1)
        return await self._cut_off(namespace, run_id, RunStatus.TIMED_OUT, overdue)

    async def pause(self, namespace: str, run_id: str, control: int) -> bool:
        """Stop beginning states. Returns whether the run is paused now.

        Args:
            control: the header's, when the pause was asked for. One that comes late changes nothing.
        """
        changed = await self._change(namespace, run_id, RunStatus.RUNNING, RunStatus.PAUSED, control)
        if changed is None:
            return False
        await self._controls.set_flag(namespace, run_id, Flag.PAUSED, changed["control"])
        await self._publisher.changed(changed)
        return True

    async def resume(self, namespace: str, run_id: str, control: int) -> bool:
        """Go on: flags first, then everything that was put aside is sent again. Returns whether the run goes on."""
        changed = await self._change(namespace, run_id, RunStatus.PAUSED, RunStatus.RUNNING, control)
        if changed is None:
            return False
        await self._controls.set_flag(namespace, run_id, Flag.GO, changed["control"])
        cursor = None
        while True:
            page = await self._services.backend.table.query(
                Query(keys.park(namespace, run_id), cursor=cursor)
            )
            for item in page.items:
                position = decode_position(item["position"])
                graph = await self._graphs.compiled(namespace, position.run.graph, position.run.version)
                await self._sender.send_positions(graph, [position], again=True)
            await self._services.backend.table.batch_write(
                deletes=[Key(item["pk"], item["sk"]) for item in page.items]
            )
            cursor = page.cursor
            if cursor is None:
                await self._publisher.changed(changed)
                return True

    async def park(self, position: Position) -> bool:
        """Put a position aside, then look again. Returns False when the run is not paused any more: go on."""
        run = position.run
        pk = keys.park(run.namespace, run.run_id)
        text = encode_position(self._sender.light(position))
        # A key of its own each time: a resume that is still under way deletes what it has sent, and nothing else.
        token = self._services.entropy.token()
        sk = keys.parked(position.branch, position.number, position.turn, token)
        await self._services.backend.table.put(
            {"pk": pk, "sk": sk, "position": text, "ttl": self._services.ttl()}
        )
        control = await self._controls.read(run.namespace, run.run_id)
        return control.flag is Flag.PAUSED

    async def _cut_off(self, namespace: str, run_id: str, status: RunStatus, *more: Condition) -> bool:
        open_still = AllOf((OneOf("status", OPEN), *more))
        done = await self._end(namespace, run_id, status, open_still, Totals())
        if done:
            await self._controls.set_flag(namespace, run_id, Flag.STOPPED, FINAL_VERSION)
        return done

    async def _end(
        self,
        namespace: str,
        run_id: str,
        status: RunStatus,
        condition: Condition,
        totals: Totals,
        more: tuple[Action, ...] = (),
    ) -> bool:
        actions = end_actions(status, self._services.clock.now_ms(), self._services.ttl(), totals)
        actions += more
        found = False
        try:
            item = await self._services.backend.table.update(keys.run(namespace, run_id), actions, condition)
        except ConditionFailed as lost:
            if lost.old is None or lost.old["status"] != status.value or is_purged(lost.old):
                return False
            item, found = dict(lost.old), True
        await self._tell_end(item, found=found)
        return True

    async def _tell_end(self, item: Item, *, found: bool) -> None:
        header = read_header(item)
        await self._tags.keep(header)
        await self._publisher.ended(item)
        self._services.observe(
            RunEnded(
                header.run.namespace,
                header.run.run_id,
                header.status.value,
                header.run.graph,
                header.starts_ms,
                header.ended_ms or 0,
                header.totals,
                found=found,
            )
        )
        await self._slots.release(header)

    async def _change(
        self, namespace: str, run_id: str, before: RunStatus, after: RunStatus, control: int
    ) -> Item | None:
        """Change the status; the header's item that this made, also when it was made before. Else None."""
        actions: list[Action] = [
            Set("status", after.value),
            Set("control", control + 1),
            Set("changed", self._services.clock.now_ms()),
        ]
        asked = AllOf((Equals("status", before.value), Equals("control", control)))
        try:
            return await self._services.backend.table.update(keys.run(namespace, run_id), actions, asked)
        except ConditionFailed as lost:
            old = lost.old
            if old is None or old["status"] != after.value or old["control"] != control + 1:
                return None
            return old

    async def reopen(self, namespace: str, run_id: str, epoch: int, only: str | None) -> bool:
        """Begin an epoch of a run that has FAILED. Returns whether the run is in that epoch and goes on.

        Args:
            only: the state that the epoch is opened for, kept with it: two retries at once open one epoch, and the
                other one of them must not mix its states into it.
        """
        item = await self._services.backend.table.get(keys.run(namespace, run_id))
        if item is None or is_purged(item):
            return False
        if item["epoch"] < epoch and not await self._slots.claim(read_header(item), epoch):
            return False  # Nobody was told that this would be done: who asked for it took a slot first.
        actions: list[Action] = [
            Set("status", RunStatus.RUNNING.value),
            Set("epoch", epoch),
            Set("deadline", self._services.clock.now_ms() + item["limit"]),
            Set("unfinished_pk", keys.unfinished(run_id)),
            Set("unfinished_sk", item["by_time_sk"]),
            Add("control", 1),
            Remove("only") if only is None else Set("only", only),
            Remove("ended"),
            Remove("queued"),
            Remove("ttl"),
        ]
        failed = AllOf(
            (Equals("status", RunStatus.FAILED.value), Equals("epoch", epoch - 1), Absent("purging"))
        )
        try:
            item = await self._services.backend.table.update(keys.run(namespace, run_id), actions, failed)
        except ConditionFailed as lost:
            old = lost.old
            if old is None or old["status"] not in OPEN or (old["epoch"], old.get("only")) != (epoch, only):
                return False
            item = old
        # A run that failed while it was paused has its flag still.
        flag = Flag.PAUSED if item["status"] == RunStatus.PAUSED else Flag.GO
        await self._controls.set_flag(namespace, run_id, flag, item["control"])
        await self._publisher.retried(item)
        return True
