"""The commit: one conditional write of a state's record, with its store writes and signals if it has any.

This is the only commit point. Whoever loses it adopts what the winner wrote: the record that is returned is the one in
the table, never one's own by assumption.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from karman_core.domain.branches import state_id
from karman_core.domain.definition import JSON
from karman_core.domain.errors import (
    ConditionFailed,
    InvalidInput,
    ItemTooLarge,
    TransactionConflict,
    TransactionFailed,
)
from karman_core.domain.graph import Graph
from karman_core.domain.messages import Position
from karman_core.domain.outcome import Effects, Errored, Outcome, SentSignal, Succeeded
from karman_core.domain.positions import loop_edge
from karman_core.domain.records import Record, Skip, Turn, record_outcome
from karman_core.domain.retries import next_attempt
from karman_core.domain.transitions import StateStatus
from karman_core.engine import keys
from karman_core.engine.outputs import OutputStore
from karman_core.engine.payloads import pack, packed_size
from karman_core.engine.quotas import Quotas, within
from karman_core.engine.services import Services
from karman_core.engine.signals import check_signals
from karman_core.engine.state_items import commit_actions, read_record, turn_open, write_units
from karman_core.engine.store import RunStore
from karman_core.ports.table import Absent, Action, AllOf, Condition, Equals, Item, Put, Update, Write

_INPUTS_BESIDE_BYTES = 700
"""Inputs are kept in the record while both share one write unit; larger ones are not kept."""

_INPUTS_OF_FAILURES_BYTES = 8_192
_CONFLICT_TRIES = 200
_CONFLICT_PAUSE_SECONDS = 0.05
_TRANSACTION_ITEMS = 100


@dataclass(frozen=True, slots=True)
class Committed:
    """The record in the table after a commit, and whether it is this worker's."""

    record: Record
    mine: bool


@dataclass(frozen=True, slots=True)
class Ran:
    """An execution that has ended: when it ran, with what, and how it ended. `skip`: it is somebody's word for one."""

    started_ms: int
    ended_ms: int
    inputs: Mapping[str, JSON] | None
    outcome: Outcome
    skip: Skip | None = None


class Committer:
    """Writes records of states."""

    def __init__(self, services: Services, outputs: OutputStore, quotas: Quotas) -> None:
        self._services = services
        self._quotas = quotas
        self._outputs = outputs

    async def commit(
        self, graph: Graph, position: Position, ran: Ran, store: RunStore, more: tuple[Action, ...] = ()
    ) -> Committed:
        """Commit how a turn ended, with `more` in the same write.

        Raises:
            BackendError: the table did not take it; nothing is known, the message will be delivered again.
        """
        outcome = check_signals(ran.outcome, self._services.settings.max_inputs_bytes)
        if ran.skip is None:  # Of what an operator gives, it was checked before.
            outcome = within(self._quotas.peek(position.run.namespace), outcome)
        ran = replace(ran, outcome=check_choice(graph, position, outcome))
        try:
            return await self._write(graph, position, ran, store, more)
        except ItemTooLarge as error:
            failure = Errored("outputs_too_large", str(error), retry=False)
            return await self._write(graph, position, replace(ran, outcome=failure), store, more)
        except InvalidInput as error:
            failure = Errored("invalid_store_write", str(error), retry=False)
            return await self._write(graph, position, replace(ran, outcome=failure), store, more)

    async def _write(
        self, graph: Graph, position: Position, ran: Ran, store: RunStore, more: tuple[Action, ...]
    ) -> Committed:
        record = await self._record(graph, position, ran)
        effects = getattr(ran.outcome, "effects", None)
        if isinstance(effects, Effects) and (effects.store or effects.signals):
            return await self._transact(position, record, effects, store, more)
        record = replace(record, write_units=record.write_units + write_units(record))
        key = keys.state(position.run.namespace, position.run.run_id, position.branch, position.number)
        actions = commit_actions(record, self._services.ttl(), more)
        try:
            await self._services.backend.table.update(key, actions, _open(position, ran))
        except ConditionFailed as lost:
            return Committed(winner(lost.old), mine=False)
        return Committed(record, mine=True)

    async def _record(self, graph: Graph, position: Position, ran: Ran) -> Record:
        turn = Turn(
            identifier=position.identifier,
            number=position.turn,
            attempts=position.attempts,
            first_ms=position.first_ms,
            started_ms=ran.started_ms,
            ended_ms=ran.ended_ms,
            busy_ms=position.busy_ms,
            write_units=position.write_units,
            epoch=position.run.epoch,
        )
        record = record_outcome(turn, ran.outcome, self._retry_after(graph, position, ran))
        record = replace(record, skipped=ran.skip)
        starts = max(1, len(graph.starts(position.identifier, None)))
        per_chunk = max(1, self._services.settings.shard_width // starts)
        record = await self._outputs.put_aside(
            position.run, (position.branch, position.number), record, per_chunk
        )
        return _with_inputs(record, ran)

    def _retry_after(self, graph: Graph, position: Position, ran: Ran) -> int | None:
        if not isinstance(ran.outcome, Errored):
            return None
        policy = graph.retry_policy(position.identifier)
        return next_attempt(
            policy,
            attempts_made=position.attempts + 1,
            error_kind=ran.outcome.kind,
            retryable=ran.outcome.retry and not set(ran.outcome.bases).intersection(policy.non_retryable),
            first_started_ms=position.first_ms or ran.started_ms,
            now_ms=ran.ended_ms,
            uniform=self._services.entropy.uniform(),
        )

    async def _transact(
        self, position: Position, record: Record, effects: Effects, store: RunStore, more: tuple[Action, ...]
    ) -> Committed:
        """Record, store writes and signals together. Conflicts over the store are tried again here: not an attempt."""
        signals = _signal_puts(position, record, effects.signals, self._services.ttl())
        record = replace(
            record, signals=tuple((put.item["id"], put.item["name"], put.item["run"]) for put in signals)
        )
        record = replace(record, write_units=record.write_units + 2 * write_units(record))
        key = keys.state(position.run.namespace, position.run.run_id, position.branch, position.number)
        actions = tuple(commit_actions(record, self._services.ttl(), more))
        commit = Update(key, actions, turn_open(position.turn))
        for trial in range(_CONFLICT_TRIES):
            writes: list[Write] = [commit, *await store.writes(effects.store), *signals]
            if len(writes) > _TRANSACTION_ITEMS:
                raise ItemTooLarge(f"{len(writes) - 1} store keys and signals in one state; the limit is 99.")
            try:
                await self._services.backend.table.transact(writes)
            except TransactionFailed as lost:
                if 0 in lost.failed:
                    return Committed(winner(lost.old[0]), mine=False)
            except TransactionConflict:
                pass
            else:
                return Committed(record, mine=True)
            pause = _CONFLICT_PAUSE_SECONDS * self._services.entropy.uniform() * min(trial + 1, 20)
            await self._services.clock.sleep(pause)
        raise TransactionConflict(
            f"The store of run {position.run.run_id} is written too often to commit a state."
        )


def _open(position: Position, ran: Ran) -> Condition:
    """The commit's condition; one that skips a state which waits, ends the wait in the same write."""
    if ran.skip is None or ran.skip.awaited is None:
        return turn_open(position.turn)
    return AllOf((Equals("t", position.turn), Equals("st", StateStatus.WAITING.value)))


def check_choice(graph: Graph, position: Position, outcome: Outcome) -> Outcome:
    """The outcome, or an error where it names a next node that it may not, or loops once too often."""
    if not isinstance(outcome, Succeeded) or outcome.chosen is None:
        return outcome
    here, chosen = position.identifier, outcome.chosen
    if not graph.may_choose(here, chosen):
        instance = graph.instances[here]
        options = [*instance.next_nodes, *(loop.to for loop in instance.loops)]
        message = f"'{here}' chose '{chosen}', which does not follow it; choose one of {options}."
        return Errored("invalid_next", message, retry=False)
    limit = graph.loop_rounds(here, chosen)
    if limit is not None:
        if len(outcome.outputs) > 1:
            message = f"'{here}' gave {len(outcome.outputs)} outputs into its loop to '{chosen}'; give one."
            return Errored("invalid_next", message, retry=False)
        if position.scope.rounds.get(loop_edge(here, chosen), 0) >= limit:
            message = f"The loop from '{here}' to '{chosen}' has had its {limit} rounds (max_rounds)."
            return Errored("loop_limit", message, retry=False)
    return outcome


def _with_inputs(record: Record, ran: Ran) -> Record:
    if ran.inputs is None:
        return record
    size = packed_size(pack(dict(ran.inputs)))
    if record.errors:
        return replace(record, inputs=ran.inputs) if size <= _INPUTS_OF_FAILURES_BYTES else record
    beside = packed_size(pack(record.outputs)) if record.outputs else 0
    return replace(record, inputs=ran.inputs) if size + beside <= _INPUTS_BESIDE_BYTES else record


class RecordGone(ConditionFailed):
    """The record of a state is not there any more."""


def winner(old: Item | None) -> Record:
    """The record that a lost condition found. Raises RecordGone when there is none."""
    if old is None:
        # Only a turn after the first can meet no record, and its record was there when its message was sent.
        message = "The record of a state has disappeared; was the table cleared while the run went on?"
        raise RecordGone(message, None)
    return read_record(old)


def _signal_puts(position: Position, record: Record, signals: tuple[SentSignal, ...], ttl: int) -> list[Put]:
    sender = state_id(position.run.run_id, position.branch, position.number)
    puts = []
    for place, signal in enumerate(signals):
        digest = hashlib.sha256(f"{sender}#{record.turn}#{place}".encode()).hexdigest()[:16]
        run_id = signal.run_id or position.run.run_id
        item = signal_item(
            position.run.namespace,
            run_id,
            signal.name,
            f"{record.ended_ms:015d}-{digest}",
            signal.payload,
            ttl,
        )
        puts.append(Put(item, Absent()))
    return puts


def signal_item(
    namespace: str, run_id: str, name: str, signal_id: str, payload: JSON, ttl: int
) -> dict[str, Any]:
    """A signal as it is kept until a wait takes it."""
    key = keys.signal(namespace, run_id, name, signal_id)
    return {
        "pk": key.pk,
        "sk": key.sk,
        "id": signal_id,
        "name": name,
        "run": run_id,
        "payload": pack(payload),
        "ttl": ttl,
    }
