"""Looking at much at once: many runs together, and one as it changes."""

from __future__ import annotations

from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Query

from karman_core.engine.access import Scope
from karman_core.engine.summaries import RunProgress, Statistics
from karman_functions.api.context import engine, services
from karman_functions.api.parameters import (
    GraphFilter,
    Namespace,
    RunId,
    SinceMs,
    UntilMs,
    WaitSeconds,
)
from karman_functions.api.routing import Resource
from karman_functions.api.waiting import changed_run

resource = Resource("overview")


@resource.route("GET", "/statistics", Scope.READ)
async def get_statistics(
    namespace: Namespace, graph: GraphFilter = None, since_ms: SinceMs = None, until_ms: UntilMs = None
) -> Statistics:
    """Runs together: how they stand, how long they took, what they did, what failed in the newest of them.

    It looks through 10,000 runs, the newest first, and into 100 of those that have failed.
    """
    return await engine().overview.statistics(namespace, graph=graph, since_ms=since_ms, until_ms=until_ms)


@resource.route("GET", "/runs/<run_id>/events", Scope.READ)
async def watch_run(
    namespace: Namespace,
    run_id: RunId,
    after: Annotated[str | None, Query(max_length=64, description="The `digest` that is known.")] = None,
    wait_seconds: WaitSeconds = 0,
) -> RunProgress:
    """A run as soon as it is another than `after` says, or as it stands when the wait is over.

    A server on one machine streams the same as server-sent events to whoever accepts `text/event-stream`.
    """
    return await changed_run(engine(), services().clock, namespace, run_id, after, wait_seconds)
