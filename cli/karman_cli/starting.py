"""What is told of a run that a command began."""

from __future__ import annotations

from typing import TYPE_CHECKING

from karman_cli.output import note, print_document, print_text

if TYPE_CHECKING:
    from karman_cli.connections.connection import Connection
    from karman_cli.operating import Session
    from karman_core.engine.views import Started


async def tell_started(connection: Connection, session: Session, started: Started, *, wait: bool) -> int:
    """Print the run's id, or follow the run to its end; gives the exit code."""
    if wait:
        from karman_cli.following import follow_to_end

        if not session.as_json:
            note(f"run {started.run_id}")
        return await follow_to_end(
            connection, started.run_id, as_json=session.as_json, traceback=session.traceback
        )
    if session.as_json:
        print_document(started)
    else:
        print_text(started.run_id)
    return 0
