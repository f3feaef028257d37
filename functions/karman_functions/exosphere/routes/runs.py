"""Looking at runs."""

from __future__ import annotations

from typing import Any

from karman_core.domain.errors import NotFound
from karman_core.engine.access import Scope
from karman_core.engine.inspecting import Found
from karman_core.engine.sending import id_of
from karman_core.engine.views import AttemptView, RunView
from karman_functions.exosphere.calls import IN_NAMESPACE, Call, Routes
from karman_functions.exosphere.errors import Failed
from karman_functions.exosphere.names import is_run_id, node_id_of, page_number
from karman_functions.exosphere.pictures import (
    Counts,
    Drawn,
    count,
    drawn,
    error_of,
    run_row,
    structure,
    total_counts,
    totals_tell,
)
from karman_functions.exosphere.statuses import STATES, Status
from karman_functions.exosphere.times import naive_iso

routes = Routes()

_ROUND = 1_000
_MAX_PAGES = 1_000_000


@routes.route("GET", f"{IN_NAMESPACE}/runs/{{page}}/{{size}}", Scope.READ)
async def list_runs(call: Call) -> dict[str, Any]:
    """A page of runs, newest first; pages count from 1."""
    page = page_number(call.path["page"], "page", _MAX_PAGES)
    size = page_number(call.path["size"], "size", call.tools.settings.max_page)
    runs, total = await _window(call, (page - 1) * size, size)
    rows = [run_row(run, await _counts(call, run)) for run in runs]
    return {"namespace": call.namespace, "total": total, "page": page, "size": size, "runs": rows}


@routes.route("GET", f"{IN_NAMESPACE}/states/run/{{run_id}}/graph", Scope.READ)
async def draw_run(call: Call) -> dict[str, Any]:
    """The states of a run and what led to what; of a run that there is not, an empty drawing."""
    run_id = call.path["run_id"]
    if not is_run_id(run_id):
        return structure("", [])
    try:
        run = await call.engine.get_run(call.namespace, run_id)
    except NotFound:
        return structure("", [])
    nodes, complete = await _drawn(call, run_id, call.tools.settings.max_drawn)
    drawing = structure(run.graph, nodes)
    return drawing if complete else {**drawing, "truncated": True}


@routes.route("GET", f"{IN_NAMESPACE}/graph/{{graph_name}}/run/{{run_id}}/node/{{node_id}}", Scope.READ)
async def get_node_run(call: Call) -> dict[str, Any]:
    """One state of a run, or one of its attempts that was retried."""
    graph, run_id, node_id = call.path["graph_name"], call.path["run_id"], call.path["node_id"]
    state_id, attempt = node_id_of(node_id)
    missing = f"Node {node_id} not found in run {run_id[:200]} for graph {graph[:200]}"
    try:
        found = await call.tools.inspector.find(call.namespace, state_id)
    except NotFound as error:
        raise Failed(404, missing) from error
    run = found.header.run
    if (run.run_id, run.graph) != (run_id, graph):
        raise Failed(404, missing)
    details = await _details(call, found)
    return details if attempt is None else _retried(found, details, attempt, missing)


async def _window(call: Call, first: int, size: int) -> tuple[list[RunView], int]:
    """Some of the runs, and how many there are: exactly, or at least so far beyond the window."""
    runs: list[RunView] = []
    seen, cursor = 0, None
    while seen < first + size + call.tools.settings.max_runs:
        page = await call.engine.list_runs(call.namespace, limit=_ROUND, cursor=cursor)
        runs += page.runs[max(0, first - seen) : max(0, first + size - seen)]
        seen += len(page.runs)
        cursor = page.cursor
        if cursor is None:
            break
    return runs, seen


async def _counts(call: Call, run: RunView) -> Counts:
    if totals_tell(run):
        return total_counts(run)
    nodes, complete = await _drawn(call, run.run_id, call.tools.settings.max_counted)
    return count(nodes) if complete else total_counts(run)


async def _drawn(call: Call, run_id: str, most: int) -> tuple[list[Drawn], bool]:
    """The nodes of a run, at most so many or a page more, and whether they are all of them."""
    nodes: list[Drawn] = []
    cursor = None
    while len(nodes) < most:
        page = await call.engine.list_states(call.namespace, run_id, cursor=cursor, limit=_ROUND)
        nodes += [node for view in page.states for node in drawn(view)]
        cursor = page.cursor
        if cursor is None:
            return nodes, True
    return nodes, False


async def _details(call: Call, found: Found) -> dict[str, Any]:
    record, header = found.visit.record, found.header
    created = (record.first_ms or record.started_ms) if record is not None else header.starts_ms
    updated = (record.ended_ms or record.started_ms) if record is not None else created
    status = STATES[found.status]
    failed = record is not None and status is Status.ERRORED and record.errors
    return {
        "id": id_of(found.visit.position),
        "node_name": found.graph.instances[found.visit.position.identifier].node_name,
        "identifier": found.visit.position.identifier,
        "graph_name": header.run.graph,
        "run_id": header.run.run_id,
        "status": status.value,
        "inputs": dict(record.inputs or {}) if record is not None else {},
        "outputs": dict(await call.tools.inspector.output(found)),
        "error": _errors(found)[-1] if failed else None,
        "parents": {visit.position.identifier: id_of(visit.position) for visit in found.trail[:-1]},
        "created_at": naive_iso(created),
        "updated_at": naive_iso(updated),
    }


def _errors(found: Found) -> list[str]:
    record = found.visit.record
    return [
        error_of(AttemptView(one.attempt, one.started_ms, one.ended_ms, one.kind, one.message))
        for one in (record.errors if record is not None else ())
    ]


def _retried(found: Found, details: dict[str, Any], attempt: int, missing: str) -> dict[str, Any]:
    errors = _errors(found)
    retried = errors[:-1] if details["status"] == Status.ERRORED else errors
    if not 1 <= attempt <= len(retried):
        raise Failed(404, missing)
    failed = {"status": Status.RETRY_CREATED.value, "outputs": {}, "error": retried[attempt - 1]}
    return {**details, **failed, "id": f"{details['id']}~{attempt}"}
