"""Running one turn of a state: inputs, secrets, the node itself, and the commit of how it ended."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from karman_core.domain.definition import JSON, RegisteredNode
from karman_core.domain.errors import (
    BackendError,
    ConditionFailed,
    InvalidRequest,
    NewerLayout,
    NotFound,
    Throttled,
    TransactionConflict,
    Unavailable,
)
from karman_core.domain.graph import Graph
from karman_core.domain.messages import Position
from karman_core.domain.outcome import Errored, Outcome, Resumption, Stopped
from karman_core.domain.records import Record
from karman_core.domain.redaction import redacted
from karman_core.domain.transitions import StateStatus
from karman_core.engine import keys
from karman_core.engine.commits import Committed, Committer, Ran, winner
from karman_core.engine.control import Controls, Flag
from karman_core.engine.inputs import InputResolver
from karman_core.engine.registry import NodeRegistry, namespace_of
from karman_core.engine.secrets import SecretReader
from karman_core.engine.sending import Sender, id_of
from karman_core.engine.services import Services
from karman_core.engine.state_items import turn_open
from karman_core.engine.store import RunStore
from karman_core.engine.task import Task
from karman_core.ports.executor import Execution
from karman_core.ports.observer import StateBegan
from karman_core.ports.table import Action, Add, Item, Key, Remove, Set

UNDELIVERABLE = Errored("undeliverable", "Its message was delivered too often without a commit.", retry=False)


class Runner:
    """Runs states with this worker's executor."""

    def __init__(
        self,
        services: Services,
        *,
        registry: NodeRegistry,
        inputs: InputResolver,
        secrets: SecretReader,
        committer: Committer,
        controls: Controls,
        sender: Sender,
    ) -> None:
        self._services = services
        self._registry = registry
        self._inputs = inputs
        self._secrets = secrets
        self._committer = committer
        self._controls = controls
        self._sender = sender

    def runs(self, task: Task, graph: Graph, position: Position) -> bool:
        """Whether this worker has the node of a position: that name, in the namespace of the queue that it reads."""
        executor, instance = self._services.executor, graph.instances[position.identifier]
        owner = instance.namespace or position.run.namespace
        return (
            executor is not None and owner == namespace_of(task.queue) and executor.runs(instance.node_name)
        )

    async def run(
        self, task: Task, graph: Graph, position: Position, record: Record | None, *, stopped: bool
    ) -> Record | None:
        """Run the node and commit how it ended.

        Args:
            record: what is known of the state, if it was looked at.
            stopped: the state's group has failed already: commit that it is not run.

        Returns:
            The record in the table, one's own or the winner's; None if the work was given back while draining.
        """
        store = self._store(graph, position)
        ran = await self._cut_short(task, position, stopped=stopped)
        if isinstance(ran, Record):
            task.adopt()
            return ran
        if ran is not None:
            return (await self.commit(task, graph, position, ran)).record
        try:
            ran = await self._execute(task, graph, position, record, store)
            return (await self.commit(task, graph, position, ran)).record
        except asyncio.CancelledError:
            if ran is not None:
                raise
            # The worker is being stopped: give the work back, then let the worker go on stopping.
            await asyncio.shield(self._sender.send_positions(graph, [position], again=True))
        except (Throttled, Unavailable, TransactionConflict):
            if not task.redelivered:
                raise
            await self._put_off(task, graph, position)
        return None

    async def _put_off(self, task: Task, graph: Graph, position: Position) -> None:
        """Try again later, after a backend that fails for longer than a moment: a full disk, an outage.

        Nobody crashed, so it counts as no crash, and a fresh message counts its deliveries anew: a run outlasts any
        outage. It takes the place of this message, which is deleted.
        """
        if self._counts(task):
            with suppress(BackendError):  # at worst a crash too many is counted
                key = _key(position)
                await self._services.backend.table.update(key, [Add("cr", -1)], turn_open(position.turn))
        late = self._services.clock.now_ms() + self._services.settings.lease_seconds * 1000
        await self._sender.send_positions(graph, [position], again=True, at_ms=late)

    async def commit(
        self, task: Task, graph: Graph, position: Position, ran: Ran, more: tuple[Action, ...] = ()
    ) -> Committed:
        """Commit how a turn ended; what was lost to somebody else is adopted."""
        committed = await self._committer.commit(graph, position, ran, self._store(graph, position), more)
        if not committed.mine:
            task.adopt()
        return committed

    def _store(self, graph: Graph, position: Position) -> RunStore:
        run = position.run
        defaults = graph.definition.store_config.default_values
        return RunStore(self._services, run.namespace, run.run_id, defaults)

    async def unknown(self, graph: Graph, position: Position) -> Errored | None:
        """How the state fails, if nobody has registered its node."""
        try:
            await self._node(graph, position)
        except NotFound as error:
            return Errored(error.code, str(error), retry=False)
        return None

    async def timeout_seconds(self, graph: Graph, position: Position) -> float | None:
        """How long the node of a position may take; None when neither graph nor registration says, or it is unknown."""
        instance = graph.instances[position.identifier]
        if instance.timeout_seconds is not None:
            return instance.timeout_seconds
        try:
            return (await self._node(graph, position)).timeout_seconds
        except NotFound:
            return None

    async def without_secrets(self, graph: Graph, position: Position, outcome: Outcome) -> Outcome:
        """The outcome without the node's secrets in its error: a worker over HTTP may quote what it was sent."""
        if not isinstance(outcome, Errored):
            return outcome
        run = position.run
        try:
            names = (await self._node(graph, position)).secrets
            values = (await self._secrets.read(run.namespace, run.graph, names)).values()
        except NotFound:
            return outcome
        return replace(
            outcome,
            kind=redacted(outcome.kind, values),
            message=redacted(outcome.message, values),
            traceback=redacted(outcome.traceback, values),
        )

    async def give_up(self, task: Task, graph: Graph, position: Position, failure: Errored) -> Record:
        """Commit that the state cannot be run."""
        now = self._services.clock.now_ms()
        return (await self.commit(task, graph, position, Ran(now, now, None, failure))).record

    async def _cut_short(self, task: Task, position: Position, *, stopped: bool) -> Ran | Record | None:
        """How the state ends without running: its group failed, or it crashed its workers too often.

        A record is one that somebody committed meanwhile.
        """
        now = self._services.clock.now_ms()
        if stopped:
            return Ran(now, now, None, Stopped())
        if not self._counts(task):
            return None
        try:
            item = await self.mark_running(position, Add("cr", 1))
        except ConditionFailed as lost:
            return winner(lost.old)
        crashes = item["cr"]
        if crashes <= self._services.settings.crash_limit:
            return None
        message = f"Its worker died {crashes} times while running it (out of memory, killed, or the process exited)."
        return Ran(now, now, None, Errored("worker_crashed", message, retry=False))

    def _counts(self, task: Task) -> bool:
        """Whether this delivery may be there because a worker died on the state."""
        return task.redelivered and not task.moved and task.states <= 1

    async def mark_running(self, position: Position, *more: Action) -> Item:
        """Show that a turn is being run, unless it was committed. Raises ConditionFailed with what was."""
        now = self._services.clock.now_ms()
        actions = [
            Set("st", StateStatus.RUNNING.value),
            Set("t", position.turn),
            Set("i", position.identifier),
            Set("s", now),
            Set("ttl", self._services.ttl()),
            Remove("du"),
            *more,
        ]
        return await self._services.backend.table.update(_key(position), actions, turn_open(position.turn))

    async def _execute(
        self, task: Task, graph: Graph, position: Position, record: Record | None, store: RunStore
    ) -> Ran:
        """Raises NewerLayout also where the node has read what a later release wrote, whatever it made of that."""
        started = self._services.clock.now_ms()
        inputs: dict[str, JSON] | None = None
        try:
            node = await self._node(graph, position)
            inputs = await self._inputs.resolve(graph, position, node, store, task.local)
            reading = _StoreReader(store)
            execution = await self._execution(task, graph, position, record, reading, node, inputs)
        except (InvalidRequest, NotFound) as error:
            outcome: Outcome = Errored(error.code, str(error), retry=False)
        else:
            self._observe(position, execution.attempt)
            outcome = await self._with_running_record(position, execution)
            if reading.newer is not None:
                raise reading.newer
        return Ran(started, self._services.clock.now_ms(), inputs, outcome)

    async def _node(self, graph: Graph, position: Position) -> RegisteredNode:
        instance = graph.instances[position.identifier]
        return await self._registry.get(instance.namespace or position.run.namespace, instance.node_name)

    async def _execution(
        self,
        task: Task,
        graph: Graph,
        position: Position,
        record: Record | None,
        reading: _StoreReader,
        node: RegisteredNode,
        inputs: Mapping[str, JSON],
    ) -> Execution:
        run, instance = position.run, graph.instances[position.identifier]
        deadline = run.deadline_ms if task.until_ms is None else min(run.deadline_ms, task.until_ms)
        return Execution(
            namespace=run.namespace,
            run_id=run.run_id,
            state_id=id_of(position),
            graph=run.graph,
            graph_version=run.version,
            identifier=position.identifier,
            node_name=instance.node_name,
            inputs=inputs,
            secrets=await self._secrets.read(run.namespace, run.graph, node.secrets),
            attempt=position.attempts + 1,
            turn=position.turn,
            resumed=_resumption(record),
            timeout_seconds=instance.timeout_seconds or node.timeout_seconds,
            deadline_ms=deadline,
            read_store=reading.read_one,
            is_cancelled=lambda: self._is_cancelled(position),
            trace_parent=run.trace,
        )

    async def _with_running_record(self, position: Position, execution: Execution) -> Outcome:
        """Run the node; one that takes long gets a RUNNING record meanwhile, for those who look."""
        executor = self._services.executor
        if executor is None:
            message = "This process runs no nodes."
            raise NotFound(message)
        work = asyncio.ensure_future(executor.execute(execution))
        mark = asyncio.ensure_future(self._mark_later(position))
        try:
            return await work
        finally:
            work.cancel()
            mark.cancel()
            await asyncio.gather(work, mark, return_exceptions=True)

    async def _mark_later(self, position: Position) -> None:
        await self._services.clock.sleep(self._services.settings.running_record_seconds)
        try:
            await self.mark_running(position)
        except (BackendError, ConditionFailed):
            return  # Only for those who look: the commit will say what happened.

    def _is_cancelled(self, position: Position) -> bool:
        control = self._controls.peek(position.run.namespace, position.run.run_id)
        late = self._services.clock.now_ms() >= position.run.deadline_ms
        return control.flag is Flag.STOPPED or late or control.stops(position.branch, position.run.epoch)

    def _observe(self, position: Position, attempt: int) -> None:
        run = position.run
        self._services.observe(
            StateBegan(run.namespace, run.run_id, id_of(position), position.identifier, attempt)
        )


@dataclass(slots=True)
class _StoreReader:
    """The store as a node reads it; keeps that it met what a later release wrote, which is no failure of the node."""

    store: RunStore
    newer: NewerLayout | None = None

    async def read_one(self, name: str) -> JSON:
        try:
            return await self.store.read_one(name)
        except NewerLayout as newer:
            self.newer = newer
            raise


def _key(position: Position) -> Key:
    return keys.state(position.run.namespace, position.run.run_id, position.branch, position.number)


def _resumption(record: Record | None) -> Resumption | None:
    if record is None or record.resumed is None:
        return None
    return Resumption(
        record.awaiting or "", record.resumed.get("payload"), bool(record.resumed.get("timed_out", False))
    )
