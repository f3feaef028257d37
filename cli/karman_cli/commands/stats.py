"""`karman stats`."""

from __future__ import annotations

from karman_cli import options
from karman_cli.operating import Session, operating


@operating
def stats(
    session: Session,
    *,
    graph: options.GraphFilter = None,
    since: options.Since = None,
    until: options.Until = None,
) -> None:
    """Count runs by status, with how long they took, what they did, and where they failed."""
    from karman_cli.filters import run_filter
    from karman_cli.output import print_document
    from karman_cli.statistics import print_statistics

    wanted = run_filter(graph, since=since, until=until)
    found = session.run(lambda connection: connection.statistics(wanted))
    if session.as_json:
        print_document(found)
    else:
        print_statistics(found)
