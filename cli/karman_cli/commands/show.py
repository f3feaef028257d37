"""`karman show`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated

import typer

from karman_cli import options

if TYPE_CHECKING:
    from karman_cli.state_tree import Line
    from karman_core.engine import Engine
    from karman_core.engine.views import RunView, StateView

PAGE = 500


def show(
    run: options.RunId,
    *,
    everything: Annotated[
        bool, typer.Option("--all", help="List every state of wide groups, and every attempt.")
    ] = False,
    db: options.Db = None,
    namespace: options.Namespace = None,
    as_json: options.Json = False,
    traceback: options.Traceback = False,
) -> None:
    """Show a run: its header, and its states with attempts, errors and times."""
    from karman_cli.session import with_engine
    from karman_cli.showing import print_header, print_lines

    if as_json:
        with_engine(db, namespace, lambda engine, name: _print_json(engine, name, run, everything=everything))
        return
    view, lines = with_engine(
        db, namespace, lambda engine, name: _read(engine, name, run, everything=everything)
    )
    print_header(view)
    print_lines(lines, everything=everything, traceback=traceback)


async def _read(
    engine: Engine, namespace: str, run_id: str, *, everything: bool
) -> tuple[RunView, list[Line]]:
    from karman_cli.state_tree import StateTree

    view = await engine.get_run(namespace, run_id)
    tree = StateTree(everything=everything)
    async for state in _states(engine, namespace, run_id):
        tree.add(state)
    return view, list(tree.lines())


async def _print_json(engine: Engine, namespace: str, run_id: str, *, everything: bool) -> None:
    """The run, and its first page of states; all of them with `--all`."""
    from karman_cli.output import print_document

    view = await engine.get_run(namespace, run_id)
    states: list[StateView] = []
    async for state in _states(engine, namespace, run_id):
        if not everything and len(states) == PAGE:
            break
        states.append(state)
    print_document({"run": view, "states": states})


async def _states(engine: Engine, namespace: str, run_id: str) -> AsyncIterator[StateView]:
    cursor = None
    while True:
        page = await engine.list_states(namespace, run_id, cursor=cursor, limit=PAGE)
        for state in page.states:
            yield state
        cursor = page.cursor
        if cursor is None:
            return
