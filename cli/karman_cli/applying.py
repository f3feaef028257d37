"""`karman apply`: how a graph differs from what is stored."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from karman._internal.texts import to_yaml
from karman_core.domain.definition import GraphDefinition
from karman_core.domain.errors import InvalidGraph, NotFound

if TYPE_CHECKING:
    from karman_core.engine import Engine
    from karman_core.engine.views import GraphView


@dataclass(frozen=True, slots=True)
class Difference:
    """Between the stored version (None: there is none) and the one to store; no lines where they are the same."""

    stored: int | None
    lines: tuple[str, ...]


async def difference(engine: Engine, namespace: str, definition: GraphDefinition) -> Difference:
    """How a definition differs from the graph's current version. Raises InvalidGraph: it could not be stored."""
    problems = await engine.check_graph(namespace, definition)
    if problems:
        raise InvalidGraph(
            f"Graph '{definition.name}' is not valid here; nodes are made known by `karman dev`.", problems
        )
    stored = await _stored(engine, namespace, definition.name)
    before = [] if stored is None else _text(stored.definition)
    name = definition.name
    version = 0 if stored is None else stored.version
    lines = difflib.unified_diff(
        before, _text(definition), f"{name} v{version}", f"{name} v{version + 1}", lineterm=""
    )
    return Difference(stored.version if stored is not None else None, tuple(lines))


async def _stored(engine: Engine, namespace: str, name: str) -> GraphView | None:
    try:
        return await engine.get_graph(namespace, name)
    except NotFound:
        return None


def _text(definition: GraphDefinition) -> list[str]:
    return to_yaml(definition.model_dump(mode="json", exclude_defaults=True)).splitlines()
