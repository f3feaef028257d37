"""Registered nodes for the tests of validation."""

from __future__ import annotations

from typing import Any

from karman_core.domain.definition import RegisteredNode
from karman_core.domain.registered import NodeKey

TEXT, WHOLE = {"type": "string"}, {"type": "integer"}


def record(*optional: str, **properties: Any) -> dict[str, Any]:
    """The schema of an object, as pydantic writes it; all properties are required but those named."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required}


def registered(*nodes: RegisteredNode) -> dict[NodeKey, RegisteredNode]:
    """Nodes of the graph's own namespace."""
    return {(None, found.name): found for found in nodes}


def registered_node(name: str, inputs: Any = None, outputs: Any = None, **fields: Any) -> RegisteredNode:
    """A node with these schemas; without one it takes or gives anything."""
    schemas = {"inputs_schema": inputs, "outputs_schema": outputs}
    given = {key: schema for key, schema in schemas.items() if schema is not None}
    return RegisteredNode(name=name, runtime="runtime", **given, **fields)
