"""`karman show`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from karman_cli import options
from karman_cli.operating import Session, operating

if TYPE_CHECKING:
    from karman_cli.connections.connection import Connection
    from karman_cli.state_tree import Line
    from karman_core.engine.views import RunView, StateView

LISTED = 500
"""States that `--json` lists without `--all`."""


@operating
def show(
    session: Session,
    run: options.RunId,
    *,
    everything: Annotated[
        bool, typer.Option("--all", help="List every state of wide groups, and every attempt.")
    ] = False,
) -> None:
    """Show a run: its header, and its states with attempts, errors and times."""
    from karman_cli.output import print_document
    from karman_cli.showing import print_header, print_lines

    if session.as_json:
        print_document(session.run(lambda connection: _document(connection, run, everything=everything)))
        return
    view, lines = session.run(lambda connection: _read(connection, run, everything=everything))
    print_header(view)
    print_lines(lines, everything=everything, traceback=session.traceback)


async def _read(connection: Connection, run_id: str, *, everything: bool) -> tuple[RunView, list[Line]]:
    from karman_cli.state_tree import StateTree

    view = await connection.run(run_id)
    tree = StateTree(everything=everything)
    async for state in connection.states(run_id):
        tree.add(state)
    return view, list(tree.lines())


async def _document(connection: Connection, run_id: str, *, everything: bool) -> dict[str, object]:
    """The run, and its first states; all of them with `--all`."""
    view = await connection.run(run_id)
    states: list[StateView] = []
    async for state in connection.states(run_id):
        states.append(state)
        if not everything and len(states) == LISTED:
            break
    return {"run": view, "states": states}
