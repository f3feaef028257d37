"""`karman apply`: stores a graph, and says first how it differs from what is stored."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from karman._internal.texts import to_yaml
from karman_cli.output import note, print_text
from karman_cli.registering import put_valid
from karman_core.domain.definition import GraphDefinition
from karman_core.domain.errors import InvalidGraph, NotFound

if TYPE_CHECKING:
    from karman_core.engine import Engine
    from karman_core.engine.views import GraphView
    from karman_runtime.composition import Assembly


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be stored; `quiet` leaves saying so to the caller."""

    definition: GraphDefinition
    secrets: Mapping[str, str]
    dry_run: bool
    quiet: bool


@dataclass(frozen=True, slots=True)
class Applied:
    """What came of it.

    Attributes:
        version: the current one; None when there was none, and none was stored.
        changed: whether the definition differs from the one that was current.
        stored: False for a dry run.
        difference: lines of a unified diff; none where it does not differ.
    """

    graph: str
    version: int | None
    changed: bool
    stored: bool
    difference: tuple[str, ...]


async def apply_graph(assembly: Assembly, namespace: str, request: Request) -> Applied:
    """Show the difference, then store the graph.

    Raises:
        InvalidGraph: it cannot be stored; nothing was changed.
        InvalidInput: a secret has no value.
    """
    definition, engine = request.definition, assembly.engine
    problems = await engine.check_graph(namespace, definition)
    if problems:
        raise InvalidGraph(
            f"Graph '{definition.name}' is not valid here; nodes are made known by `karman dev`.", problems
        )
    before = await _stored(engine, namespace, definition.name)
    version = None if before is None else before.version
    lines = _difference(before, definition)
    if not request.quiet:
        _show(definition.name, version, lines)
    if not request.dry_run:
        view = await put_valid(assembly, namespace, definition, request.secrets)
        version = view.version
    if not request.quiet and lines:
        stored = f"graph '{definition.name}' is version {version} now"
        note("nothing was stored (--dry-run)" if request.dry_run else stored)
    return Applied(definition.name, version, bool(lines), not request.dry_run, lines)


async def _stored(engine: Engine, namespace: str, name: str) -> GraphView | None:
    try:
        return await engine.get_graph(namespace, name)
    except NotFound:
        return None


def _difference(before: GraphView | None, definition: GraphDefinition) -> tuple[str, ...]:
    name, version = definition.name, 0 if before is None else before.version
    old = [] if before is None else _text(before.definition)
    titles = (f"{name} v{version}", f"{name} v{version + 1}")
    return tuple(difflib.unified_diff(old, _text(definition), *titles, lineterm=""))


def _show(name: str, version: int | None, lines: tuple[str, ...]) -> None:
    if lines:
        print_text("\n".join(lines))
    else:
        note(f"graph '{name}' is as stored, version {version}")


def _text(definition: GraphDefinition) -> list[str]:
    return to_yaml(definition.model_dump(mode="json", exclude_defaults=True)).splitlines()
