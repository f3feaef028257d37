"""Retrying a run that has FAILED: its failed states, or one of them, run again in a new epoch.

Join items carry the epoch in their keys. Those on the way from a failed state up to the root are copied to the new
epoch, without the members that are run again and with zero totals; only then is work sent. What a state had counted
before is taken off where it starts again, so the sum over epochs counts each state once. Failures that are not run
again stay in the copies, so that the run fails again for them, and a later retry finds them there.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from karman_core.domain.branches import parse_state_id, state_id
from karman_core.domain.errors import ConditionFailed, Conflict, NotFound
from karman_core.domain.graph import Graph
from karman_core.domain.joins import Slot, climb
from karman_core.domain.messages import Command, CommandKind, Position, RunRef
from karman_core.domain.totals import Totals
from karman_core.domain.transitions import StateStatus
from karman_core.engine import keys
from karman_core.engine.failures import Failure, Failures, in_epoch
from karman_core.engine.graphs import GraphStore
from karman_core.engine.join_items import read_join, write_join
from karman_core.engine.lifecycle import Lifecycle
from karman_core.engine.outputs import Place
from karman_core.engine.reusing import key_of
from karman_core.engine.run_items import Header
from karman_core.engine.sending import Sender
from karman_core.engine.services import Services
from karman_core.engine.state_items import read_record, reopening
from karman_core.ports.table import Absent, AllOf, Equals, Key, OneOf

_SKIPPED = " skipped"
_REOPENED = (StateStatus.FAILED.value, StateStatus.CANCELLED.value)


class Reopener:
    """Opens a new epoch of a run."""

    def __init__(
        self,
        services: Services,
        *,
        graphs: GraphStore,
        lifecycle: Lifecycle,
        failures: Failures,
        sender: Sender,
    ) -> None:
        self._services = services
        self._graphs = graphs
        self._lifecycle = lifecycle
        self._failures = failures
        self._sender = sender

    async def check(self, header: Header) -> None:
        """Raises Conflict when there is no failed state to run again."""
        graph = await self._graph(header.run)
        async for _ in self._failures.of_run(graph, header.run):
            return
        raise Conflict(f"Run '{header.run.run_id}' has no failed state that can be run again.")

    async def check_state(self, header: Header, place: Place) -> None:
        """Raises NotFound for no state, Conflict for one that is no failure of its run."""
        run, state = header.run, state_id(header.run.run_id, *place)
        record = await self._services.backend.table.get(key_of(run, place))
        if record is None:
            raise NotFound(f"There is no state '{state}'.")
        if record["st"] not in _REOPENED:
            raise Conflict(
                f"State '{state}' is {record['st']}; of a run that has ended, only one that has failed can be retried "
                "or skipped."
            )
        if await self._failures.at(await self._graph(run), run, place) is None:
            raise Conflict(
                f"State '{state}' is none that run '{run.run_id}' failed for: a unite above it has committed."
            )

    async def reopen(
        self, namespace: str, run_id: str, epoch: int, only: str | None = None, *, skip: bool = False
    ) -> None:
        """Open epoch `epoch` and send its failed states; again, after a crash, it goes on where it stopped.

        Args:
            only: the id of the one state that runs again; None for all that have failed. An epoch that was opened for
                something else is left alone.
            skip: that state is not sent, but left to be skipped.
        """
        if only is not None and not await self._is_failure(namespace, run_id, epoch, only):
            return
        opened_for = for_skip(only) if skip and only is not None else only
        if not await self._lifecycle.reopen(namespace, run_id, epoch, opened_for):
            return
        header = await self._lifecycle.header(namespace, run_id)
        run = replace(header.run, epoch=epoch - 1)
        graph = await self._graph(run)
        # What has failed in this epoch already is not opened again in it: the command may be delivered late, or twice.
        failures = [found for found in await self._found(graph, run, only) if found.record.epoch < epoch]
        await self._copy_joins(epoch, failures)
        if header.timed:
            deadline = Command(CommandKind.DEADLINE, namespace, run_id)
            await self._sender.command(header.home, deadline, at_ms=header.run.deadline_ms)
        for failure in failures:
            again = await self._open_state(failure, epoch)
            if again is not None and not skip:
                await self._sender.send_positions(graph, [again], again=True)

    async def _is_failure(self, namespace: str, run_id: str, epoch: int, state: str) -> bool:
        """Whether there is anything to open an epoch for: one in which nothing is sent would never end."""
        try:
            run = (await self._lifecycle.header(namespace, run_id)).run
        except NotFound:
            return False
        if run.epoch not in {epoch - 1, epoch}:
            return False
        graph = await self._graph(run)
        return bool(await self._found(graph, replace(run, epoch=epoch - 1), state))

    async def _found(self, graph: Graph, run: RunRef, only: str | None) -> list[Failure]:
        if only is None:
            return [found async for found in self._failures.of_run(graph, run)]
        try:
            owner, branch, number = parse_state_id(only)
        except ValueError:
            return []
        one = await self._failures.at(graph, run, (branch, number)) if owner == run.run_id else None
        return [] if one is None else [one]

    async def _graph(self, run: RunRef) -> Graph:
        return await self._graphs.compiled(run.namespace, run.graph, run.version)

    async def _copy_joins(self, epoch: int, failures: list[Failure]) -> None:
        reopened: dict[Key, tuple[Key, set[int]]] = {}
        for failure in failures:
            for depth in range(len(failure.position.frames)):
                for slot in self._slots(failure.position, depth):
                    old = self._join_key(failure.position, depth, slot, epoch - 1)
                    new = self._join_key(failure.position, depth, slot, epoch)
                    reopened.setdefault(new, (old, set()))[1].add(slot.member)
        for new, (old, members) in reopened.items():
            await self._copy_join(new, old, frozenset(members), epoch)

    async def _copy_join(self, new: Key, old: Key, members: frozenset[int], epoch: int) -> None:
        item = None
        for earlier in range(epoch - 1, -1, -1):
            key = Key(keys.of_epoch(old.pk, earlier), old.sk)
            item = await self._services.backend.table.get(key)
            if item is not None:
                break
        join = read_join(item)
        copy = replace(
            join,
            succeeded=join.succeeded - members,
            failed=join.failed - members,
            pruned=join.pruned - members,
            totals=Totals(),
        )
        values = write_join(copy, self._services.ttl())
        with suppress(ConditionFailed):
            await self._services.backend.table.put({"pk": new.pk, "sk": new.sk, **values}, Absent())

    def _slots(self, position: Position, depth: int) -> list[Slot]:
        width, index = position.frames[depth].width, position.branch[depth][1]
        return list(climb(width, index, self._services.settings.shard_width))

    def _join_key(self, position: Position, depth: int, slot: Slot, epoch: int) -> Key:
        run, number = position.run, position.branch[depth][0]
        return keys.join(
            run.namespace, run.run_id, position.branch[:depth], number, epoch, slot.level, slot.item
        )

    async def _open_state(self, failure: Failure, epoch: int) -> Position | None:
        """Make a failed state RETRYING; where it goes on then. None once a worker has gone on with it."""
        position, record = failure.position, failure.record
        run = position.run
        key = keys.state(run.namespace, run.run_id, position.branch, position.number)
        failed = AllOf((Equals("t", record.turn), OneOf("st", _REOPENED)))
        actions, before = reopening(record, epoch, self._services.ttl()), record.totals
        try:
            await self._services.backend.table.update(key, actions, failed)
        except ConditionFailed as lost:
            found = read_record(lost.old) if lost.old else record
            if (
                found.reopened != epoch
                or found.status is not StateStatus.RETRYING
                or found.turn != record.turn
            ):
                return None
            before = found.before
        return replace(
            in_epoch(position, epoch),
            turn=record.turn,
            attempts=0,
            first_ms=0,
            busy_ms=record.busy_ms,
            write_units=record.write_units,
            totals=Totals().minus(before),
        )


def for_skip(state: str) -> str:
    """What an epoch is opened for in which a state is skipped, as the header says it."""
    return f"{state}{_SKIPPED}"


def is_for_skip(only: str) -> bool:
    """Whether an epoch was opened for a skip, as the header says it."""
    return only.endswith(_SKIPPED)
