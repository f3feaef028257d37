"""`karman redrive-dead-letters`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from karman_cli import options
from karman_cli.operating import Session, operating

if TYPE_CHECKING:
    from karman_cli.connections.connection import Connection

Runtime = Annotated[
    str | None,
    typer.Argument(metavar="QUEUE", help="RUNTIME of the namespace, or NAMESPACE/RUNTIME; or --all."),
]
Everything = Annotated[bool, typer.Option("--all", help="Of all queues of the deployment.")]


@operating
def redrive_dead_letters(
    session: Session, queue: Runtime = None, *, everything: Everything = False, yes: options.Yes = False
) -> int | None:
    """Send dead letters of a deployment back to the task queue that they died on, with AWS credentials.

    For when their cause is mended and the function of dead letters has not taken them; see docs/operate.md.
    """
    from karman_cli.confirming import confirmed
    from karman_cli.output import note, print_document

    if (queue is None) is not everything:
        raise typer.BadParameter("name a QUEUE, or give --all; not both")
    what = "all queues of the deployment" if queue is None else f"'{queue}'"
    if not confirmed(f"Send the dead letters of {what} back?", yes=yes, as_json=session.as_json):
        return None
    sent = session.run(lambda connection: _send_back(connection, queue))
    if session.as_json:
        print_document({"sent": sent})
    else:
        for name, count in sent.items():
            note(f"{name}: sent {count:,} back")
    return None


async def _send_back(connection: Connection, queue: str | None) -> dict[str, int]:
    from karman_cli.connections.local import EngineConnection
    from karman_core.domain.errors import InvalidRequest

    backend = connection.assembly.backend if isinstance(connection, EngineConnection) else None
    clients = getattr(backend, "clients", None)
    if clients is None:
        raise InvalidRequest(
            "Only a deployment has dead-letter queues: set KARMAN_BACKEND=aws and its like, which `karman deploy` "
            "writes to .karman/STAGE.env."
        )
    from karman_core.backends.aws.redriving import send_back

    if queue is not None and "/" not in queue:
        queue = f"{connection.place.namespace}/{queue}"
    return await send_back(clients, queue)
