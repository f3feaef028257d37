"""The loop: a worker holds a message, and goes on with its branch until the branch ends or leaves this worker.

    execute the node -> commit -> decide, from the record alone -> follow

The message is deleted by the caller only after all that follows is durable. A crash anywhere leaves it to reappear; the
next worker reads the branch's records, walks to where the first one stopped, and goes on from there.
"""

from __future__ import annotations

from collections.abc import Mapping

from karman_core.domain.decide import EndBranch, Fork, GoOn, Run, RunAgain, UniteAtOnce, Wait, decide
from karman_core.domain.definition import JSON
from karman_core.domain.graph import Graph
from karman_core.domain.messages import Command, CommandKind, Position
from karman_core.domain.positions import branch, fork, go_on, loop_back, run_again, unite_at_once
from karman_core.domain.records import Record
from karman_core.domain.transitions import StateStatus
from karman_core.engine import keys
from karman_core.engine.commits import Ran
from karman_core.engine.control import Controls, Flag
from karman_core.engine.executing import UNDELIVERABLE, Runner
from karman_core.engine.joining import Joiner
from karman_core.engine.lifecycle import Lifecycle
from karman_core.engine.pacing import Pacer
from karman_core.engine.paging import every
from karman_core.engine.sending import Sender, id_of
from karman_core.engine.services import Services
from karman_core.engine.state_items import error_text, read_record
from karman_core.engine.task import Task
from karman_core.engine.waiting import Waits
from karman_core.ports.observer import GroupOpened, StateCommitted
from karman_core.ports.table import Action, Query

_NOT_HERE_MS = 5_000
_SHORT_WAIT_MS = 1_000
"""A token that begins so soon is waited for in place."""


class Advancer:
    """Goes on with branches."""

    def __init__(
        self,
        services: Services,
        *,
        runner: Runner,
        joiner: Joiner,
        waits: Waits,
        sender: Sender,
        lifecycle: Lifecycle,
        controls: Controls,
        pacer: Pacer,
    ) -> None:
        self._services = services
        self._pacer = pacer
        self._runner = runner
        self._joiner = joiner
        self._waits = waits
        self._sender = sender
        self._lifecycle = lifecycle
        self._controls = controls

    async def advance(self, task: Task, graph: Graph, start: Position) -> None:
        """Work on a message until its branch ends or leaves this worker; then the message may be deleted."""
        position: Position | None = start
        known = await self._records(start) if task.look else {}
        branch_path = start.branch
        while position is not None:
            if position.branch != branch_path:
                known = await self._records(position) if task.look else {}
                branch_path = position.branch
            record, adoptions = known.pop(position.number, None), task.adoptions
            if record is not None and record.reopened > position.run.epoch:
                return  # A later epoch has its own message, and counts by itself.
            if record is not None and record.turn > position.turn:
                task.adopt()
            else:
                if record is not None and record.runnable:
                    position = run_again(position, record)
                record = await self._run(task, graph, position, record)
                if record is None:
                    return
                if task.adoptions > adoptions:
                    known = await self._records(position, after=True)
            if record.turn > position.turn + 1 or record.reopened > position.run.epoch:
                return  # A later turn, or a later epoch, has its own message.
            self._tell(position, record, found=task.adoptions > adoptions)
            position = await self._follow(task, graph, position, record)

    async def take(
        self, task: Task, graph: Graph, position: Position, ran: Ran, more: tuple[Action, ...]
    ) -> tuple[Record, bool]:
        """Commit an execution that was made elsewhere, and go on from it.

        Args:
            more: what else is written with the commit.

        Returns:
            The record in the table, and whether this commit made it.
        """
        task.states += 1
        committed = await self._runner.commit(task, graph, position, ran, more)
        record = committed.record
        if record.turn <= position.turn + 1 and record.reopened <= position.run.epoch:
            self._tell(position, record, found=not committed.mine)
            after = await self._follow(task, graph, position, record)
            if after is not None:
                await self.advance(task, graph, after)
        return record, committed.mine

    async def _run(
        self, task: Task, graph: Graph, position: Position, record: Record | None
    ) -> Record | None:
        """Run and commit the state, unless the run or this worker has a reason not to; None when it was not run."""
        run = position.run
        control = await self._controls.current(run.namespace, run.run_id, fresh=task.fresh)
        if record is None and position.turn:  # Its record is gone: the run was purged.
            control = await self._controls.read(run.namespace, run.run_id)
        if control.flag is Flag.STOPPED:
            return None
        if task.dead:
            task.dead, task.moved = False, True  # Whatever follows has a fresh message, and its chance.
            return await self._runner.give_up(task, graph, position, UNDELIVERABLE)
        spent = self._spent(task) or await self._short_of_time(task, graph, position)
        if (task.redelivered and task.moved) or spent:
            # Progress was found: a fresh message, so that receives count the crashes at one place.
            await self._sender.send_positions(graph, [position], again=True)
            return None
        if not self._runner.runs(task, graph, position):
            return await self._pass_on(task, graph, position)
        if self._services.clock.now_ms() >= position.run.deadline_ms:
            await self._lifecycle.expire(position.run.namespace, position.run.run_id)
            return None
        if control.flag is Flag.PAUSED and await self._lifecycle.park(position):
            return None
        stopped = control.stops(position.branch, position.run.epoch)
        if not stopped and await self._waits_for_token(task, graph, position):
            return None
        task.states += 1
        task.position = position
        return await self._runner.run(task, graph, position, record, stopped=stopped)

    async def _waits_for_token(self, task: Task, graph: Graph, position: Position) -> bool:
        """Whether the state was sent on to wait for its token, by the quota of states a second."""
        held, task.paced = task.paced, None
        token = await self._pacer.token(position.run.namespace, position.run.run_id, held)
        if token is None:
            return False
        wait_ms = token.at_ms - self._services.clock.now_ms()
        if token.rate is not None and wait_ms <= (_SHORT_WAIT_MS if task.patient else 0):
            if wait_ms > 0:
                await self._services.clock.sleep(wait_ms / 1000)
            return False
        # A fresh message, so that its receives count crashes and no waits.
        await self._sender.send_positions(
            graph, [position], again=task.look, at_ms=token.at_ms, paced=token.rate
        )
        return True

    async def _pass_on(self, task: Task, graph: Graph, position: Position) -> Record | None:
        """Send a position to the workers that have its node; a node that nobody has registered fails its state.

        If those are the workers of this very queue, and one that lacks the node received it, that one is of another
        version; it leaves the others some time.
        """
        unknown = await self._runner.unknown(graph, position)
        if unknown is not None:
            return await self._runner.give_up(task, graph, position, unknown)
        queue = await self._sender.queue_of(graph, position.run.namespace, position.identifier)
        stray = queue == task.queue and not task.states
        late = self._services.clock.now_ms() + _NOT_HERE_MS if stray else None
        # The position goes on as it came: who is to look before running is still to look.
        await self._sender.send_positions(graph, [position], again=task.look, at_ms=late)
        return None

    def _spent(self, task: Task) -> bool:
        """Whether this worker should hand the branch on: enough states, time, or it is being stopped."""
        settings, now = self._services.settings, self._services.clock.now_ms()
        return (
            task.stopping()
            or task.states >= settings.inline_states
            or now - task.begun_ms >= settings.inline_seconds * 1000
        )

    async def _short_of_time(self, task: Task, graph: Graph, position: Position) -> bool:
        """Whether the next node, not the first of this message, might not end in the time that this worker has left.

        It would be stopped, and have lost an attempt for nothing that it did. A node that may take as long as it likes
        is begun in the first half of the time.
        """
        if task.until_ms is None or not task.states:
            return False
        left = task.until_ms - self._services.clock.now_ms()
        if left <= 0:
            return True
        seconds = await self._runner.timeout_seconds(graph, position)
        if seconds is None:
            return left * 2 < task.until_ms - task.begun_ms
        # One that never fits has a whole message's time, as long as most of it is left.
        return left < min(seconds * 1000, (task.until_ms - task.begun_ms) * 0.9)

    async def _follow(self, task: Task, graph: Graph, position: Position, record: Record) -> Position | None:
        """Make durable what follows a committed record; the position to go on with, if it is this worker's."""
        await self._send_signals(task, position, record)
        decision = decide(graph, record)
        match decision:
            case GoOn(identifier, looping):
                values = self._carried(graph, record)
                self._keep(task, position, record)
                if looping:
                    return loop_back(graph, position, record, values)
                return go_on(graph, position, record, identifier, values)
            case Fork():
                return await self._fork(task, graph, position, record, decision)
            case UniteAtOnce(identifier):
                return unite_at_once(graph, position, record, identifier)
            case EndBranch(ending):
                totals = position.totals.plus(record.totals)
                return await self._joiner.arrive(task, graph, position, ending, totals)
            case RunAgain(due_ms):
                await self._sender.send_positions(
                    graph, [run_again(position, record)], again=task.again, at_ms=due_ms
                )
                return None
            case Wait():
                await self._waits.register(task, graph, position, record)
                return None
            case Run():
                return None  # The next turn runs already, on a message of its own.

    async def _fork(
        self, task: Task, graph: Graph, position: Position, record: Record, decision: Fork
    ) -> Position | None:
        parent = fork(graph, position, record, decision)
        self._observe_group(position, decision)
        if decision.width == 1:
            self._keep(task, position, record)
            return branch(graph, parent, 0, decision.starts, self._carried(graph, record))
        run = position.run
        if (await self._controls.current(run.namespace, run.run_id, fresh=True)).flag is not Flag.STOPPED:
            # Else it was cut off while the node ran; whoever got a branch now would believe that it goes on.
            await self._sender.fork(graph, task.queue, parent, record, decision, again=task.again)
        return None

    async def _send_signals(self, task: Task, position: Position, record: Record) -> None:
        """Signals that the node sent were written with its commit; have them paired."""
        for signal_id, name, run_id in record.signals:
            arguments = {"name": name, "id": signal_id, "kept": True}
            command = Command(CommandKind.SIGNAL, position.run.namespace, run_id, arguments)
            await self._sender.command(task.queue, command)

    def _carried(self, graph: Graph, record: Record) -> Mapping[str, JSON] | None:
        if record.outputs is None:
            return None
        return self._sender.carried(graph, record.identifier, record.outputs[0] if record.outputs else {})

    def _keep(self, task: Task, position: Position, record: Record) -> None:
        task.keep((position.branch, position.number), record.outputs, position)

    async def _records(self, position: Position, *, after: bool = False) -> dict[int, Record]:
        """The records of the position's branch, from its number on, by number."""
        run, first = position.run, position.number + int(after)
        pk = keys.branch(run.namespace, run.run_id, position.branch)
        query = Query(pk, first=keys.number(first), last=keys.LAST_NUMBER)
        items = every(self._services.backend.table, query)
        return {int(item["sk"][2:]): read_record(item) async for item in items}

    def _tell(self, position: Position, record: Record, *, found: bool) -> None:
        run = position.run
        failed = record.status in {StateStatus.FAILED, StateStatus.RETRYING}
        self._services.observe(
            StateCommitted(
                namespace=run.namespace,
                run_id=run.run_id,
                state_id=id_of(position),
                identifier=position.identifier,
                status=record.status.value,
                attempt=record.attempts,
                error=error_text(record) if failed else None,
                started_ms=record.started_ms,
                ended_ms=record.ended_ms,
                found=found,
            )
        )

    def _observe_group(self, position: Position, decision: Fork) -> None:
        each = decision.width // len(decision.starts)
        run = position.run
        branches = tuple((start, each) for start in decision.starts)
        self._services.observe(GroupOpened(run.namespace, run.run_id, position.identifier, branches))
