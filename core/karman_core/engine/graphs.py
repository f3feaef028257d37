"""Graph versions: immutable once written, so what was compiled stays in memory."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import Any

from karman_core.domain.definition import JSON, GraphDefinition
from karman_core.domain.errors import ConditionFailed, Conflict, NotFound, PayloadTooLarge, Problem
from karman_core.domain.graph import Graph, compile_graph
from karman_core.domain.messages import ForeignMessage, Position
from karman_core.engine import keys
from karman_core.engine.paging import every
from karman_core.engine.payloads import dumps, pack, packed_size, unpack
from karman_core.engine.services import Services
from karman_core.engine.views import GraphView
from karman_core.ports.table import Absent, AllOf, AnyOf, Item, LessThan, Present, Query, Set

_CACHED = 256
_MAX_BYTES = 380_000


class GraphStore:
    """Reads and writes graph versions."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._compiled: OrderedDict[tuple[str, str, int], Graph] = OrderedDict()

    async def put(
        self,
        namespace: str,
        definition: GraphDefinition,
        problems: tuple[Problem, ...],
        *,
        after: int | None = None,
    ) -> GraphView:
        """Store a definition as the next version, unless it is what the current version says.

        Args:
            after: the version that the definition was made of; None for whichever there is.

        Raises:
            PayloadTooLarge: over 380 KB, compressed.
            Conflict: the current version is not `after`.
        """
        body = definition.model_dump(mode="json")
        digest = hashlib.sha256(dumps([body, [str(problem) for problem in problems]]).encode()).hexdigest()
        while True:
            head = await self._services.backend.table.get(keys.graph_head(namespace, definition.name))
            if after is not None and (head is None or head["version"] != after or "deleted" in head):
                raise Conflict(f"Graph '{definition.name}' was changed at the same time.")
            if head is not None and head["digest"] == digest and "deleted" not in head:
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
        if head is None or "deleted" in head:
            raise NotFound(f"There is no graph '{name}' in namespace '{namespace}'.")
        return await self._view(namespace, name, head["version"])

    async def bury(self, namespace: str, name: str) -> bool:
        """Put a tombstone in the place of the head, which keeps the version: a later one has another number.

        Versions stay, for the runs that are pinned to them.

        Returns:
            False when there was a tombstone before.

        Raises:
            NotFound: there never was such a graph.
        """
        try:
            actions = [Set("deleted", self._services.clock.now_ms())]
            there = AllOf((Present(), Absent("deleted")))
            await self._services.backend.table.update(keys.graph_head(namespace, name), actions, there)
        except ConditionFailed as lost:
            if lost.old is None:
                raise NotFound(f"There is no graph '{name}' in namespace '{namespace}'.") from lost
            return False
        return True

    async def version(self, namespace: str, name: str, version: int) -> GraphView:
        """One version. Raises NotFound."""
        return await self._view(namespace, name, version)

    async def names(self, namespace: str) -> list[str]:
        """Every graph of a namespace, by name."""
        query = Query(f"{namespace}#graphs")
        heads = every(self._services.backend.table, query)
        return [head["sk"] async for head in heads if "deleted" not in head]

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
