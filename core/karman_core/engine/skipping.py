"""Skipping a state: somebody gives its outputs, and the run goes on as if its node had given them.

A state that has no outcome is committed on its turn, as a worker would. The message that it rides on finds the record
when it is worked on, and follows it; so does the command, for a worker may hold that message for hours. A failed state
of a run that has FAILED is made runnable in a new epoch first, as for a retry.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from karman_core.domain.definition import JSON
from karman_core.domain.errors import Conflict, InvalidInput, NotFound, PayloadTooLarge, Problem
from karman_core.domain.graph import Graph
from karman_core.domain.json_values import json_problems
from karman_core.domain.messages import Command, CommandKind, RunRef
from karman_core.domain.outcome import Errored, Succeeded
from karman_core.domain.paths import join
from karman_core.domain.positions import run_again
from karman_core.domain.records import Record, Skip
from karman_core.domain.schema_values import check_value
from karman_core.domain.transitions import ENDED_STATES, FINAL_RUNS, RunStatus, StateStatus
from karman_core.engine.commits import Committer, Ran, check_choice
from karman_core.engine.graphs import GraphStore
from karman_core.engine.lifecycle import Lifecycle
from karman_core.engine.outputs import Outputs, Place
from karman_core.engine.payloads import dumps
from karman_core.engine.quotas import Quotas
from karman_core.engine.registry import NodeRegistry
from karman_core.engine.reopening import Reopener, for_skip
from karman_core.engine.reusing import place_of
from karman_core.engine.run_items import Header, sorted_json
from karman_core.engine.sending import Sender
from karman_core.engine.services import Services
from karman_core.engine.store import RunStore
from karman_core.engine.waiting import Waits
from karman_core.engine.walking import Visit, Walker

_TRIES = 20
"""Turns that may be committed by others while a state is skipped."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a state is given: its outputs, and the next node where one is chosen.

    Without outputs (None) the state goes on as one whose node returned nothing.
    """

    state: str
    outputs: Outputs | None
    chosen: str | None
    by: str

    @property
    def given(self) -> list[JSON]:
        """The outputs as a list."""
        return [{}] if self.outputs is None else [dict(output) for output in self.outputs]

    @property
    def id(self) -> str:
        """The same for the same request."""
        text = dumps([self.state, sorted_json(self.given), self.chosen])
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Skipper:
    """Skips states."""

    services: Services
    graphs: GraphStore
    registry: NodeRegistry
    lifecycle: Lifecycle
    walker: Walker
    reopener: Reopener
    committer: Committer
    waits: Waits
    sender: Sender
    quotas: Quotas

    async def command(self, header: Header, place: Place, wanted: Wanted) -> Command | None:
        """The command that skips a state; None if it was skipped so before.

        Raises:
            NotFound: the run has no such state.
            Conflict: the state has an outcome, or the run has ended other than FAILED.
            InvalidInput, PayloadTooLarge, QuotaExceeded: the outputs are none that the node could give.
        """
        size = _check_json(wanted, self.services.settings.max_inputs_bytes)
        (await self.quotas.of(header.run.namespace)).check_payload("The outputs", size)
        run = header.run
        graph = await self.graphs.compiled(run.namespace, run.graph, run.version)
        visit = await self.walker.find(graph, run, place)
        if visit is None:
            raise NotFound(f"Run '{run.run_id}' has not come to state '{wanted.state}'.")
        if visit.record is not None and _skipped(visit.record, wanted.id):
            return None
        if header.status in FINAL_RUNS and header.status is not RunStatus.FAILED:
            raise Conflict(f"Run '{run.run_id}' has ended: {header.status.value}.")
        # An epoch that was opened for this, by somebody who came no further, is gone on with.
        begun = header.status is not RunStatus.FAILED and header.only == for_skip(wanted.state)
        reopens = header.status is RunStatus.FAILED or (begun and _reopenable(visit.record))
        if reopens and not begun:
            await self.reopener.check_state(header, place)
        elif _ended(visit.record) and not reopens:
            raise Conflict(f"State '{wanted.state}' has an outcome: {_status(visit)}.")
        await self._check(graph, visit, wanted)
        arguments: dict[str, JSON] = {
            "id": wanted.id,
            "by": wanted.by,
            "epoch": run.epoch + int(reopens and not begun),
            "reopens": reopens,
            "state": wanted.state,
            "given": {"outputs": wanted.given, "next": wanted.chosen},
        }
        return Command(CommandKind.SKIP, run.namespace, run.run_id, arguments)

    async def apply(self, command: Command, *, follow: bool = True) -> bool:
        """Commit the outputs, unless the state has an outcome, and send what follows.

        Args:
            follow: False where the command's own message is on its way, which will.

        Returns:
            Whether the state has these outputs.
        """
        arguments: Mapping[str, Any] = command.arguments
        try:
            place = place_of(command.run_id, arguments["state"])
            run = await self._open_run(command, arguments)
        except NotFound:
            return False
        if run is None:
            return False
        graph = await self.graphs.compiled(run.namespace, run.graph, run.version)
        visit = await self._commit(graph, run, place, arguments)
        if visit is None or visit.record is None or not _skipped(visit.record, arguments["id"]):
            return False
        if follow:
            await self._follow(graph, visit, visit.record)
        return True

    async def _open_run(self, command: Command, arguments: Mapping[str, Any]) -> RunRef | None:
        """The run, in the epoch that the command is for, which is opened if need be; None if it is past that."""
        namespace, run_id, epoch = command.namespace, command.run_id, arguments["epoch"]
        opened_for = None
        if arguments.get("reopens"):
            opened_for = for_skip(arguments["state"])
            await self.reopener.reopen(namespace, run_id, epoch, arguments["state"], skip=True)
        header = await self.lifecycle.header(namespace, run_id)
        if header.run.epoch != epoch or header.status in FINAL_RUNS:
            return None
        return header.run if opened_for in {None, header.only} else None

    async def _commit(
        self, graph: Graph, run: RunRef, place: Place, arguments: Mapping[str, Any]
    ) -> Visit | None:
        """The state as it is when it has an outcome, by this or by somebody else; None if it gets none."""
        outcome = Succeeded(tuple(arguments["given"]["outputs"]), arguments["given"]["next"])
        for _ in range(_TRIES):
            visit = await self.walker.find(graph, run, place)
            if visit is None or _ended(visit.record):
                return visit
            position, awaited = visit.position, None
            if visit.record is not None and visit.record.status is StateStatus.WAITING:
                position, awaited = run_again(position, visit.record), visit.record.awaiting or ""
            now = self.services.clock.now_ms()
            ran = Ran(now, now, None, outcome, Skip(arguments["id"], arguments["by"], awaited))
            store = RunStore(self.services, run.namespace, run.run_id, {})
            await self.committer.commit(graph, position, ran, store)
        return None

    async def _follow(self, graph: Graph, visit: Visit, record: Record) -> None:
        position = replace(visit.position, turn=record.turn - 1)
        if record.skipped is not None and record.skipped.awaited is not None:
            await self.waits.forget(position, record.skipped.awaited)
        await self.sender.send_positions(graph, [position], again=True)

    async def _check(self, graph: Graph, visit: Visit, wanted: Wanted) -> None:
        position = visit.position
        outcome = check_choice(graph, position, Succeeded(tuple(wanted.outputs or ({},)), wanted.chosen))
        if isinstance(outcome, Errored):
            raise InvalidInput(outcome.message)
        instance = graph.instances[position.identifier]
        node = await self.registry.find(instance.namespace or position.run.namespace, instance.node_name)
        if node is None:
            return  # Nobody runs it any more, which may be why it is skipped.
        problems = [
            Problem(join(f"outputs[{number}]", each.path), each.code, each.message)
            for number, output in enumerate(wanted.outputs or ())
            for each in check_value(node.outputs_schema, dict(output))
        ]
        if problems:
            raise InvalidInput(f"Node '{node.name}' gives no such outputs.", problems)


def _check_json(wanted: Wanted, limit: int) -> int:
    """The size of the outputs in bytes. Raises InvalidInput, PayloadTooLarge."""
    problems = json_problems(wanted.given, "outputs")
    if problems:
        raise InvalidInput("The outputs are no JSON.", problems)
    size = len(dumps(wanted.given).encode())
    if size > limit:
        message = f"The outputs take {size:,} bytes; the limit is {limit:,}. Pass a reference instead."
        raise PayloadTooLarge(message)
    return size


def _ended(record: Record | None) -> bool:
    return record is not None and record.status in ENDED_STATES


def _reopenable(record: Record | None) -> bool:
    return record is not None and record.status in {StateStatus.FAILED, StateStatus.CANCELLED}


def _skipped(record: Record, request: str) -> bool:
    return record.skipped is not None and record.skipped.id == request


def _status(visit: Visit) -> str:
    return "" if visit.record is None else visit.record.status.value
