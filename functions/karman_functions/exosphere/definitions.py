"""Graphs: from Exosphere's templates to definitions, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from karman_core.domain import schemas
from karman_core.domain.definition import GraphDefinition, NodeInstance, RegisteredNode
from karman_core.domain.errors import Problem
from karman_core.domain.registered import NodeKey
from karman_core.engine.views import GraphView
from karman_functions.exosphere.models import GraphToUpsert, NodeTemplate
from karman_functions.exosphere.times import naive_iso

STRUCTURAL = frozenset(
    {
        "cycle",
        "duplicate_identifier",
        "duplicate_next_node",
        "invalid_placeholder",
        "nested_groups",
        "no_nodes",
        "no_root",
        "not_an_ancestor",
        "self_edge",
        "several_roots",
        "too_many_next_nodes",
        "too_many_nodes",
        "unite_not_ancestor",
        "united_twice",
        "unites_itself",
        "unknown_next_node",
        "unknown_reference",
        "unknown_store_key",
        "unknown_united_node",
        "unreachable_node",
        "unresolved_placeholder",
    }
)
"""Problems for which Exosphere refuses a graph at once. With others, of nodes and schemas, it is stored INVALID."""


def definition_of(
    name: str, namespace: str, body: GraphToUpsert, nodes: Mapping[NodeKey, RegisteredNode]
) -> GraphDefinition:
    """The definition that a template says.

    Args:
        nodes: the registered nodes that it names. Inputs that a node does not have are left out: Exosphere allows them.
    """
    settings = body.model_dump(exclude_none=True, include={"retry_policy", "store_config", "triggers"})
    instances = [_instance(namespace, template, nodes) for template in body.nodes]
    return GraphDefinition.model_validate(
        {**settings, "name": name, "nodes": instances, "secrets": tuple(sorted(body.secrets))}
    )


def _instance(
    namespace: str, template: NodeTemplate, nodes: Mapping[NodeKey, RegisteredNode]
) -> dict[str, Any]:
    owner = None if template.namespace == namespace else template.namespace
    node = nodes.get((owner, template.node_name))
    return {
        "identifier": template.identifier,
        "node_name": template.node_name,
        "namespace": owner,
        "inputs": template.inputs if node is None else known_inputs(node, template.inputs),
        "next_nodes": template.next_nodes or (),
        "unites": None if template.unites is None else template.unites.model_dump(),
    }


def known_inputs(node: RegisteredNode, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs that a node has a field for."""
    fields = schemas.fields(node.inputs_schema)
    return {name: value for name, value in inputs.items() if name in fields.schemas or not fields.closed}


def template_problem(body: GraphToUpsert) -> str | None:
    """What Exosphere refuses and Karman would not: inputs that are not text."""
    for template in body.nodes:
        for name, value in template.inputs.items():
            if not isinstance(value, str):
                return f"Input '{name}' of '{template.identifier}' is not a string"
    return None


def structural(problems: Sequence[Problem]) -> str | None:
    """Why the graph is refused at once, in one line; None when it is not."""
    found = [f"{problem.path}: {problem.message}" for problem in problems if problem.code in STRUCTURAL]
    return "; ".join(found) or None


def graph_response(view: GraphView, created_ms: int, *, pending: bool = False) -> dict[str, Any]:
    """A graph as its routes answer it. With `pending` nothing is said yet of whether it is valid."""
    definition = view.definition
    status = "PENDING" if pending else "VALID" if view.valid else "INVALID"
    told = status == "INVALID"
    return {
        "nodes": [_template(view.namespace, instance) for instance in definition.nodes],
        "secrets": dict.fromkeys(definition.secrets, True),
        "retry_policy": definition.retry_policy.model_dump(
            mode="json", include={"max_retries", "strategy", "backoff_factor", "exponent", "max_delay"}
        ),
        "store_config": definition.store_config.model_dump(mode="json"),
        "triggers": [
            {"type": trigger.type, "value": {"expression": trigger.value.expression}}
            for trigger in definition.triggers
        ],
        "created_at": naive_iso(created_ms),
        "updated_at": naive_iso(view.created_ms),
        "validation_status": status,
        "validation_errors": [f"{each.path}: {each.message}" for each in view.problems] if told else None,
    }


def graph_document(view: GraphView, created_ms: int) -> dict[str, Any]:
    """A graph as the list of graphs holds it."""
    named = {"_id": f"{view.namespace}.{view.name}", "name": view.name, "namespace": view.namespace}
    return named | graph_response(view, created_ms)


def _template(namespace: str, instance: NodeInstance) -> dict[str, Any]:
    unites = instance.unites
    return {
        "node_name": instance.node_name,
        "namespace": instance.namespace or namespace,
        "identifier": instance.identifier,
        "inputs": dict(instance.inputs),
        "next_nodes": list(instance.next_nodes),
        "unites": None if unites is None else unites.model_dump(mode="json"),
    }
