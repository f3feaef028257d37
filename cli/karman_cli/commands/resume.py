"""`karman resume`."""

from __future__ import annotations

from karman_cli.operating import Selection, Session, operating


@operating
def resume(session: Session, selection: Selection) -> int:
    """Go on with a paused run.

    With --all it is done to all runs that pass the filters, and are in a status that it can change.
    """
    from karman_cli.selecting import operate

    return operate(session, selection, "resume", lambda connection, run: connection.resume(run))
