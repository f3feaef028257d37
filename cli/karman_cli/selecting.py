"""Commands that do the same with one run, or with all that pass filters."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from karman_cli.confirming import confirmed
from karman_cli.exit_codes import ExitCode
from karman_cli.filters import run_filter
from karman_cli.output import note, print_document, print_text
from karman_cli.tables import print_run, print_table

if TYPE_CHECKING:
    from karman_cli.connections.connection import Connection
    from karman_cli.operating import Selection, Session
    from karman_core.engine.listing import RunFilter
    from karman_core.engine.views import Refusal, RunView

DONE = {"cancel": "cancelled", "pause": "paused", "resume": "resumed", "retry": "retried", "purge": "purged"}

Operation = Callable[["Connection", str], Awaitable["RunView"]]


def operate(session: Session, selection: Selection, action: str, one: Operation) -> ExitCode:
    """Do it, with one run as `one` says, or with many. Raises BadParameter."""
    run_id = selection.one()
    if run_id is None:
        return operate_all(session, selection, action)
    print_run(session.run(lambda connection: one(connection, run_id)), as_json=session.as_json)
    return ExitCode.OK


def operate_all(session: Session, selection: Selection, action: str) -> ExitCode:
    """Do it with all runs that pass the filters, after asking. Raises BadParameter."""
    wanted = run_filter(selection.graph, selection.status, selection.since, selection.until, selection.tag)
    return session.run(lambda connection: _operate_all(connection, session, selection, action, wanted))


async def _operate_all(
    connection: Connection, session: Session, selection: Selection, action: str, wanted: RunFilter
) -> ExitCode:
    found: list[str] = []
    if selection.dry_run or not selection.yes:
        async for page in connection.bulk(action, wanted, dry_run=True):
            found += page.done
        if selection.dry_run or not found:
            _tell(session, action, found, [], dry_run=selection.dry_run)
            return ExitCode.OK
        question = f"{action.capitalize()} {_runs(len(found))} on {connection.place}?"
        if not confirmed(question, yes=False, as_json=session.as_json):
            note("nothing was done")
            return ExitCode.UNUSABLE
    done: list[str] = []
    refused: list[Refusal] = []
    async for page in connection.bulk(action, wanted, dry_run=False):
        done += page.done
        refused += page.refused
    _tell(session, action, done, refused, dry_run=False)
    return ExitCode.FAILED if refused else ExitCode.OK


def _tell(session: Session, action: str, runs: list[str], refused: list[Refusal], *, dry_run: bool) -> None:
    if session.as_json:
        print_document({"action": action, "dry_run": dry_run, "runs": runs, "refused": refused})
        return
    if dry_run:
        note(f"{_runs(len(runs))} would be {DONE[action]} (--dry-run)")
    else:
        note(f"{_runs(len(runs))} {DONE[action]}")
    if runs:
        print_text("\n".join(runs))
    if refused:
        note(f"{_runs(len(refused))} refused:")
        print_table(("RUN", "WHY"), [(each.run_id, each.message) for each in refused])


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count:,} runs"
