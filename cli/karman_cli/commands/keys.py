"""`karman keys`: API keys of a namespace. On a database it needs no key, and so makes the first one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from karman_cli.operating import Session, operating

if TYPE_CHECKING:
    from karman_core.engine.access import IssuedKey, Scope

KeyId = Annotated[str, typer.Argument(metavar="KEY", help="The key's id, as `karman keys list` shows it.")]
Scopes = Annotated[
    list[str],
    typer.Option(
        "--scope",
        metavar="SCOPE",
        help="What it is for: admin, trigger, worker or read. Can be given several times.",
    ),
]
Overlap = Annotated[
    str,
    typer.Option(
        "--overlap", metavar="AGE", help="The secret before goes on for so long: 0s, 15m, 2h, at most 30d."
    ),
]


@operating
def list_keys(session: Session) -> None:
    """List the keys, oldest first. Their secrets are not kept, so they cannot be shown."""
    from karman_cli.output import note, print_document
    from karman_cli.run_texts import when
    from karman_cli.tables import print_table

    found = session.run(lambda connection: connection.keys())
    if session.as_json:
        print_document({"keys": found})
    elif not found:
        note("no keys")
    else:
        rows = [
            (each.id, each.name, ", ".join(each.scopes), when(each.created_ms), when(each.used_ms))
            for each in found
        ]
        print_table(("KEY", "NAME", "SCOPES", "CREATED", "LAST USED"), rows)


@operating
def create_key(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose it is or what it is for.")],
    *,
    scope: Scopes,
) -> None:
    """Make a key. It is printed this once."""
    scopes = _scopes(scope)
    issued = session.run(lambda connection: connection.issue_key(name, scopes))
    _print_issued(issued, as_json=session.as_json)


@operating
def rotate_key(session: Session, key: KeyId, *, overlap: Overlap = "1d") -> None:
    """Give a key another secret, printed this once; clients have the overlap to change."""
    from karman_cli.values import overlap_seconds

    seconds = overlap_seconds(overlap)
    issued = session.run(lambda connection: connection.rotate_key(key, seconds))
    _print_issued(issued, as_json=session.as_json)


@operating
def delete_key(session: Session, key: KeyId) -> None:
    """End a key. A server that has just seen it may believe it for another 15 seconds."""
    from karman_cli.output import note, print_document

    session.run(lambda connection: connection.revoke_key(key))
    if session.as_json:
        print_document({"id": key, "revoked": True})
    else:
        note(f"key {key} is revoked")


def _scopes(given: list[str]) -> list[Scope]:
    from karman_core.engine.access import Scope

    try:
        return [Scope(each.lower()) for each in given]
    except ValueError:
        known = ", ".join(Scope)
        raise typer.BadParameter(f"--scope is one of {known}, not {', '.join(given)}") from None


def _print_issued(issued: IssuedKey, *, as_json: bool) -> None:
    from karman_cli.output import note, print_document, print_text

    if as_json:
        print_document(issued)
        return
    note(f"key {issued.id} for {', '.join(issued.scopes)}; this is shown once:")
    print_text(issued.key)
