"""Reading runs and states for people: what is kept, and what follows from it."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace

from karman_core.domain.branches import branch_text, parse_branch
from karman_core.domain.decide import Fork
from karman_core.domain.definition import JSON
from karman_core.domain.errors import InvalidRequest
from karman_core.domain.graph import Graph
from karman_core.domain.records import Record
from karman_core.domain.transitions import FINAL_RUNS, RunStatus, StateStatus, shown_status
from karman_core.engine import keys
from karman_core.engine.failures import Failures
from karman_core.engine.graphs import GraphStore
from karman_core.engine.lifecycle import Lifecycle
from karman_core.engine.outputs import OutputStore, Place
from karman_core.engine.paging import every
from karman_core.engine.results import Results
from karman_core.engine.run_items import Header, read_header
from karman_core.engine.sending import id_of
from karman_core.engine.services import Services
from karman_core.engine.state_items import error_text
from karman_core.engine.store import RunStore
from karman_core.engine.views import AttemptView, RunsPage, RunView, StatesPage, StateView, TotalsView
from karman_core.engine.waiting import Waits
from karman_core.engine.walking import Visit, Walker
from karman_core.ports.table import BY_GRAPH, BY_TIME, Query

_PAGE = 100
_MAX_LIMIT = 1000
_MAX_DAYS = 400
_CURSOR_PARTS = 2
_NO_CURSOR = "The cursor is none that this listing gave; begin without one."


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
        view = self._run_view(header)
        run = header.run
        graph = await self._graphs.compiled(namespace, run.graph, run.version)
        if header.status is RunStatus.SUCCEEDED:
            return replace(view, result=await self._results.of_run(graph, run))
        if header.status is RunStatus.FAILED:
            return replace(view, error=await self._failures.first(graph, run))
        if header.status in FINAL_RUNS:
            return view
        awaiting = tuple(await self._waits.awaited(namespace, run_id))
        return replace(view, awaiting=awaiting)

    async def list_runs(
        self,
        namespace: str,
        *,
        graph: str | None,
        status: str | None,
        since_ms: int | None,
        limit: int,
        cursor: str | None,
    ) -> RunsPage:
        """Runs, newest first: through the days that have any, each a partition of the listing indexes."""
        limit = _checked_limit(limit)
        now = self._services.clock.now_ms()
        newest, inner = _read_runs_cursor(cursor, now)
        oldest = now - _MAX_DAYS * keys.DAY_MS if since_ms is None else since_ms
        found: list[RunView] = []
        async for day in self._days(namespace, graph, newest, oldest // keys.DAY_MS):
            at = day * keys.DAY_MS
            pk = keys.by_time(namespace, at) if graph is None else keys.by_graph(namespace, graph, at)
            while len(found) < limit:
                room, index = limit - len(found), BY_TIME if graph is None else BY_GRAPH
                query = Query(pk, index=index, reverse=True, limit=room, consistent=False, cursor=inner)
                page = await self._services.backend.table.query(query)
                views = [self._run_view(read_header(item)) for item in page.items]
                found += [
                    view for view in views if view.created_ms >= oldest and status in {None, view.status}
                ]
                inner = page.cursor
                if inner is None:
                    break
            if len(found) >= limit:
                return RunsPage(tuple(found), _runs_cursor(day if inner else day - 1, inner))
        return RunsPage(tuple(found))

    async def _days(self, namespace: str, graph: str | None, newest: int, oldest: int) -> AsyncIterator[int]:
        """The days on which runs began, newest first."""
        first, last = keys.day_text(max(0, oldest)), keys.day_text(newest)
        query = Query(keys.days(namespace, graph), first=first, last=last, reverse=True)
        async for item in every(self._services.backend.table, query):
            yield int(item["sk"])

    async def list_states(
        self,
        namespace: str,
        run_id: str,
        *,
        cursor: str | None,
        limit: int,
        identifier: str | None,
        status: str | None,
    ) -> StatesPage:
        """States in the order of the walk."""
        limit, after = _checked_limit(limit), _read_place(cursor)
        header = await self._lifecycle.header(namespace, run_id)
        graph = await self._graphs.compiled(namespace, header.run.graph, header.run.version)
        found: list[StateView] = []
        last: str | None = None
        async for visit in self._walker.walk(graph, self._walker.root(graph, header.run), after):
            if identifier is not None and visit.position.identifier != identifier:
                continue
            view = await self._state_view(graph, header, visit)
            if status is not None and view.status != status:
                continue
            if len(found) == limit:
                return StatesPage(tuple(found), last)
            found.append(view)
            last = _place(visit.place)
        return StatesPage(tuple(found))

    async def read_store(self, namespace: str, run_id: str) -> dict[str, JSON]:
        """The run's store. Raises NotFound."""
        header = await self._lifecycle.header(namespace, run_id)
        graph = await self._graphs.compiled(namespace, header.run.graph, header.run.version)
        defaults = graph.definition.store_config.default_values
        return await RunStore(self._services, namespace, run_id, defaults).everything()

    def _run_view(self, header: Header) -> RunView:
        run, status = header.run, header.status
        if status is RunStatus.RUNNING and self._services.clock.now_ms() < header.starts_ms:
            status = RunStatus.QUEUED
        elif status is RunStatus.RUNNING and header.waiting:
            status = RunStatus.WAITING
        return RunView(
            namespace=run.namespace,
            run_id=run.run_id,
            graph=run.graph,
            graph_version=run.version,
            status=status.value,
            epoch=run.epoch,
            created_ms=header.created_ms,
            starts_ms=header.starts_ms,
            ended_ms=header.ended_ms if status in FINAL_RUNS else None,
            deadline_ms=run.deadline_ms,
            inputs=header.inputs or {},
            totals=TotalsView(**header.totals._asdict()),
            tags=header.tags or {},
            idempotency_key=header.key,
        )

    async def _state_view(self, graph: Graph, header: Header, visit: Visit) -> StateView:
        position, record = visit.position, visit.record
        status = record.status if record else StateStatus.QUEUED
        base = StateView(
            run_id=header.run.run_id,
            state_id=id_of(position),
            identifier=position.identifier,
            node_name=graph.instances[position.identifier].node_name,
            branch=branch_text(position.branch),
            number=position.number,
            status=shown_status(status, header.status).value,
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
        )


def _attempts(record: Record) -> tuple[AttemptView, ...]:
    failed = tuple(
        AttemptView(one.attempt, one.started_ms, one.ended_ms, one.kind, one.message, one.traceback)
        for one in record.errors
    )
    if record.status in {StateStatus.SUCCEEDED, StateStatus.PRUNED}:
        return (*failed, AttemptView(len(failed) + 1, record.started_ms, record.ended_ms))
    return failed


def _checked_limit(limit: int) -> int:
    if not 1 <= limit <= _MAX_LIMIT:
        raise InvalidRequest(f"The limit is between 1 and {_MAX_LIMIT}.")
    return limit


def _encode(value: JSON) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


def _decode(cursor: str) -> list[JSON]:
    try:
        value = json.loads(base64.urlsafe_b64decode(cursor.encode()))
    except ValueError as error:
        raise InvalidRequest(_NO_CURSOR) from error
    if not isinstance(value, list) or len(value) != _CURSOR_PARTS:
        raise InvalidRequest(_NO_CURSOR)
    return value


def _place(place: Place) -> str:
    return _encode([branch_text(place[0]), place[1]])


def _read_place(cursor: str | None) -> Place | None:
    if cursor is None:
        return None
    path, number = _decode(cursor)
    try:
        if isinstance(path, str) and isinstance(number, int):
            return parse_branch(path), number
    except ValueError:
        pass
    raise InvalidRequest(_NO_CURSOR)


def _runs_cursor(day: int, inner: str | None) -> str:
    return _encode([day, inner])


def _read_runs_cursor(cursor: str | None, now: int) -> tuple[int, str | None]:
    if cursor is None:
        return now // keys.DAY_MS, None
    day, inner = _decode(cursor)
    if not isinstance(day, int) or day > now // keys.DAY_MS or not isinstance(inner, str | None):
        raise InvalidRequest(_NO_CURSOR)
    return day, inner
