"""Graphs, and triggering them."""

from __future__ import annotations

from typing import Any

from karman_core.domain.definition import GraphDefinition, RegisteredNode
from karman_core.domain.errors import InvalidGraph, InvalidInput, NotFound
from karman_core.domain.registered import NodeKey
from karman_core.engine.access import Scope
from karman_core.engine.views import GraphView
from karman_functions.exosphere.calls import IN_NAMESPACE, Call, Routes
from karman_functions.exosphere.definitions import (
    definition_of,
    graph_document,
    graph_response,
    known_inputs,
    structural,
    template_problem,
)
from karman_functions.exosphere.errors import Failed, in_words
from karman_functions.exosphere.models import GraphToUpsert, RunToTrigger
from karman_functions.exosphere.names import check_name, is_name

routes = Routes()


@routes.route("PUT", f"{IN_NAMESPACE}/graph/{{graph_name}}", Scope.ADMIN, body=GraphToUpsert, status=201)
async def upsert_graph(call: Call, body: GraphToUpsert) -> dict[str, Any]:
    """Make a graph or replace it. It is validated at once; clients expect to ask for the result."""
    check_name(call.namespace, "namespace_name")
    name = check_name(call.path["graph_name"], "graph_name")
    definition = definition_of(name, call.namespace, body, await _nodes(call, body))
    refusal = template_problem(body) or structural(await call.engine.check_graph(call.namespace, definition))
    if refusal is not None:
        raise Failed(400, refusal)
    view = await call.operator.put_graph(call.namespace, definition, secrets=body.secrets)
    return graph_response(view, await _first_ms(call, view), pending=True)


@routes.route("GET", f"{IN_NAMESPACE}/graph/{{graph_name}}", Scope.READ)
async def get_graph(call: Call) -> dict[str, Any]:
    """A graph as it stands."""
    name = call.path["graph_name"]
    missing = f"Graph template {name[:200]} not found in namespace {call.namespace}"
    view = await _graph(call, name, missing)
    return graph_response(view, await _first_ms(call, view))


@routes.route("GET", f"{IN_NAMESPACE}/graphs/", Scope.READ)
async def list_graphs(call: Call) -> dict[str, Any]:
    """Every graph of the namespace."""
    names = await call.engine.list_graphs(call.namespace)
    views = [await call.engine.get_graph(call.namespace, name) for name in names]
    shown = [graph_document(view, await _first_ms(call, view)) for view in views]
    return {"namespace": call.namespace, "count": len(shown), "templates": shown}


@routes.route("POST", f"{IN_NAMESPACE}/graph/{{graph_name}}/trigger", Scope.TRIGGER, body=RunToTrigger)
async def trigger_graph(call: Call, body: RunToTrigger) -> dict[str, Any]:
    """Begin a run."""
    name = call.path["graph_name"]
    missing = f"Graph template not found for namespace {call.namespace} and graph {name[:200]}"
    view = await _graph(call, name, missing)
    inputs = await _root_inputs(call, view.definition, body)
    try:
        started = await call.engine.trigger(
            call.namespace, name, inputs=inputs, store=body.store, start_delay_ms=body.start_delay
        )
    except InvalidGraph as error:
        raise Failed(400, "Graph template is not valid") from error
    except InvalidInput as error:
        raise Failed(400, _refusal(error)) from error
    return {"status": "CREATED", "run_id": started.run_id}


async def _graph(call: Call, name: str, missing: str) -> GraphView:
    if not is_name(name):
        raise Failed(404, missing)
    try:
        return await call.engine.get_graph(call.namespace, name)
    except NotFound as error:
        raise Failed(404, missing) from error


async def _first_ms(call: Call, view: GraphView) -> int:
    """When the graph was made."""
    if view.version == 1:
        return view.created_ms
    return (await call.engine.get_graph(view.namespace, view.name, 1)).created_ms


async def _nodes(call: Call, body: GraphToUpsert) -> dict[NodeKey, RegisteredNode]:
    """The registered nodes of the namespaces that a template names."""
    found: dict[NodeKey, RegisteredNode] = {}
    for owner in {template.namespace for template in body.nodes}:
        key = None if owner == call.namespace else owner
        found |= {(key, node.name): node for node in await call.engine.list_nodes(owner)}
    return found


async def _root_inputs(call: Call, definition: GraphDefinition, body: RunToTrigger) -> dict[str, str]:
    """The inputs that are for the first node; others are passed over, as Exosphere does."""
    followers = {name for node in definition.nodes for name in node.next_nodes}
    roots = [node for node in definition.nodes if node.identifier not in followers and node.unites is None]
    if not body.inputs or not roots:
        return body.inputs
    owner = roots[0].namespace or call.namespace
    for node in await call.engine.list_nodes(owner):
        if node.name == roots[0].node_name:
            return known_inputs(node, body.inputs)
    return body.inputs


def _refusal(error: InvalidInput) -> str:
    missing = [problem.path for problem in error.problems if problem.code == "missing_store_key"]
    if missing and len(missing) == len(error.problems):
        names = sorted(path.removeprefix("store.") for path in missing)
        return "Missing store keys: {" + ", ".join(map(repr, names)) + "}"
    return f"Invalid input: {in_words(error)}"
