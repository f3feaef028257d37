"""Work over HTTP, for workers that have no queue."""

from __future__ import annotations

from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Body

from karman_core.domain.outcome import Awaiting, Errored, Pruned, Requeued, Succeeded
from karman_core.engine.access import Scope
from karman_core.engine.views import LeaseView, Released, Report
from karman_functions.api.context import engine, services
from karman_functions.api.fitting import fitting
from karman_functions.api.models import LeaseToExtend, LeaseToRelease, WorkPage, WorkWanted
from karman_functions.api.parameters import Namespace, StateId
from karman_functions.api.reports import ErrorReport, OutputsReport, PruneReport, RequeueReport, WaitReport
from karman_functions.api.routing import Resource

resource = Resource("work")


@resource.route("POST", "/work/poll", Scope.WORKER)
async def poll_work(namespace: Namespace, body: Annotated[WorkWanted, Body()]) -> WorkPage:
    """Lease states that run any of the nodes; the answer waits for the first one."""
    work = await engine().poll(
        namespace,
        body.nodes,
        limit=body.limit,
        wait_seconds=body.wait_seconds,
        lease_seconds=body.lease_seconds,
    )
    return WorkPage(tuple(await fitting(engine(), namespace, work, services().limits.answer_bytes)))


@resource.route("POST", "/work/<state_id>/heartbeat", Scope.WORKER)
async def extend_lease(
    namespace: Namespace, state_id: StateId, body: Annotated[LeaseToExtend, Body()]
) -> LeaseView:
    """Make a lease end later. When the answer says `cancelled`, stop working and release it."""
    return await engine().heartbeat(namespace, state_id, body.lease, body.lease_seconds)


@resource.route("POST", "/work/<state_id>/release", Scope.WORKER)
async def release_lease(
    namespace: Namespace, state_id: StateId, body: Annotated[LeaseToRelease, Body()]
) -> Released:
    """Give a lease back: the next worker has the state at once, and no attempt is counted."""
    return await engine().release(namespace, state_id, body.lease)


@resource.route("POST", "/work/<state_id>/outputs", Scope.WORKER)
async def report_outputs(
    namespace: Namespace, state_id: StateId, body: Annotated[OutputsReport, Body()]
) -> Report:
    """The node gave outputs. The same report again changes nothing; another one is a conflict."""
    outcome = Succeeded(tuple(body.outputs), body.next, body.effects())
    return await engine().report(namespace, state_id, outcome, lease=body.lease)


@resource.route("POST", "/work/<state_id>/error", Scope.WORKER)
async def report_error(
    namespace: Namespace, state_id: StateId, body: Annotated[ErrorReport, Body()]
) -> Report:
    """The attempt failed; whether there is another one, the retry policy says."""
    outcome = Errored(body.kind, body.message, body.traceback, body.retry, tuple(body.bases))
    return await engine().report(namespace, state_id, outcome, lease=body.lease)


@resource.route("POST", "/work/<state_id>/prune", Scope.WORKER)
async def report_prune(
    namespace: Namespace, state_id: StateId, body: Annotated[PruneReport, Body()]
) -> Report:
    """The node ends its branch."""
    outcome = Pruned(body.data, body.effects())
    return await engine().report(namespace, state_id, outcome, lease=body.lease)


@resource.route("POST", "/work/<state_id>/requeue", Scope.WORKER)
async def report_requeue(
    namespace: Namespace, state_id: StateId, body: Annotated[RequeueReport, Body()]
) -> Report:
    """The node wants to run again later; that is no failure."""
    outcome = Requeued(body.delay_ms, body.effects())
    return await engine().report(namespace, state_id, outcome, lease=body.lease)


@resource.route("POST", "/work/<state_id>/wait", Scope.WORKER)
async def report_wait(namespace: Namespace, state_id: StateId, body: Annotated[WaitReport, Body()]) -> Report:
    """The node waits for a signal; its state runs again when it has come, or the time is over."""
    outcome = Awaiting(body.signal, body.timeout_ms, body.effects())
    return await engine().report(namespace, state_id, outcome, lease=body.lease)
