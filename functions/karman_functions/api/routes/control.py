"""Operating runs: one state, one run, many runs; and how far the groups of a run are."""

from __future__ import annotations

from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body, Query

from karman_core.engine.access import Scope
from karman_core.engine.listing import RunFilter
from karman_core.engine.operations import Action
from karman_core.engine.views import (
    BulkView,
    GroupsPage,
    GroupView,
    RedriveView,
    RunView,
    Started,
    StateView,
)
from karman_functions.api.context import engine, operator
from karman_functions.api.guard import require
from karman_functions.api.operations import RunsToOperate, RunToRerun, StateToSkip
from karman_functions.api.parameters import (
    STATE_ID,
    Cursor,
    IdempotencyKey,
    Limit,
    Namespace,
    RunId,
    StateId,
)
from karman_functions.api.routing import Resource

resource = Resource("runs")


@resource.route("POST", "/runs/bulk", Scope.TRIGGER)
async def operate_runs(namespace: Namespace, body: Annotated[RunsToOperate, Body()]) -> BulkView:
    """Cancel, pause, resume, retry or purge the runs of a page of a list, each by itself. To purge takes `admin`.

    With `dry_run` nothing is done, and `done` are the runs with which it would be. Go on at `cursor` until it is null.
    """
    if body.action is Action.PURGE:
        require(namespace, Scope.ADMIN)
    wanted = RunFilter(**body.filter.model_dump())
    return await operator().bulk(
        namespace, body.action, wanted, limit=body.limit, cursor=body.cursor, dry_run=body.dry_run
    )


@resource.route("POST", "/runs/<run_id>/rerun", Scope.TRIGGER, status=201)
async def rerun_run(
    namespace: Namespace,
    run_id: RunId,
    body: Annotated[RunToRerun, Body()],
    idempotency_key: IdempotencyKey = None,
) -> Response[Started]:
    """Begin a new run of the same version at a state of this run's first branch; what came before is reused.

    Its store begins with the values that this run's has now; from the first state, with those that the trigger gave.
    Inputs are for the state that it begins with: of a first state they replace the trigger's, of a later one they stand
    in place of what the graph gives those fields. 200 when the idempotency key had begun it before.
    """
    started = await operator().rerun(
        namespace, run_id, body.start, inputs=body.inputs, idempotency_key=idempotency_key
    )
    return Response(201 if started.created else 200, "application/json", started)


@resource.route("GET", "/runs/<run_id>/states/<state_id>", Scope.READ)
async def get_state(namespace: Namespace, run_id: RunId, state_id: StateId) -> StateView:
    """One state, with its attempts."""
    return await engine().get_state(namespace, run_id, state_id)


@resource.route("POST", "/runs/<run_id>/states/<state_id>/retry", Scope.TRIGGER)
async def retry_state(namespace: Namespace, run_id: RunId, state_id: StateId) -> RunView:
    """Run one failed state of a FAILED run again, and what follows from it. Other failures stay."""
    return await operator().retry_state(namespace, run_id, state_id)


@resource.route("POST", "/runs/<run_id>/states/<state_id>/skip", Scope.TRIGGER)
async def skip_state(
    namespace: Namespace, run_id: RunId, state_id: StateId, body: Annotated[StateToSkip, Body()]
) -> StateView:
    """Give a state its outputs instead of its node; the run goes on as if the node had given them.

    For a state without an outcome of a run that goes on, and for a failed state of a FAILED run. What a node that is
    running returns is not taken any more. The same again is no error.
    """
    return await operator().skip(namespace, run_id, state_id, body.given, chosen=body.next)


@resource.route("POST", "/runs/<run_id>/redrive", Scope.TRIGGER)
async def redrive_run(namespace: Namespace, run_id: RunId, cursor: Cursor = None) -> RedriveView:
    """Send again all that a run waits for, from its table alone: for a run whose queue was lost.

    It does no harm to the run, but a node that is running may run once more. Go on at `cursor` until it is null.
    """
    return await operator().redrive(namespace, run_id, cursor=cursor)


@resource.route("GET", "/runs/<run_id>/groups", Scope.READ)
async def list_groups(
    namespace: Namespace,
    run_id: RunId,
    parent: Annotated[
        str | None,
        Query(
            pattern=STATE_ID,
            description="Only groups opened in the branches of the group that this state opened; "
            "else those of the first branch.",
        ),
    ] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> GroupsPage:
    """How far the groups of a run are, without a look at their branches.

    A page may hold fewer than the limit and have a cursor, where few branches of the parent opened a group.
    """
    return await engine().list_groups(namespace, run_id, parent=parent, limit=limit, cursor=cursor)


@resource.route("GET", "/runs/<run_id>/groups/<state_id>", Scope.READ)
async def get_group(namespace: Namespace, run_id: RunId, state_id: StateId) -> GroupView:
    """How far the group is that a state opened."""
    return await engine().get_group(namespace, run_id, state_id)
