"""Runs: begin, look, operate."""

from __future__ import annotations

from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body, Query

from karman_core.domain.definition import NAME_PATTERN
from karman_core.domain.transitions import RunStatus, StateStatus
from karman_core.engine.access import Scope
from karman_core.engine.views import PurgeView, RunsPage, RunView, Started, StatesPage
from karman_functions.api.context import engine, operator, services
from karman_functions.api.filters import tag_filter
from karman_functions.api.models import RunToStart, StoreValues
from karman_functions.api.parameters import (
    Cursor,
    GraphFilter,
    GraphName,
    IdempotencyKey,
    Limit,
    Namespace,
    RunId,
    SinceMs,
    Tags,
    TraceParent,
    UntilMs,
    WaitSeconds,
)
from karman_functions.api.routing import Resource
from karman_functions.api.waiting import ended_run

resource = Resource("runs")


@resource.route("POST", "/graphs/<name>/runs", Scope.TRIGGER, status=201)
async def start_run(
    namespace: Namespace,
    name: GraphName,
    body: Annotated[RunToStart, Body()] = RunToStart(),  # noqa: B008  frozen
    idempotency_key: IdempotencyKey = None,
    trace_parent: TraceParent = None,
) -> Response[Started]:
    """Begin a run of the graph's current version. 200 when the idempotency key had begun it before."""
    started = await engine().trigger(
        namespace, name, idempotency_key=idempotency_key, trace_parent=trace_parent, **body.model_dump()
    )
    return Response(201 if started.created else 200, "application/json", started)


@resource.route("GET", "/runs", Scope.READ)
async def list_runs(
    namespace: Namespace,
    graph: GraphFilter = None,
    status: Annotated[RunStatus | None, Query(description="Only in this status.")] = None,
    since_ms: SinceMs = None,
    until_ms: UntilMs = None,
    tag: Tags = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> RunsPage:
    """Runs, newest first. A page may hold fewer than the limit and have a cursor, where filters let few pass."""
    tags = tag_filter(tag or [])
    if tags is None:
        return RunsPage(())
    return await engine().list_runs(
        namespace,
        graph=graph,
        status=status,
        since_ms=since_ms,
        until_ms=until_ms,
        tags=tags,
        limit=limit,
        cursor=cursor,
    )


@resource.route("GET", "/runs/<run_id>", Scope.READ)
async def get_run(namespace: Namespace, run_id: RunId, wait_seconds: WaitSeconds = 0) -> RunView:
    """A run. With `wait_seconds`, the answer comes when it has ended, or so much later."""
    return await ended_run(engine(), services().clock, namespace, run_id, wait_seconds)


@resource.route("DELETE", "/runs/<run_id>", Scope.ADMIN)
async def purge_run(namespace: Namespace, run_id: RunId) -> PurgeView:
    """Delete a run that has ended, with all that is kept of it; again is no error.

    Nobody finds the run from then on. Where `complete` is false there was much of it, and workers delete the rest. A
    run whose states another one reuses is refused: purge that one first. The idempotency key stays used.
    """
    return await operator().purge(namespace, run_id)


@resource.route("POST", "/runs/<run_id>/cancel", Scope.TRIGGER)
async def cancel_run(namespace: Namespace, run_id: RunId) -> RunView:
    """End a run as CANCELLED; states in flight may finish."""
    return await operator().cancel(namespace, run_id)


@resource.route("POST", "/runs/<run_id>/pause", Scope.TRIGGER)
async def pause_run(namespace: Namespace, run_id: RunId) -> RunView:
    """Begin no further states of a run."""
    return await operator().pause(namespace, run_id)


@resource.route("POST", "/runs/<run_id>/resume", Scope.TRIGGER)
async def resume_run(namespace: Namespace, run_id: RunId) -> RunView:
    """Go on with a paused run."""
    return await operator().resume(namespace, run_id)


@resource.route("POST", "/runs/<run_id>/retry", Scope.TRIGGER)
async def retry_run(namespace: Namespace, run_id: RunId) -> RunView:
    """Run every failed state of a FAILED run again, and what follows from it."""
    return await operator().retry(namespace, run_id)


@resource.route("GET", "/runs/<run_id>/states", Scope.READ)
async def list_states(
    namespace: Namespace,
    run_id: RunId,
    identifier: Annotated[str | None, Query(pattern=NAME_PATTERN, description="Only of this one.")] = None,
    status: Annotated[StateStatus | None, Query(description="Only in this status.")] = None,
    branch: Annotated[
        str | None,
        Query(
            pattern=r"^[0-9./]{0,512}$",
            description="Only of this branch, by its path, and of those below it.",
        ),
    ] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> StatesPage:
    """States of a run, in the order of their branches."""
    return await engine().list_states(
        namespace,
        run_id,
        identifier=identifier,
        status=status,
        branch=branch,
        limit=limit,
        cursor=cursor,
    )


@resource.route("GET", "/runs/<run_id>/store", Scope.READ, Scope.WORKER)
async def read_store(namespace: Namespace, run_id: RunId) -> StoreValues:
    """The run's store, defaults included."""
    return StoreValues(await engine().read_store(namespace, run_id))
