"""`karman redrive`."""

from __future__ import annotations

from karman_cli import options
from karman_cli.operating import Session, operating


@operating
def redrive(session: Session, run: options.RunId) -> None:
    """Send again all that a run waits for, from its table alone: for a run whose queue was lost.

    It does no harm to the run, but a node that is running may run once more.
    """
    from karman_cli.output import note, print_document

    sent = session.run(lambda connection: connection.redrive(run))
    if session.as_json:
        print_document({"run_id": run, "sent": sent})
    else:
        note(f"sent {sent:,} {'message' if sent == 1 else 'messages'} of run {run} again")
