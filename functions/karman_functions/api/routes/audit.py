"""The audit log."""

from __future__ import annotations

from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Query

from karman_core.engine.access import Scope
from karman_core.engine.auditing import AuditPage
from karman_functions.api.context import engine
from karman_functions.api.parameters import RUN_ID, Cursor, Limit, Namespace
from karman_functions.api.routing import Resource

resource = Resource("audit")


@resource.route("GET", "/audit", Scope.ADMIN)
async def list_audit(
    namespace: Namespace,
    since_ms: Annotated[int | None, Query(ge=0, le=2**53, description="Only since then (epoch ms).")] = None,
    until_ms: Annotated[int | None, Query(ge=0, le=2**53, description="Only before then (epoch ms).")] = None,
    run_id: Annotated[str | None, Query(pattern=RUN_ID, description="Only about this run.")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> AuditPage:
    """Who changed what, newest first. A page may hold fewer than the limit and have a cursor.

    Each entry was written before its operation was begun. One without a `result` was cut off, and may have been
    carried out. Entries are kept for 400 days.
    """
    return await engine().audit.page(
        namespace, since_ms=since_ms, until_ms=until_ms, run_id=run_id, limit=limit, cursor=cursor
    )
