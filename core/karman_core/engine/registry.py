"""Registered nodes: who runs what. Believed for some seconds, because they change when a runtime is deployed."""

from __future__ import annotations

from collections.abc import Sequence

from karman_core.domain.definition import RegisteredNode
from karman_core.domain.errors import InvalidInput, NotFound, Problem
from karman_core.domain.schema_values import check_schema
from karman_core.engine import keys
from karman_core.engine.paging import every
from karman_core.engine.payloads import dumps, pack, unpack
from karman_core.engine.services import Services
from karman_core.ports.table import Item, Key, Query

MAX_SCHEMA_BYTES = 65_536
"""Of one JSON Schema, as text."""


class NodeRegistry:
    """Reads and writes registered nodes."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._known: dict[Key, tuple[int, RegisteredNode]] = {}

    async def put(self, namespace: str, nodes: Sequence[RegisteredNode]) -> None:
        """Make or replace nodes; the last registration of a name wins.

        Raises:
            InvalidInput: a schema that is none, or too large to be checked against.
            InvalidRequest: the runtime has no task queue, and cannot be given one. Nothing is registered either way.
        """
        problems = [problem for node in nodes for problem in _schema_problems(node)]
        if problems:
            raise InvalidInput("Some nodes have schemas that cannot be used.", problems)
        items = []
        for node in nodes:
            key = keys.node(namespace, node.name)
            items.append({"pk": key.pk, "sk": key.sk, "node": pack(node.model_dump(mode="json"))})
            self._known.pop(key, None)
        # Queues first: work of a node that is known is sent to one.
        for queue in sorted({queue_name(namespace, node.runtime) for node in nodes}):
            await self._services.backend.queue.create(queue)
        await self._services.backend.table.batch_write(items)

    async def list(self, namespace: str) -> list[RegisteredNode]:
        """Every node of a namespace, by name."""
        query = Query(f"{namespace}#nodes")
        return [_read(item) async for item in every(self._services.backend.table, query)]

    async def get(self, namespace: str, name: str) -> RegisteredNode:
        """One node, from the cache while it is fresh.

        Raises:
            NotFound: nobody has registered it.
        """
        node = await self.find(namespace, name)
        if node is None:
            raise NotFound(
                f"Node '{name}' is not registered in namespace '{namespace}'; start a runtime that has it."
            )
        return node

    async def find(self, namespace: str, name: str) -> RegisteredNode | None:
        """One node, from the cache while it is fresh; None when nobody has registered it."""
        key, now = keys.node(namespace, name), self._services.clock.now_ms()
        until, node = self._known.get(key, (0, None))
        if node is not None and now < until:
            return node
        item = await self._services.backend.table.get(key)
        if item is None:
            return None
        node = _read(item)
        self._known[key] = (now + int(self._services.settings.node_cache_seconds * 1000), node)
        return node


def _schema_problems(node: RegisteredNode) -> list[Problem]:
    problems = []
    for field, schema in {"inputs_schema": node.inputs_schema, "outputs_schema": node.outputs_schema}.items():
        place = f"{node.name}.{field}"
        size = len(dumps(schema))
        if size > MAX_SCHEMA_BYTES:
            problems.append(
                Problem(
                    place,
                    "schema_too_large",
                    f"It has {size:,} characters; the limit is {MAX_SCHEMA_BYTES:,}.",
                )
            )
            continue
        problems += [Problem(place, found.code, found.message) for found in check_schema(schema)]
    return problems


def queue_name(namespace: str, runtime: str) -> str:
    """The task queue of a runtime."""
    return f"{namespace}/{runtime}"


def namespace_of(queue: str) -> str:
    """The namespace whose nodes a task queue's workers run."""
    return queue.partition("/")[0]


def _read(item: Item) -> RegisteredNode:
    return RegisteredNode.model_validate(unpack(item["node"]))
