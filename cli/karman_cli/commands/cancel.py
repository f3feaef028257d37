"""`karman cancel`."""

from __future__ import annotations

from karman_cli.operating import Selection, Session, operating


@operating
def cancel(session: Session, selection: Selection) -> int:
    """End a run as CANCELLED. Nodes that are running may finish; nothing follows them.

    With --all it is done to all runs that pass the filters, and are in a status that it can change.
    """
    from karman_cli.selecting import operate

    return operate(session, selection, "cancel", lambda connection, run: connection.cancel(run))
