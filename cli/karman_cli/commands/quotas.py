"""`karman quotas`: what all runs of a namespace may take together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from karman_cli.operating import Session, operating

if TYPE_CHECKING:
    from karman_cli.connections.connection import Connection
    from karman_core.domain.definition import JSON
    from karman_core.domain.quotas import NamespaceQuotas

_NONE = "none"


@operating
def show_quotas(session: Session) -> None:
    """Show what the runs of the namespace may take together."""
    _print(session.run(lambda connection: connection.quotas()), as_json=session.as_json)


@operating
def set_quotas(
    session: Session,
    *,
    concurrent_runs: Annotated[
        str | None,
        typer.Option("--concurrent-runs", metavar="N", help="So many runs go on at a time; none: no limit."),
    ] = None,
    states_per_second: Annotated[
        str | None,
        typer.Option(
            "--states-per-second", metavar="N", help="So many states begin a second; none: no limit."
        ),
    ] = None,
    payload_bytes: Annotated[
        str | None,
        typer.Option("--payload-bytes", metavar="N", help="Of the largest payload, as JSON; none: no limit."),
    ] = None,
) -> None:
    """Change quotas; those that are not named stay. On a server it takes its own admin key, not a namespace's."""
    given = {
        "concurrent_runs": concurrent_runs,
        "states_per_second": states_per_second,
        "payload_bytes": payload_bytes,
    }
    changes = {name: _value(name, text) for name, text in given.items() if text is not None}
    if not changes:
        raise typer.BadParameter("name at least one quota, such as --states-per-second 100")
    _print(session.run(lambda connection: _change(connection, changes)), as_json=session.as_json)


async def _change(connection: Connection, changes: dict[str, JSON]) -> NamespaceQuotas:
    from karman_core.domain.quotas import quotas_of

    before = await connection.quotas()
    return await connection.set_quotas(quotas_of({**before.as_json(), **changes}))


def _value(name: str, text: str) -> JSON:
    """A number, or None for no limit; whether it can be one of this quota is said by `quotas_of`."""
    if text.lower() == _NONE:
        return None
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        option = f"--{name.replace('_', '-')}"
        raise typer.BadParameter(f"{option} is a number, or 'none' for no limit, not '{text}'") from None


def _print(quotas: NamespaceQuotas, *, as_json: bool) -> None:
    from karman_cli.output import print_document
    from karman_cli.tables import print_table

    if as_json:
        print_document(quotas)
        return
    rows = [(name, _NONE if value is None else f"{value:,}") for name, value in quotas.as_json().items()]
    print_table(("QUOTA", "LIMIT"), rows)
