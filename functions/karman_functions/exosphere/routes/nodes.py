"""Namespaces and registered nodes."""

from __future__ import annotations

from typing import Any

from karman_core.domain.definition import RegisteredNode
from karman_core.engine.access import Scope
from karman_functions.exosphere.calls import IN_NAMESPACE, PREFIX, Call, Routes
from karman_functions.exosphere.directory import Registered
from karman_functions.exosphere.models import NodesToRegister
from karman_functions.exosphere.names import check_name, runtime_of
from karman_functions.exosphere.times import naive_iso

routes = Routes()


@routes.route("GET", "/health", None)
async def get_health(_: Call) -> dict[str, Any]:
    """Whether the API answers."""
    return {"message": "OK"}


@routes.route("GET", f"{PREFIX}/namespaces", Scope.READ)
async def list_namespaces(call: Call) -> dict[str, Any]:
    """The namespaces that have nodes; to a key of one namespace there is that one."""
    found = await call.tools.directory.namespaces()
    own = None if call.principal is None else call.principal.namespace
    shown = [name for name in found if own in {None, name}]
    return {"namespaces": shown, "count": len(shown)}


@routes.route("PUT", f"{IN_NAMESPACE}/nodes/", Scope.WORKER, body=NodesToRegister)
async def register_nodes(call: Call, body: NodesToRegister) -> dict[str, Any]:
    """Make or replace nodes."""
    check_name(call.namespace, "namespace_name")
    nodes = [RegisteredNode(runtime=runtime_of(node.name), **node.model_dump()) for node in body.nodes]
    await call.engine.register_nodes(call.namespace, nodes)
    names = [node.name for node in nodes]
    await call.tools.directory.note_nodes(call.namespace, body.runtime_name, names)
    shown = [node.model_dump(mode="json") for node in body.nodes]
    return {"runtime_name": body.runtime_name, "registered_nodes": shown}


@routes.route("GET", f"{IN_NAMESPACE}/nodes/", Scope.READ)
async def list_nodes(call: Call) -> dict[str, Any]:
    """The registered nodes, Karman's own among them."""
    nodes = await call.engine.list_nodes(call.namespace)
    known = await call.tools.directory.nodes(call.namespace)
    shown = [_document(call.namespace, node, known.get(node.name)) for node in nodes]
    return {"namespace": call.namespace, "count": len(shown), "nodes": shown}


def _document(namespace: str, node: RegisteredNode, known: Registered | None) -> dict[str, Any]:
    since = naive_iso(known.created_ms if known else 0)
    return {
        "_id": f"{namespace}.{node.name}",
        "created_at": since,
        "updated_at": since,
        "name": node.name,
        "namespace": namespace,
        "runtime_name": known.runtime_name if known else node.runtime,
        "runtime_namespace": namespace,
        "inputs_schema": node.inputs_schema,
        "outputs_schema": node.outputs_schema,
        "secrets": list(node.secrets),
    }
