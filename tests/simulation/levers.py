"""What operators' levers must have come to when everything is at rest: skips, purges, and the audit log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from karman_core.domain.branches import Branch, branch_text
from karman_core.domain.errors import NotFound
from karman_core.engine import keys
from karman_core.engine.run_items import PURGED, read_header
from tests.simulation.deployment import NS
from tests.simulation.monitor import Item
from tests.simulation.violations import Violation

if TYPE_CHECKING:
    from tests.simulation.history import History
    from tests.simulation.operators import Request

_TOMBSTONE = {"pk", "sk", "status", "purged", "ttl"}


def check_levers(history: History, outputs: Mapping[str, Mapping[tuple[Branch, int], Any]]) -> None:
    """Raises Violation.

    Args:
        outputs: of every state that succeeded, by run and place.
    """
    _check_skips(history, outputs)
    _check_purges(history)
    _check_audit(history)


# --- skips ------------------------------------------------------------------------------------------------------------


def _check_skips(history: History, outputs: Mapping[str, Mapping[tuple[Branch, int], Any]]) -> None:
    """A state that was skipped has exactly the outputs that somebody gave it, and says who."""
    names = {request.by for request in history.operators.requests}
    for run_id, branches in history.simulation.monitor.records.items():
        if history.simulation.monitor.is_purged(run_id):
            continue
        for path, some in branches.items():
            for number, record in some.items():
                if record.skipped is None:
                    continue
                where = f"state {run_id} {branch_text(path) or '-'} {number}"
                asked = history.operators.skips.get((run_id, path, number), {})
                wanted = asked.get(record.skipped.id)
                if wanted is None or record.skipped.by not in names:
                    raise Violation(f"{where} was skipped, and nobody asked for it: {record.skipped}")
                ((given, chosen), _), found = wanted, outputs[run_id].get((path, number))
                if found is None or list(map(dict, found)) != given or record.chosen != chosen:
                    raise Violation(f"{where} was given {given} to {chosen}, has {found} to {record.chosen}")


# --- purges -----------------------------------------------------------------------------------------------------------


def _check_purges(history: History) -> None:
    """Of a run that was purged nothing is left but what was under way, and that expires; and nobody finds it."""
    monitor = history.simulation.monitor
    for run_id in history.operators.purged:
        if monitor.headers[run_id]["status"] != PURGED:
            raise Violation(f"run {run_id} was purged, and is {monitor.headers[run_id]['status']}")
    purged = [run_id for run_id, header in monitor.headers.items() if header["status"] == PURGED]
    if not purged:
        return
    listed = {
        view.run_id for view in history.simulation.complete(history.deployment.reader.list_runs(NS)).runs
    }
    if listed != {*monitor.headers} - {*purged}:
        raise Violation(f"listed are {sorted(listed)}, purged were {purged}")
    for run_id in purged:
        _check_left(history, run_id)
        if set(monitor.headers[run_id]) != _TOMBSTONE:
            raise Violation(f"the note of run {run_id} has {sorted(monitor.headers[run_id])}")
        try:
            history.simulation.complete(history.deployment.reader.get_run(NS, run_id))
        except NotFound:
            continue
        raise Violation(f"run {run_id} was purged, and is found")


def _check_left(history: History, run_id: str) -> None:
    monitor = history.simulation.monitor
    left = monitor.left_of(run_id)
    # Two requests under one key begin one run; what the second one would have been found by expires.
    header = read_header(monitor.purged[run_id])
    order, tags = keys.order(header.created_ms, run_id), (header.tags or {}).items()
    own = {f"{keys.tagged(NS, name, value)} {order}" for name, value in tags}
    left -= {name for name in left if "#tag#" in name and name not in own and monitor.expires(name)}
    if left - monitor.late[run_id]:
        raise Violation(f"run {run_id} was purged, and has left {sorted(left - monitor.late[run_id])}")
    if left and not _may_be_late(history, run_id):
        raise Violation(f"run {run_id} was purged, and {sorted(left)} came after that")
    if not all(monitor.expires(name) for name in left):
        raise Violation(f"run {run_id} was purged, and this came after that, for ever: {sorted(left)}")


def _may_be_late(history: History, run_id: str) -> bool:
    """Whether a worker may have been in the middle of a state when the run was purged."""
    ended = history.simulation.monitor.purged[run_id]["status"]
    troubled = not history.case.calm or history.simulation.monitor.redelivered or history.acted["duplicate"]
    return bool(troubled or history.acted["redrive"]) or ended in {"CANCELLED", "TIMED_OUT"}


# --- the audit log ----------------------------------------------------------------------------------------------------


def _check_audit(history: History) -> None:
    """Each request has one entry, made before anything was done, that says what was asked and how it ended."""
    log = history.simulation.monitor.audit()
    for request in history.operators.requests:
        entries = [
            one for one in log.pop(request.by, []) if request.action != "bulk" or one["action"] == "bulk"
        ]
        _check_entry(request, entries, calm=history.case.calm)
    if log:
        raise Violation(f"the audit log has entries of nobody: {sorted(log)}")


def _check_entry(request: Request, entries: list[Item], *, calm: bool) -> None:
    told = f"{request.by} {request.action} {request.run_id}: {request.result}, audited {entries}"
    unrecorded = request.result is None or request.retryable
    if len(entries) > 1 or (not entries and (calm or not unrecorded)):
        raise Violation(f"not one entry of a request: {told}")
    for entry in entries:
        if (entry["action"], entry.get("run")) != (request.action, request.run_id):
            raise Violation(f"an entry of something else: {told}")
        ended: Any = entry.get("result")
        if request.result is not None and ended != request.result and (calm or ended is not None):
            raise Violation(f"an entry that ended otherwise: {told}")
