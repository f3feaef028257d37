"""Reading runs and states for people: what is kept, and what follows from it. Lists of runs are in `listing`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from karman_core.domain.branches import Branch, branch_text, parse_branch
from karman_core.domain.decide import Fork, decide
from karman_core.domain.definition import JSON
from karman_core.domain.errors import InvalidRequest, NotFound
from karman_core.domain.graph import Graph
from karman_core.domain.messages import Position
from karman_core.domain.records import Record
from karman_core.domain.transitions import FINAL_RUNS, RunStatus, StateStatus, shown_status
from karman_core.engine.cursors import checked_limit, read_place, write_place
from karman_core.engine.failures import Failures
from karman_core.engine.graphs import GraphStore
from karman_core.engine.lifecycle import Lifecycle
from karman_core.engine.listing import run_view
from karman_core.engine.outputs import OutputStore
from karman_core.engine.results import Results
from karman_core.engine.reusing import key_of, place_of
from karman_core.engine.run_items import Header
from karman_core.engine.sending import id_of
from karman_core.engine.services import Services
from karman_core.engine.state_items import error_text, read_record
from karman_core.engine.store import RunStore
from karman_core.engine.views import AttemptView, RunView, StatesPage, StateView
from karman_core.engine.waiting import Waits
from karman_core.engine.walking import Visit, Walker


class Reader:
    """Builds the views of runs and states."""

    def __init__(
        self,
        services: Services,
        *,
        graphs: GraphStore,
        lifecycle: Lifecycle,
        outputs: OutputStore,
        waits: Waits,
        walker: Walker,
        failures: Failures,
        results: Results,
    ) -> None:
        self._services = services
        self._graphs = graphs
        self._lifecycle = lifecycle
        self._outputs = outputs
        self._waits = waits
        self._walker = walker
        self._failures = failures
        self._results = results

    async def get_run(self, namespace: str, run_id: str) -> RunView:
        """A run with its open waits, its result, or its first failure. Raises NotFound."""
        header = await self._lifecycle.header(namespace, run_id)
        view = run_view(header, self._services.clock.now_ms())
        run = header.run
        graph = await self._graphs.compiled(namespace, run.graph, run.version)
        try:
            if header.status is RunStatus.SUCCEEDED:
                return replace(view, result=await self._results.of_run(graph, run))
            if header.status is RunStatus.FAILED:
                return replace(view, error=await self._failures.first(graph, run))
        except NotFound:
            if run.reused is None:
                raise
            return view  # What it reuses is gone; the run itself is still told of.
        if header.status in FINAL_RUNS:
            return view
        awaiting = tuple(await self._waits.awaited(namespace, run_id))
        return replace(view, awaiting=awaiting)

    async def list_states(
        self,
        namespace: str,
        run_id: str,
        *,
        cursor: str | None,
        limit: int,
        identifier: str | None,
        status: str | None,
        branch: str | None,
    ) -> StatesPage:
        """States in the order of the walk; `branch` is the path of one, whose states and those below it are meant."""
        limit, after = checked_limit(limit), read_place(cursor)
        header = await self._lifecycle.header(namespace, run_id)
        graph = await self._graphs.compiled(namespace, header.run.graph, header.run.version)
        first = await self._walker.find(graph, header.run, (_read_branch(branch), 0)) if branch else None
        if branch and first is None:
            return StatesPage(())
        start = self._walker.root(graph, header.run) if first is None else first.position
        found: list[StateView] = []
        last: str | None = None
        async for visit in self._walker.walk(graph, start, after):
            if identifier is not None and visit.position.identifier != identifier:
                continue
            view = await self._state_view(graph, header, visit)
            if status is not None and view.status != status:
                continue
            if len(found) == limit:
                return StatesPage(tuple(found), last)
            found.append(view)
            last = write_place(visit.place)
        return StatesPage(tuple(found))

    async def get_state(self, namespace: str, run_id: str, state_id: str) -> StateView:
        """One state. Raises NotFound."""
        header = await self._lifecycle.header(namespace, run_id)
        graph = await self._graphs.compiled(namespace, header.run.graph, header.run.version)
        place = place_of(run_id, state_id)
        item = await self._services.backend.table.get(key_of(header.run, place))
        if item is None:
            visit = await self._walker.find(graph, header.run, place)
        else:
            record = read_record(item)
            visit = Visit(Position(header.run, *place, record.identifier), record, decide(graph, record))
        if visit is None:
            raise NotFound(f"There is no state '{state_id}'.")
        return await self._state_view(graph, header, visit)

    async def read_store(self, namespace: str, run_id: str) -> dict[str, JSON]:
        """The run's store. Raises NotFound."""
        header = await self._lifecycle.header(namespace, run_id)
        graph = await self._graphs.compiled(namespace, header.run.graph, header.run.version)
        defaults = graph.definition.store_config.default_values
        return await RunStore(self._services, namespace, run_id, defaults).everything()

    async def _state_view(self, graph: Graph, header: Header, visit: Visit) -> StateView:
        position, record = visit.position, visit.record
        source = header.run.source(*visit.place)
        status = record.status if record else StateStatus.QUEUED
        base = StateView(
            run_id=header.run.run_id,
            state_id=id_of(position),
            identifier=position.identifier,
            node_name=graph.instances[position.identifier].node_name,
            branch=branch_text(position.branch),
            number=position.number,
            status=shown_status(status, header.status).value,
            reused_from=None if source is None else source.run_id,
        )
        if record is None:
            return base
        outputs: tuple[Mapping[str, JSON], ...] | None = None
        if record.status is StateStatus.SUCCEEDED:
            outputs = tuple(await self._outputs.of_record(record))
        elif record.data is not None:
            outputs = (record.data,)
        return replace(
            base,
            attempts=_attempts(record),
            turns=record.turn,
            inputs=record.inputs,
            outputs=outputs,
            started_ms=record.started_ms or None,
            ended_ms=record.ended_ms or None,
            due_ms=record.due_ms,
            awaiting=record.awaiting if record.status is StateStatus.WAITING else None,
            width=visit.decision.width if isinstance(visit.decision, Fork) else None,
            error=error_text(record) if record.status is not StateStatus.SUCCEEDED else None,
            skipped_by=None if record.skipped is None else record.skipped.by,
        )


def _attempts(record: Record) -> tuple[AttemptView, ...]:
    failed = tuple(
        AttemptView(one.attempt, one.started_ms, one.ended_ms, one.kind, one.message, one.traceback)
        for one in record.errors
    )
    if record.status in {StateStatus.SUCCEEDED, StateStatus.PRUNED}:
        return (*failed, AttemptView(len(failed) + 1, record.started_ms, record.ended_ms))
    return failed


def _read_branch(text: str) -> Branch:
    try:
        return parse_branch(text)
    except ValueError as error:
        raise InvalidRequest(
            "A branch is number.index pairs joined by '/', as states have it: '3.17/5.2'."
        ) from error
