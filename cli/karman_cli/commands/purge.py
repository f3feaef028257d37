"""`karman purge`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from karman_cli.operating import Selection, Session, operating

if TYPE_CHECKING:
    from karman_cli.connections.connection import Connection
    from karman_cli.exit_codes import ExitCode


@operating
def purge(session: Session, selection: Selection) -> int:
    """Delete a run that has ended, with all that is kept of it, after asking. It cannot be brought back.

    With --all it is done to all runs that pass the filters and have ended. A run whose states another run reuses is
    refused until that one is purged.
    """
    from karman_cli.selecting import operate_all

    run = selection.one()
    if run is None:
        return operate_all(session, selection, "purge")
    return session.run(lambda connection: _purge(connection, session, run, yes=selection.yes))


async def _purge(connection: Connection, session: Session, run: str, *, yes: bool) -> ExitCode:
    from karman_cli.confirming import confirmed
    from karman_cli.exit_codes import ExitCode
    from karman_cli.output import note, print_document

    if not confirmed(f"Purge run {run} on {connection.place}?", yes=yes, as_json=session.as_json):
        note("nothing was done")
        return ExitCode.UNUSABLE
    done = await connection.purge(run)
    if session.as_json:
        print_document(done)
    else:
        note(f"run {run} is purged" + ("" if done.complete else "; workers delete the rest of it"))
    return ExitCode.OK
