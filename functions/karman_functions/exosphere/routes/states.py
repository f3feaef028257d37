"""Work: states are leased to workers, and their reports are taken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from karman_core.domain.errors import NotFound
from karman_core.domain.outcome import Errored, Outcome, Pruned, Requeued, Succeeded
from karman_core.domain.transitions import RunStatus, StateStatus
from karman_core.engine.access import Scope
from karman_core.engine.inspecting import Found
from karman_core.engine.views import Report, Work
from karman_functions.api.fitting import fitting
from karman_functions.exosphere.calls import IN_NAMESPACE, Call, Routes
from karman_functions.exosphere.errors import Failed, unprocessable
from karman_functions.exosphere.models import (
    ErroredState,
    Executed,
    PrunedState,
    StatesToEnqueue,
    StateToEnqueueAfter,
    StateToRetry,
)
from karman_functions.exosphere.names import state_id_of
from karman_functions.exosphere.pictures import REPORTED
from karman_functions.exosphere.times import naive_iso

routes = Routes()

_STATE = f"{IN_NAMESPACE}/state/{{state_id}}"


@routes.route("POST", f"{IN_NAMESPACE}/states/enqueue", Scope.WORKER, body=StatesToEnqueue)
async def enqueue_states(call: Call, body: StatesToEnqueue) -> dict[str, Any]:
    """Lease states that run any of the nodes."""
    limit = call.tools.settings.max_nodes
    if len(body.nodes) > limit:
        raise unprocessable("too_long", ["body", "nodes"], f"List should have at most {limit} items", None)
    work = await _lease(call, body)
    shown = [_leased(one, call.tools.clock.now_ms()) for one in work]
    return {"count": len(shown), "namespace": call.namespace, "status": "QUEUED", "states": shown}


@routes.route("POST", f"{_STATE}/executed", Scope.WORKER, body=Executed)
async def report_executed(call: Call, body: Executed) -> dict[str, Any]:
    """The node gave outputs; none is one empty output."""
    await _report(call, Succeeded(body.outputs or ({},)))
    return {"status": "EXECUTED"}


@routes.route("POST", f"{_STATE}/errored", Scope.WORKER, body=ErroredState)
async def report_errored(call: Call, body: ErroredState) -> dict[str, Any]:
    """The attempt failed."""
    report = await _report(call, Errored(REPORTED, body.error))
    return {"status": "ERRORED", "retry_created": report.status == StateStatus.RETRYING}


@routes.route("POST", f"{_STATE}/prune", Scope.WORKER, body=PrunedState)
async def report_pruned(call: Call, body: PrunedState) -> dict[str, Any]:
    """The node ends its branch."""
    await _report(call, Pruned(body.data))
    return {"status": "PRUNED", "enqueue_after": call.tools.clock.now_ms()}


@routes.route("POST", f"{_STATE}/re-enqueue-after", Scope.WORKER, body=StateToEnqueueAfter)
async def report_requeued(call: Call, body: StateToEnqueueAfter) -> dict[str, Any]:
    """The node wants to run again later."""
    await _report(call, Requeued(body.enqueue_after))
    return {"status": "CREATED", "enqueue_after": call.tools.clock.now_ms() + body.enqueue_after}


@routes.route("POST", f"{_STATE}/manual-retry", Scope.TRIGGER, body=StateToRetry)
async def retry_state(call: Call, body: StateToRetry) -> dict[str, Any]:
    """Run an errored state again, and what follows from it, once its run has failed."""
    state_id = state_id_of(call.path["state_id"])
    found = await _found(call, state_id)
    _check_retriable(found)
    if not await call.tools.directory.claim_retry(call.namespace, state_id, body.fanout_id):
        raise Failed(409, "Duplicate retry state detected")
    await call.engine.operations.retry_state(call.namespace, found.header.run.run_id, state_id)
    return {"id": state_id, "status": "CREATED"}


@routes.route("GET", f"{_STATE}/secrets", Scope.WORKER)
async def read_secrets(call: Call) -> dict[str, Any]:
    """The values of the secrets of a state's graph; the one route that gives any, and to workers alone."""
    state_id = state_id_of(call.path["state_id"])
    try:
        return {"secrets": await call.tools.inspector.secrets(call.namespace, state_id)}
    except NotFound as error:
        raise Failed(404, "State not found") from error


async def _lease(call: Call, body: StatesToEnqueue) -> Sequence[Work]:
    """Up to as many as are asked for; waits a little for the first one."""
    settings = call.tools.settings
    if body.batch_size < 1:
        return []
    work = await call.engine.poll(
        call.namespace,
        sorted(set(body.nodes)),
        limit=min(body.batch_size, settings.max_batch),
        wait_seconds=settings.linger_seconds,
        lease_seconds=settings.lease_seconds,
    )
    return await fitting(call.engine, call.namespace, work, call.tools.answer_bytes)


def _leased(work: Work, now_ms: int) -> dict[str, Any]:
    return {
        "state_id": work.state_id,
        "node_name": work.node_name,
        "identifier": work.identifier,
        "inputs": dict(work.inputs),
        "created_at": naive_iso(now_ms),
    }


async def _report(call: Call, outcome: Outcome) -> Report:
    """Take a report, from whoever has the state: Exosphere's workers do not say which lease is theirs."""
    state_id = state_id_of(call.path["state_id"])
    try:
        return await call.engine.report(call.namespace, state_id, outcome)
    except NotFound:
        await _found(call, state_id)
        raise Failed(409, "State is not queued") from None


async def _found(call: Call, state_id: str) -> Found:
    try:
        return await call.tools.inspector.find(call.namespace, state_id)
    except NotFound as error:
        raise Failed(404, "State not found") from error


def _check_retriable(found: Found) -> None:
    """Raises Failed: 409."""
    if found.status is not StateStatus.FAILED:
        raise Failed(409, "Only an errored state can be retried")
    if found.header.status is not RunStatus.FAILED:
        raise Failed(
            409, "A state can be retried once its run has failed; this one goes on, or has made up for it"
        )
