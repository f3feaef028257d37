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
from karman_functions.api.limits import MAX_PAGE
from karman_functions.api.models import Nodes, NodesToRegister
from karman_functions.api.paging import page_of
from karman_functions.api.parameters import Cursor, Limit, Namespace, NodeName
from karman_functions.api.routing import Resource

resource = Resource("nodes")


@resource.route("PUT", "/nodes", Scope.WORKER)
async def register_nodes(namespace: Namespace, body: Annotated[NodesToRegister, Body()]) -> Registration:
    """Make or replace the nodes that a runtime runs; tells which graphs no longer fit them."""
    _check(body)
    nodes = [RegisteredNode(runtime=body.runtime, **node.model_dump()) for node in body.nodes]
    return await engine().register_nodes(namespace, nodes)


@resource.route("GET", "/nodes", Scope.READ)
async def list_nodes(namespace: Namespace, limit: Limit = MAX_PAGE, cursor: Cursor = None) -> Nodes:
    """The registered nodes, by name."""
    return Nodes(*page_of(await engine().list_nodes(namespace), lambda node: node.name, limit, cursor))


@resource.route("GET", "/nodes/<name>", Scope.READ)
async def get_node(namespace: Namespace, name: NodeName) -> RegisteredNode:
    """One registered node."""
    for node in await engine().list_nodes(namespace):
        if node.name == name:
            return node
    raise NotFound(f"Node '{name}' is not registered.")


def _check(body: NodesToRegister) -> None:
    """What the shape of the body does not say. Raises InvalidRequest."""
    names = [node.name for node in body.nodes]
    problems = [
        Problem(f"nodes[{index}].name", "duplicate_name", f"There is another node '{name}' before.")
        for index, name in enumerate(names)
        if name in names[:index]
    ]
    problems += [
        Problem(f"nodes[{index}].{field}", "invalid_schema", found.message)
        for index, node in enumerate(body.nodes)
        for field in ("inputs_schema", "outputs_schema")
        for found in check_schema(getattr(node, field))
    ]
    if problems:
        raise InvalidRequest("The nodes cannot be registered.", problems)
