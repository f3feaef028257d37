"""Graph versions: immutable once written, so what was compiled stays in memory."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import Any

from karman_core.domain.definition import JSON, GraphDefinition
from karman_core.domain.errors import ConditionFailed, NotFound, PayloadTooLarge, Problem
from karman_core.domain.graph import Graph, compile_graph
from karman_core.domain.messages import ForeignMessage, Position
from karman_core.engine import keys
from karman_core.engine.paging import every
from karman_core.engine.payloads import dumps, pack, packed_size, unpack
from karman_core.engine.services import Services
from karman_core.engine.views import GraphView
from karman_core.ports.table import Absent, AnyOf, Item, LessThan, Query

_CACHED = 256
_MAX_BYTES = 380_000


class GraphStore:
    """Reads and writes graph versions."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._compiled: OrderedDict[tuple[str, str, int], Graph] = OrderedDict()

    async def put(
        self, namespace: str, definition: GraphDefinition, problems: tuple[Problem, ...]
    ) -> GraphView:
        """Store a definition as the next version, unless it is what the current version says.

        Raises:
            PayloadTooLarge: over 380 KB, compressed.
        """
        body = definition.model_dump(mode="json")
        digest = hashlib.sha256(dumps([body, [str(problem) for problem in problems]]).encode()).hexdigest()
        while True:
            head = await self._services.backend.table.get(keys.graph_head(namespace, definition.name))
            if head is not None and head["digest"] == digest:
                return await self._view(namespace, definition.name, head["version"], changed=False)
            version = head["version"] + 1 if head else 1
            item = self._version_item(namespace, definition.name, version, body, problems) | {
                "digest": digest
            }
            try:
                await self._services.backend.table.put(item, Absent())
            except ConditionFailed as lost:
                # Whoever wrote this version may have died before the head moved: move it for them, then look again.
                await self._move_head(namespace, definition.name, version, (lost.old or item)["digest"])
                continue
            await self._move_head(namespace, definition.name, version, digest)
            return _view(namespace, item)

    def _version_item(
        self, namespace: str, name: str, version: int, body: JSON, problems: tuple[Problem, ...]
    ) -> dict[str, Any]:
        packed = pack(body)
        if packed_size(packed) > _MAX_BYTES:
            raise PayloadTooLarge(
                f"Graph '{name}' takes {packed_size(packed):,} bytes compressed; the limit is {_MAX_BYTES:,}."
            )
        key = keys.graph_version(namespace, name, version)
        return {
            "pk": key.pk,
            "sk": key.sk,
            "name": name,
            "version": version,
            "definition": packed,
            "problems": [[problem.path, problem.code, problem.message] for problem in problems],
            "created": self._services.clock.now_ms(),
        }

    async def _move_head(self, namespace: str, name: str, version: int, digest: str) -> None:
        key = keys.graph_head(namespace, name)
        item = {"pk": key.pk, "sk": key.sk, "version": version, "digest": digest}
        try:
            await self._services.backend.table.put(item, AnyOf((Absent(), LessThan("version", version))))
        except ConditionFailed:
            return

    async def current(self, namespace: str, name: str) -> GraphView:
        """The current version.

        Raises:
            NotFound: no graph of that name.
        """
        head = await self._services.backend.table.get(keys.graph_head(namespace, name))
        if head is None:
            raise NotFound(f"There is no graph '{name}' in namespace '{namespace}'.")
        return await self._view(namespace, name, head["version"])

    async def version(self, namespace: str, name: str, version: int) -> GraphView:
        """One version. Raises NotFound."""
        return await self._view(namespace, name, version)

    async def names(self, namespace: str) -> list[str]:
        """Every graph of a namespace, by name."""
        query = Query(f"{namespace}#graphs")
        return [item["sk"] async for item in every(self._services.backend.table, query)]

    async def compiled(self, namespace: str, name: str, version: int) -> Graph:
        """A valid version, compiled; from memory when it was used before."""
        key = (namespace, name, version)
        graph = self._compiled.get(key)
        if graph is None:
            view = await self._view(namespace, name, version)
            graph = self._compiled[key] = compile_graph(view.definition)
            while len(self._compiled) > _CACHED:
                self._compiled.popitem(last=False)
        self._compiled.move_to_end(key)
        return graph

    async def at(self, position: Position) -> Graph:
        """The graph that a position is in. Raises ForeignMessage when it has no such place."""
        run = position.run
        graph = await self.compiled(run.namespace, run.graph, run.version)
        if position.identifier not in graph.instances:
            raise ForeignMessage(f"graph '{run.graph}' has no node '{position.identifier}'")
        return graph

    async def _view(self, namespace: str, name: str, version: int, *, changed: bool = True) -> GraphView:
        item = await self._services.backend.table.get(keys.graph_version(namespace, name, version))
        if item is None:
            raise NotFound(f"Graph '{name}' in namespace '{namespace}' has no version {version}.")
        return _view(namespace, item, changed=changed)


def _view(namespace: str, item: Item, *, changed: bool = True) -> GraphView:
    problems = tuple(Problem(*problem) for problem in item["problems"])
    return GraphView(
        namespace=namespace,
        name=item["name"],
        version=item["version"],
        valid=not problems,
        definition=GraphDefinition.model_validate(unpack(item["definition"])),
        problems=problems,
        created_ms=item["created"],
        changed=changed,
    )
