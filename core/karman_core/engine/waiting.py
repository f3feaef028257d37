"""Waits and signals. Both sides write first and look second, with consistent reads, so that one of them sees the other.

The pairing is one transaction: the signal from unused to used by this state and turn, the state from WAITING to READY
with the payload. A time-out is the same change of the state. Whoever sees READY sends the state's next turn; sending
twice does no harm, since the turn commits once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any

from karman_core.domain.definition import JSON
from karman_core.domain.errors import ConditionFailed, TransactionConflict, TransactionFailed
from karman_core.domain.graph import Graph
from karman_core.domain.message_bodies import decode_position, encode_position
from karman_core.domain.messages import Command, CommandKind, Position
from karman_core.domain.positions import run_again
from karman_core.domain.records import Record
from karman_core.domain.transitions import StateStatus
from karman_core.engine import keys
from karman_core.engine.commits import signal_item
from karman_core.engine.control import Controls
from karman_core.engine.graphs import GraphStore
from karman_core.engine.paging import every
from karman_core.engine.payloads import pack, unpack
from karman_core.engine.run_items import OPEN
from karman_core.engine.sending import Sender
from karman_core.engine.services import Services
from karman_core.engine.task import Task
from karman_core.ports.table import (
    Absent,
    Action,
    AllOf,
    Condition,
    Equals,
    Item,
    Key,
    OneOf,
    Query,
    Remove,
    Set,
    Update,
)

_CONFLICT_TRIES = 50
_CONFLICT_PAUSE_SECONDS = 0.05


class Waits:
    """Pairs signals with the states that wait for them."""

    def __init__(self, services: Services, graphs: GraphStore, controls: Controls, sender: Sender) -> None:
        self._services = services
        self._graphs = graphs
        self._controls = controls
        self._sender = sender

    async def register(self, task: Task, graph: Graph, position: Position, record: Record) -> None:
        """A state has begun to wait: keep how it goes on, set its time-out, then look for a signal."""
        run, name = position.run, record.awaiting or ""
        then = self._sender.light(run_again(position, record))
        key = keys.wait(run.namespace, run.run_id, name, position.branch, position.number, record.turn)
        item = {
            "pk": key.pk,
            "sk": key.sk,
            "name": name,
            "then": encode_position(then),
            "ttl": self._services.ttl(),
        }
        await self._controls.note_waits(run.namespace, run.run_id)
        # The mark first: whoever finds the wait takes both away.
        await self._mark_run(then, Set("waits", key.sk), OneOf("status", OPEN))
        await self._services.backend.table.put(item)
        if record.timeout_ms is not None:
            timeout = Command(CommandKind.TIMEOUT, run.namespace, run.run_id, {"name": name}, then)
            await self._sender.command(task.queue, timeout, at_ms=record.timeout_ms)
        await self.match(run.namespace, run.run_id, name, thorough=task.look)
        if graph.definition.fail_fast:
            control = await self._controls.read(run.namespace, run.run_id)
            if control.stops(position.branch, run.epoch):
                await self.time_out(name, then)

    async def take(
        self, namespace: str, run_id: str, name: str, signal_id: str, payload: JSON, *, thorough: bool
    ) -> None:
        """A signal has come from outside: keep it, then look for a wait."""
        item = signal_item(namespace, run_id, name, signal_id, payload, self._services.ttl())
        try:
            await self._services.backend.table.put(item, Absent())
        except ConditionFailed:
            thorough = True
        await self.match(namespace, run_id, name, thorough=thorough)

    async def match(self, namespace: str, run_id: str, name: str, *, thorough: bool) -> None:
        """Pair unused signals of a name with waits, oldest first.

        Args:
            thorough: look at every wait, also when no signal is left: someone may have died between pairing and
                sending.
        """
        pk = keys.signals(namespace, run_id, name)
        signals = await self._unused(pk, name)
        cursor = None
        while True:
            page = await self._services.backend.table.query(Query(pk, prefix=f"w#{name}#", cursor=cursor))
            for wait in page.items:
                if wait["name"] == name:  # "go#" begins the keys of "go#on" too
                    await self._match_one(wait, signals)
            cursor = page.cursor
            if cursor is None or not (signals or thorough):
                return

    async def time_out(self, name: str, then: Position) -> None:
        """A wait has lasted as long as it may."""
        key = _state_key(then)
        actions: list[Action] = [Set("st", StateStatus.READY.value), Set("re", pack({"timed_out": True}))]
        waiting = AllOf((Equals("t", then.turn), Equals("st", StateStatus.WAITING.value)))
        try:
            await self._services.backend.table.update(key, actions, waiting)
        except ConditionFailed as lost:
            if not _ready(lost.old, then.turn):
                return
        wait = keys.wait(then.run.namespace, then.run.run_id, name, then.branch, then.number, then.turn)
        await self._go_on(wait, then)

    async def forget(self, position: Position, name: str) -> None:
        """A wait has ended without a signal: its state was skipped on the turn of the position."""
        run = position.run
        wait = keys.wait(run.namespace, run.run_id, name, position.branch, position.number, position.turn)
        await self._forget(wait, position)

    async def overlooked(self, position: Position, record: Record) -> bool:
        """Whether a WAITING state has to be registered again: its wait is not kept, or its time-out did not come."""
        run, name = position.run, record.awaiting or ""
        late = record.timeout_ms is not None and record.timeout_ms <= self._services.clock.now_ms()
        key = keys.wait(run.namespace, run.run_id, name, position.branch, position.number, record.turn)
        if late or await self._services.backend.table.get(key) is None:
            return True
        await self.match(run.namespace, run.run_id, name, thorough=True)
        return False

    async def wake_stopped(self, namespace: str, run_id: str) -> None:
        """Let the states that wait in groups which were stopped (fail_fast) go on, to be cancelled."""
        control = await self._controls.read(namespace, run_id)
        async for wait in self._waits(namespace, run_id):
            then = decode_position(wait["then"])
            if control.stops(then.branch, then.run.epoch):
                await self.time_out(wait["name"], then)

    async def awaited(self, namespace: str, run_id: str) -> list[str]:
        """Names of the signals that states of a run wait for, sorted, each once."""
        if not await self._controls.has_waits(namespace, run_id):
            return []
        return sorted({wait["name"] async for wait in self._waits(namespace, run_id)})

    async def _waits(self, namespace: str, run_id: str) -> AsyncIterator[Item]:
        for shard in range(keys.SIGNAL_SHARDS):
            query = Query(keys.signals_shard(namespace, run_id, shard), prefix="w#")
            async for item in every(self._services.backend.table, query):
                yield item

    async def _unused(self, pk: str, name: str) -> list[Item]:
        query = Query(pk, prefix=f"s#{name}#")
        sent = every(self._services.backend.table, query)
        return [item async for item in sent if "used" not in item and item["name"] == name]

    async def _match_one(self, wait: Item, signals: list[Item]) -> None:
        key, then = Key(wait["pk"], wait["sk"]), decode_position(wait["then"])
        state = await self._services.backend.table.get(_state_key(then))
        while signals and _waiting(state, then.turn):
            if await self._pair(key, then, signals[0]):
                signals.pop(0)
                await self._go_on(key, then)
                return
            state = await self._services.backend.table.get(_state_key(then))
            signals[:] = await self._unused(key.pk, wait["name"])
        if _ready(state, then.turn):
            await self._go_on(key, then)
        elif not _waiting(state, then.turn):
            await self._forget(key, then)

    async def _pair(self, wait: Key, then: Position, signal: Item) -> bool:
        used = Update(Key(signal["pk"], signal["sk"]), (Set("used", wait.sk),), Absent("used"))
        resumed = pack({"payload": unpack(signal["payload"])})
        ready = Update(
            _state_key(then),
            (Set("st", StateStatus.READY.value), Set("re", resumed)),
            AllOf((Equals("t", then.turn), Equals("st", StateStatus.WAITING.value))),
        )
        for _ in range(_CONFLICT_TRIES):
            try:
                await self._services.backend.table.transact([used, ready])
            except TransactionFailed:
                return False
            except TransactionConflict:
                await self._services.clock.sleep(_CONFLICT_PAUSE_SECONDS * self._services.entropy.uniform())
            else:
                return True
        raise TransactionConflict(f"Signals of run {then.run.run_id} are paired too often at once.")

    async def _go_on(self, wait: Key, then: Position) -> None:
        """Send the turn that was waited for, and only then forget the wait."""
        graph = await self._graphs.compiled(then.run.namespace, then.run.graph, then.run.version)
        await self._sender.send_positions(graph, [then], again=True)
        await self._forget(wait, then)

    async def _forget(self, wait: Key, then: Position) -> None:
        await self._mark_run(then, Remove("waits"), Equals("waits", wait.sk))
        await self._services.backend.table.delete(wait)

    async def _mark_run(self, then: Position, action: Action, condition: Condition) -> None:
        """Show in the header, for lists, whether the run's first branch waits."""
        if then.branch:
            return
        with suppress(ConditionFailed):
            key = keys.run(then.run.namespace, then.run.run_id)
            await self._services.backend.table.update(key, [action], condition)


def _state_key(position: Position) -> Key:
    return keys.state(position.run.namespace, position.run.run_id, position.branch, position.number)


def _waiting(item: Mapping[str, Any] | None, turn: int) -> bool:
    return item is not None and item["t"] == turn and item["st"] == StateStatus.WAITING


def _ready(item: Mapping[str, Any] | None, turn: int) -> bool:
    return item is not None and item["t"] == turn and item["st"] == StateStatus.READY
