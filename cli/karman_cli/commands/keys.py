"""`karman keys`: API keys of a namespace, on the database itself, so that it needs no key to make the first one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from karman_cli import options

if TYPE_CHECKING:
    from karman_core.engine.access import AccessKeys, IssuedKey, Scope

T = TypeVar("T")

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


def list_keys(
    *,
    db: options.Db = None,
    namespace: options.Namespace = None,
    as_json: options.Json = False,
    traceback: options.Traceback = False,  # noqa: ARG001  read by the command group
) -> None:
    """List the keys, oldest first. Their secrets are not kept, so they cannot be shown."""
    from karman_cli.output import note, print_document
    from karman_cli.run_texts import when
    from karman_cli.tables import print_table

    found = _with_keys(db, namespace, lambda keys, name: keys.list(name))
    if as_json:
        print_document({"keys": found})
    elif not found:
        note("no keys")
    else:
        rows = [
            (each.id, each.name, ", ".join(each.scopes), when(each.created_ms), when(each.used_ms))
            for each in found
        ]
        print_table(("KEY", "NAME", "SCOPES", "CREATED", "LAST USED"), rows)


def create_key(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose it is or what it is for.")],
    *,
    scope: Scopes,
    db: options.Db = None,
    namespace: options.Namespace = None,
    as_json: options.Json = False,
    traceback: options.Traceback = False,  # noqa: ARG001  read by the command group
) -> None:
    """Make a key. It is printed this once."""
    scopes = _scopes(scope)
    _print_issued(_with_keys(db, namespace, lambda keys, own: keys.issue(own, name, scopes)), as_json=as_json)


def rotate_key(
    key: KeyId,
    *,
    overlap: Overlap = "1d",
    db: options.Db = None,
    namespace: options.Namespace = None,
    as_json: options.Json = False,
    traceback: options.Traceback = False,  # noqa: ARG001  read by the command group
) -> None:
    """Give a key another secret, printed this once; clients have the overlap to change."""
    from karman_cli.values import duration_seconds
    from karman_core.engine.access import MAX_OVERLAP_SECONDS

    seconds = duration_seconds(overlap, "--overlap")
    if seconds > MAX_OVERLAP_SECONDS:
        raise typer.BadParameter("--overlap is at most 30d")
    issued = _with_keys(db, namespace, lambda keys, own: keys.rotate(own, key, overlap_seconds=seconds))
    _print_issued(issued, as_json=as_json)


def revoke_key(
    key: KeyId,
    *,
    db: options.Db = None,
    namespace: options.Namespace = None,
    as_json: options.Json = False,
    traceback: options.Traceback = False,  # noqa: ARG001  read by the command group
) -> None:
    """End a key. A server that has just seen it may believe it for another 15 seconds."""
    from karman_cli.output import note, print_document

    _with_keys(db, namespace, lambda keys, own: keys.revoke(own, key))
    if as_json:
        print_document({"id": key, "revoked": True})
    else:
        note(f"key {key} is revoked")


def _with_keys(
    db: Path | None, namespace: str | None, action: Callable[[AccessKeys, str], Awaitable[T]]
) -> T:
    from karman_cli.session import with_assembly
    from karman_core.engine.access import AccessKeys

    return with_assembly(
        db,
        namespace,
        lambda assembly, name: action(
            AccessKeys(assembly.backend.table, assembly.clock, assembly.entropy), name
        ),
    )


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
