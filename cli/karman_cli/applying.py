"""`karman apply`: stores a graph, and says first how it differs from what is stored."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from karman._internal.texts import to_yaml
from karman_cli.confirming import confirmed
from karman_cli.output import note, print_text
from karman_cli.registering import without_values
from karman_core.domain.definition import GraphDefinition
from karman_core.domain.errors import InvalidGraph, NotFound

if TYPE_CHECKING:
    from karman_cli.connections.connection import Connection
    from karman_core.engine.views import GraphView

STYLES = {"+": "green", "-": "red", "@": "cyan"}


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be stored; `as_json` leaves saying so to the caller."""

    definition: GraphDefinition
    secrets: Mapping[str, str]
    dry_run: bool
    yes: bool
    as_json: bool


@dataclass(frozen=True, slots=True)
class Applied:
    """What came of it.

    Attributes:
        version: the current one; None when there was none, and none was stored.
        changed: whether the definition differs from the one that was current.
        stored: False for a dry run, and when the user did not want it.
        difference: lines of a unified diff; none where it does not differ.
    """

    graph: str
    version: int | None
    changed: bool
    stored: bool
    difference: tuple[str, ...]


async def apply_graph(connection: Connection, request: Request) -> Applied:
    """Show the difference, ask, then store the graph.

    Raises:
        InvalidGraph: it cannot be stored; nothing was changed.
        InvalidInput: a secret has no value.
        BadParameter: there is nobody to ask.
    """
    definition = request.definition
    before = await _checked(connection, request)
    version = None if before is None else before.version
    lines = _difference(before, definition)
    if not request.as_json:
        _show(definition.name, version, lines)
    changes = bool(lines or request.secrets)
    if request.dry_run or not changes or not _wanted(connection, request):
        if changes and not request.as_json:
            note("nothing was stored (--dry-run)" if request.dry_run else "nothing was stored")
        return Applied(definition.name, version, bool(lines), stored=False, difference=lines)
    view = await connection.put_graph(definition, request.secrets)
    if not request.as_json:
        note(f"graph '{definition.name}' is version {view.version} now")
    return Applied(definition.name, view.version, bool(lines), stored=True, difference=lines)


async def _checked(connection: Connection, request: Request) -> GraphView | None:
    """The stored version, if there is one. Raises what speaks against storing this one."""
    definition = request.definition
    problems = await connection.check_graph(definition)
    if problems:
        raise InvalidGraph(
            f"Graph '{definition.name}' is not valid here; nodes are made known by `karman dev`.", problems
        )
    missing = await connection.secrets_missing(definition, request.secrets)
    if missing:
        raise without_values(definition.name, missing)
    try:
        return await connection.graph(definition.name)
    except NotFound:
        return None


def _wanted(connection: Connection, request: Request) -> bool:
    question = f"Store this as graph '{request.definition.name}' on {connection.place}?"
    return confirmed(question, yes=request.yes, as_json=request.as_json)


def _difference(before: GraphView | None, definition: GraphDefinition) -> tuple[str, ...]:
    name, version = definition.name, 0 if before is None else before.version
    old = [] if before is None else _text(before.definition)
    titles = (f"{name} v{version}", f"{name} v{version + 1}")
    return tuple(difflib.unified_diff(old, _text(definition), *titles, lineterm=""))


def _show(name: str, version: int | None, lines: tuple[str, ...]) -> None:
    if not lines:
        note(f"graph '{name}' is as stored, version {version}")
    elif sys.stdout.isatty():
        _print_coloured(lines)
    else:
        print_text("\n".join(lines))


def _print_coloured(lines: tuple[str, ...]) -> None:
    from rich.text import Text

    from karman_cli.tables import stdout_console

    console = stdout_console()
    for line in lines:
        console.print(Text(line, STYLES.get(line[:1], "")), soft_wrap=True)


def _text(definition: GraphDefinition) -> list[str]:
    return to_yaml(definition.model_dump(mode="json", exclude_defaults=True)).splitlines()
