"""Signals to runs, and what they wait for."""

from __future__ import annotations

from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Body

from karman_core.engine.access import Scope
from karman_functions.api.context import engine, operator
from karman_functions.api.models import Accepted, Awaited, SignalToSend
from karman_functions.api.parameters import Namespace, RunId
from karman_functions.api.routing import Resource

resource = Resource("signals")


@resource.route("GET", "/runs/<run_id>/signals", Scope.READ)
async def list_awaited(namespace: Namespace, run_id: RunId) -> Awaited:
    """Names of the signals that states of the run wait for."""
    return Awaited((await engine().get_run(namespace, run_id)).awaiting)


@resource.route("POST", "/runs/<run_id>/signals", Scope.TRIGGER, status=202)
async def send_signal(namespace: Namespace, run_id: RunId, body: Annotated[SignalToSend, Body()]) -> Accepted:
    """Send a signal; one that nobody awaits yet is kept."""
    await operator().signal(namespace, run_id, body.name, body.payload, signal_id=body.id)
    return Accepted()
