"""`karman backup`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from karman_cli.operating import Session, operating

if TYPE_CHECKING:
    from karman_cli.connections.connection import Connection
    from karman_core.backends.embedded.backup import Copied

Target = Annotated[
    Path, typer.Argument(metavar="FILE", dir_okay=False, help="Of the copy; its folder is made if missing.")
]


@operating
def backup(session: Session, file: Target) -> None:
    """Copy a database while others use it, with its large payloads and the key of its secrets, and look it through.

    The copy is a database file like any other. How to go back to it: docs/operate.md.
    """
    from karman_cli.output import note, print_document

    copied = session.run(lambda connection: _back_up(connection, file))
    if session.as_json:
        print_document(copied)
        return
    note(f"{copied.path}: {copied.size:,} bytes, {copied.payloads:,} large payloads with it")
    if copied.missing:
        note(f"warning: {copied.missing:,} payloads were not there; `karman doctor` says more")


async def _back_up(connection: Connection, file: Path) -> Copied:
    from karman_cli.connections.local import EngineConnection
    from karman_core.backends.embedded import EmbeddedBackend
    from karman_core.backends.embedded.backup import back_up
    from karman_core.domain.errors import InvalidRequest

    backend = connection.assembly.backend if isinstance(connection, EngineConnection) else None
    if not isinstance(backend, EmbeddedBackend):
        raise InvalidRequest(
            "Only database files are copied like this: name one with --db FILE. A deployment's table has its own "
            "backups; see docs/operate.md."
        )
    return back_up(backend.database, file)
