"""Work over HTTP: states are leased to workers that have no queue, and their outcomes are taken when they report.

A poll receives messages for the worker, and goes on with each as far as the next node. There it stops: the state's
record becomes RUNNING and holds the lease (queue, receipt and position), in one write. A report commits the outcome
the worker gives, follows, and deletes the message; until then the message is the lease, as for every other worker,
and reappears when the worker dies. The digest of the report is kept with the commit, so that the same report again is
no conflict.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from itertools import count
from typing import NoReturn

from karman_core.domain.branches import parse_state_id
from karman_core.domain.definition import JSON
from karman_core.domain.errors import ConditionFailed, Conflict, KarmanError, NewerLayout, NotFound
from karman_core.domain.graph import Graph
from karman_core.domain.message_bodies import decode, decode_position, encode_position
from karman_core.domain.messages import Advance, Command, ForeignMessage, Message, Position, Range
from karman_core.domain.outcome import Errored, Outcome, Stopped
from karman_core.domain.transitions import FINAL_RUNS, StateStatus
from karman_core.engine import keys
from karman_core.engine.commits import Ran, RecordGone
from karman_core.engine.control import Flag
from karman_core.engine.parts import Parts
from karman_core.engine.passing_on import pass_on
from karman_core.engine.payloads import dumps
from karman_core.engine.receiving import is_fresh, is_late
from karman_core.engine.registry import queue_name
from karman_core.engine.reusing import key_of
from karman_core.engine.services import Services
from karman_core.engine.state_items import read_record
from karman_core.engine.task import Task
from karman_core.engine.views import LeaseView, Released, Report, Work
from karman_core.ports.executor import Execution
from karman_core.ports.queue import Incoming
from karman_core.ports.table import Action, Equals, Item, Remove, Set

logger = logging.getLogger(__name__)

_RECEIVE_LIMIT = 10
_NOT_MINE_SECONDS = 1
_RELEASING_SECONDS = 30
_GRACE_SECONDS = 10
"""For which a worker may be late with telling that a node's time was over."""


class Suspended(BaseException):
    """The loop has come to a node: it is not run here, but leased. No error, so nothing may swallow it."""

    def __init__(self, execution: Execution) -> None:
        super().__init__(execution.state_id)
        self.execution = execution


_wanted: ContextVar[frozenset[str]] = ContextVar("wanted", default=frozenset())


class Suspender:
    """An executor that runs nothing: where a node that the poll asked for would run, the loop stops."""

    def runs(self, node_name: str) -> bool:
        """Whether the poll that is going on asked for the node."""
        return node_name in _wanted.get()

    def declared_secrets(self, node_name: str) -> tuple[str, ...]:
        """Registered nodes say which secrets they read."""
        del node_name
        return ()

    async def execute(self, execution: Execution) -> NoReturn:
        """Stop. Raises Suspended."""
        raise Suspended(execution)


@dataclass(frozen=True, slots=True)
class _Lease:
    """What a leased state's record holds: where the message is, and where the loop stopped."""

    id: str
    queue: str
    receipt: str
    position: Position
    started_ms: int
    inputs: Mapping[str, JSON]

    def text(self) -> str:
        position = encode_position(self.position)
        return dumps([self.id, self.queue, self.receipt, position, self.started_ms, self.inputs])


class Leasing:
    """Leases states, and takes reports."""

    def __init__(self, services: Services, parts: Parts) -> None:
        """Make it; `parts` are put together with a Suspender as executor."""
        self._services = services
        self._parts = parts
        self._polls = count()

    async def poll(
        self, namespace: str, nodes: Sequence[str], *, limit: int, wait_seconds: float, lease_seconds: int
    ) -> list[Work]:
        """Lease up to `limit` states of the nodes; waits for the first one."""
        asked = _wanted.set(frozenset(nodes))
        try:
            return await self._poll(namespace, nodes, limit, wait_seconds, lease_seconds)
        finally:
            _wanted.reset(asked)

    async def _poll(
        self, namespace: str, nodes: Sequence[str], limit: int, wait_seconds: float, lease_seconds: int
    ) -> list[Work]:
        queues = await self._queues(namespace, nodes)
        until = self._services.clock.now_ms() + round(wait_seconds * 1000)
        work: list[Work] = []
        while queues:
            more = False
            for queue in queues:
                left = (until - self._services.clock.now_ms()) / 1000
                wanted = min(_RECEIVE_LIMIT, limit - len(work))
                messages = await self._services.backend.queue.receive(
                    queue,
                    limit=wanted,
                    wait_seconds=0.0 if work else max(0.0, left / len(queues)),
                    lease_seconds=lease_seconds,
                )
                mine, failed = await self._take_all(queue, messages, lease_seconds)
                work += mine
                if failed is not None and not work:
                    raise failed
                if failed is not None or len(work) >= limit:
                    return work
                more |= bool(mine) and len(messages) == wanted
            if not more and (work or self._services.clock.now_ms() >= until):
                return work
        return work

    async def heartbeat(
        self, namespace: str, state_id: str, lease: str | None, lease_seconds: int
    ) -> LeaseView:
        """Make the lease end later. Raises NotFound, Conflict when it was lost.

        Workers see to the time-outs of nodes. One that does not, or hangs, is not waited for: the attempt fails here.
        """
        _, held = await self._held(namespace, state_id, lease)
        if await self._overdue(held):
            return LeaseView(self._services.clock.now_ms(), cancelled=True)
        await self._extend(state_id, held, lease_seconds)
        until = self._services.clock.now_ms() + lease_seconds * 1000
        return LeaseView(until, await self._cancelled(held.position))

    async def _overdue(self, held: _Lease) -> bool:
        """Whether the node takes longer than it may; then its attempt has failed."""
        position, now = held.position, self._services.clock.now_ms()
        graph = await self._parts.graphs.at(position)
        seconds = await self._parts.runner.timeout_seconds(graph, position)
        if seconds is None or now - held.started_ms < (seconds + _GRACE_SECONDS) * 1000:
            return False
        failure = Errored("timeout", f"The node did not end within its timeout of {seconds:g} s.")
        ran = Ran(held.started_ms, now, held.inputs, failure)
        await self._parts.advancer.take(self._task(held.queue), graph, position, ran, ())
        await self._services.backend.queue.delete(held.queue, [held.receipt])
        return True

    async def release(self, namespace: str, state_id: str, lease: str | None) -> Released:
        """Give a lease back: the state is run by the next worker, without a crash or an attempt being counted.

        A fresh message goes before the old one is deleted, so that receives go on counting crashes alone; the record
        follows, unless the next worker was quicker. Where the state's group has failed already, there is none: it ends
        as cancelled here. Raises NotFound, Conflict when the lease was lost.
        """
        item, held = await self._held(namespace, state_id, lease)
        await self._extend(state_id, held, _RELEASING_SECONDS)
        position = held.position
        graph = await self._parts.graphs.at(position)
        control = await self._parts.controls.read(position.run.namespace, position.run.run_id)
        if control.stops(position.branch, position.run.epoch):
            ran = Ran(held.started_ms, self._services.clock.now_ms(), held.inputs, Stopped())
            record, _ = await self._parts.advancer.take(self._task(held.queue), graph, position, ran, ())
            await self._services.backend.queue.delete(held.queue, [held.receipt])
            return Released(record.status.value)
        await self._parts.sender.send_positions(graph, [position], again=True)
        key = key_of(position.run, (position.branch, position.number))
        actions: list[Action] = [Set("st", StateStatus.QUEUED.value), Remove("le")]
        try:
            item = await self._services.backend.table.update(key, actions, Equals("le", item["le"]))
        except ConditionFailed as lost:
            item = lost.old or item
        await self._services.backend.queue.delete(held.queue, [held.receipt])
        return Released(read_record(item).status.value)

    async def _extend(self, state_id: str, held: _Lease, lease_seconds: int) -> None:
        if await self._services.backend.queue.extend(held.queue, [held.receipt], lease_seconds):
            raise Conflict(f"The lease of state '{state_id}' has ended; another worker may have it.")

    async def _cancelled(self, position: Position) -> bool:
        """Whether the result is not wanted any more."""
        run = position.run
        if self._services.clock.now_ms() >= run.deadline_ms:
            return True
        control = await self._parts.controls.read(run.namespace, run.run_id)
        return control.flag is Flag.STOPPED or control.stops(position.branch, run.epoch)

    async def report(
        self, namespace: str, state_id: str, outcome: Outcome, *, lease: str | None = None
    ) -> Report:
        """Take how an execution ended.

        Args:
            lease: the id that the poll gave; None takes whatever lease there is (Exosphere's workers have no ids).

        Raises:
            NotFound: no such state.
            Conflict: it was reported before with another result, its lease was lost, or its run has ended.
        """
        digest = _digest(outcome)
        item = await self._item(namespace, state_id)
        if item.get("rd") == digest and not _holds(item, lease):
            return Report(read_record(item).status.value, repeated=True)
        item, held = await self._held(namespace, state_id, lease)
        position = held.position
        header = await self._parts.lifecycle.header(namespace, position.run.run_id)
        if header.status in FINAL_RUNS:
            raise Conflict(
                f"Run '{position.run.run_id}' has ended ({header.status.value}); the result is not taken."
            )
        graph = await self._parts.graphs.compiled(namespace, position.run.graph, position.run.version)
        task = self._task(held.queue)
        now = self._services.clock.now_ms()
        outcome = await self._parts.runner.without_secrets(graph, position, outcome)
        ran = Ran(held.started_ms, now, held.inputs, outcome)
        record, mine = await self._parts.advancer.take(task, graph, position, ran, (Set("rd", digest),))
        await self._services.backend.queue.delete(held.queue, [held.receipt])
        if not mine and (await self._item(namespace, state_id)).get("rd") != digest:
            raise Conflict(f"State '{state_id}' was reported before, with another result.")
        return Report(record.status.value, repeated=not mine)

    async def _queues(self, namespace: str, nodes: Sequence[str]) -> list[str]:
        found = [await self._parts.registry.find(namespace, name) for name in dict.fromkeys(nodes)]
        queues = sorted({queue_name(namespace, node.runtime) for node in found if node is not None})
        # Each poll begins with another queue: a deep one must not starve the others of the same worker.
        first = next(self._polls) % max(1, len(queues))
        return queues[first:] + queues[:first]

    async def _take_all(
        self, queue: str, messages: Sequence[Incoming], lease_seconds: int
    ) -> tuple[list[Work], KarmanError | None]:
        """Each by itself: one that fails stays until its lease ends. The last error of a service that may pass, too."""
        work, failed = [], None
        for message in messages:
            try:
                taken = await self._take(queue, message, lease_seconds)
            except KarmanError as error:
                failed = error if error.retryable else failed
                fields = {"queue": queue, "message_id": message.id, "error": str(error)}
                logger.warning("message failed", extra=fields, exc_info=not error.retryable)
            else:
                work += [] if taken is None else [taken]
        return work, failed

    async def _take(self, queue: str, message: Incoming, lease_seconds: int) -> Work | None:
        """Go on with a message up to the node that it stops at; None when it comes to none."""
        redelivered = message.receive_count > 1
        decoded: Message | None = None
        try:
            decoded = decode(message.body, self._services.layout)
            match decoded:
                case Advance():
                    return await self._advance(queue, message, decoded, lease_seconds)
                case Range(parent):
                    graph = await self._parts.graphs.at(parent)
                    await self._parts.sender.expand(graph, decoded, again=redelivered)
                case Command():
                    await self._parts.commands.apply(decoded, thorough=redelivered or decoded.again)
        except (RecordGone, NotFound):
            if not await self._parts.receiver.is_purged(decoded):
                raise
        except NewerLayout as newer:
            await pass_on(self._services, queue, message, newer)
        except ForeignMessage as foreign:
            await self._services.backend.queue.bury(queue, message, str(foreign))
            return None
        await self._services.backend.queue.delete(queue, [message.receipt])
        return None

    async def _advance(
        self, queue: str, message: Incoming, advance: Advance, lease_seconds: int
    ) -> Work | None:
        """Go on with a branch; a message that stands at a node which this poll did not ask for is put back."""
        redelivered = message.receive_count > 1
        position = await self._parts.lifecycle.first(advance)
        if position is not None:
            graph = await self._parts.graphs.at(position)
            if await self._is_for_others(queue, graph, position):
                await self._services.backend.queue.extend(queue, [message.receipt], _NOT_MINE_SECONDS)
                return None
            task = self._task(queue, redelivered=redelivered, look=redelivered or is_late(advance))
            # A poll holds others beside this one: none waits here for its token.
            task.paced, task.patient = advance.paced, False
            task.fresh = not task.look and is_fresh(self._services, message, task.begun_ms)
            try:
                await self._parts.advancer.advance(task, graph, position)
            except Suspended as suspended:
                stopped_at = task.position or position
                return await self._lease(queue, message, stopped_at, suspended.execution, lease_seconds)
        await self._services.backend.queue.delete(queue, [message.receipt])
        return None

    async def _is_for_others(self, queue: str, graph: Graph, position: Position) -> bool:
        """Whether others who poll this queue have the node; else the message goes on to where it runs now."""
        instance = graph.instances[position.identifier]
        if instance.node_name in _wanted.get():
            return False
        owner = instance.namespace or position.run.namespace
        node = await self._parts.registry.find(owner, instance.node_name)
        return node is not None and queue_name(owner, node.runtime) == queue

    async def _lease(
        self, queue: str, message: Incoming, position: Position, execution: Execution, lease_seconds: int
    ) -> Work | None:
        now = self._services.clock.now_ms()
        lease = _Lease(
            self._services.entropy.token(), queue, message.receipt, position, now, execution.inputs
        )
        try:
            await self._parts.runner.mark_running(position, Set("le", lease.text()))
        except ConditionFailed:
            return None  # Somebody has committed meanwhile: the message comes back and is followed from the record.
        resumed = execution.resumed
        return Work(
            state_id=execution.state_id,
            lease=lease.id,
            run_id=execution.run_id,
            graph=execution.graph,
            identifier=execution.identifier,
            node_name=execution.node_name,
            inputs=execution.inputs,
            secrets=execution.secrets,
            attempt=execution.attempt,
            turn=execution.turn,
            timeout_seconds=execution.timeout_seconds,
            until_ms=now + lease_seconds * 1000,
            resumed=None if resumed is None else asdict(resumed),
            trace_parent=execution.trace_parent,
        )

    async def _item(self, namespace: str, state_id: str) -> Item:
        try:
            run_id, branch, number = parse_state_id(state_id)
        except ValueError as error:
            raise NotFound(f"There is no state '{state_id}'.") from error
        item = await self._services.backend.table.get(keys.state(namespace, run_id, branch, number))
        if item is None:
            raise NotFound(f"There is no state '{state_id}' that was leased.")
        return item

    async def _held(self, namespace: str, state_id: str, lease: str | None) -> tuple[Item, _Lease]:
        item = await self._item(namespace, state_id)
        if "le" not in item:
            raise Conflict(
                f"State '{state_id}' is not leased: it was reported before, or its lease was taken over."
            )
        held_id, queue, receipt, position, started, inputs = json.loads(item["le"])
        if lease is not None and lease != held_id:
            raise Conflict(f"The lease of state '{state_id}' was taken over by another worker.")
        return item, _Lease(held_id, queue, receipt, decode_position(position), started, inputs)

    def _task(self, queue: str, *, redelivered: bool = False, look: bool = False) -> Task:
        return Task(
            queue=queue,
            redelivered=redelivered,
            look=look,
            again=redelivered,
            begun_ms=self._services.clock.now_ms(),
            stopping=lambda: False,
        )


def _holds(item: Item, lease: str | None) -> bool:
    """Whether the state is leased anew, by the one who reports: the last report was then of an earlier turn."""
    return "le" in item and lease in {None, json.loads(item["le"])[0]}


def _digest(outcome: Outcome) -> str:
    body = json.dumps([type(outcome).__name__, asdict(outcome)], sort_keys=True, default=str)
    return hashlib.sha256(body.encode()).hexdigest()[:32]
