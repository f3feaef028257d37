"""Registered nodes."""

from __future__ import annotations

from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Body

from karman_core.domain.definition import RegisteredNode
from karman_core.domain.errors import InvalidRequest, NotFound, Problem
from karman_core.domain.schema_values import check_schema
from karman_core.engine.access import Scope
from karman_core.engine.views import Registration
from karman_functions.api.context import engine
from karman_functions.api.models import Nodes, NodesToRegister
from karman_functions.api.parameters import Namespace, NodeName
from karman_functions.api.routing import Resource

resource = Resource("nodes")


@resource.route("PUT", "/nodes", Scope.WORKER)
async def register_nodes(namespace: Namespace, body: Annotated[NodesToRegister, Body()]) -> Registration:
    """Make or replace the nodes that a runtime runs; tells which graphs no longer fit them."""
    _check_schemas(body)
    nodes = [RegisteredNode(runtime=body.runtime, **node.model_dump()) for node in body.nodes]
    return await engine().register_nodes(namespace, nodes)


@resource.route("GET", "/nodes", Scope.READ)
async def list_nodes(namespace: Namespace) -> Nodes:
    """The registered nodes, by name."""
    return Nodes(tuple(await engine().list_nodes(namespace)))


@resource.route("GET", "/nodes/<name>", Scope.READ)
async def get_node(namespace: Namespace, name: NodeName) -> RegisteredNode:
    """One registered node."""
    for node in await engine().list_nodes(namespace):
        if node.name == name:
            return node
    raise NotFound(f"Node '{name}' is not registered.")


def _check_schemas(body: NodesToRegister) -> None:
    problems = [
        Problem(f"nodes[{index}].{field}", "invalid_schema", f"{found.path}: {found.message}".lstrip(": "))
        for index, node in enumerate(body.nodes)
        for field in ("inputs_schema", "outputs_schema")
        for found in check_schema(getattr(node, field))
    ]
    if problems:
        raise InvalidRequest("A node's schema is no JSON Schema.", problems)
