"""`karman pause`."""

from __future__ import annotations

from karman_cli.operating import Selection, Session, operating


@operating
def pause(session: Session, selection: Selection) -> int:
    """Begin no further nodes of a run, until it is resumed.

    With --all it is done to all runs that pass the filters, and are in a status that it can change.
    """
    from karman_cli.selecting import operate

    return operate(session, selection, "pause", lambda connection, run: connection.pause(run))
