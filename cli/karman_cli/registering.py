"""Makes nodes and graphs of this process known to a database."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from karman._internal.node import declaration_of
from karman_cli.output import note
from karman_core.domain.definition import JSON, GraphDefinition, NodeInstance
from karman_core.domain.errors import InvalidGraph, InvalidInput
from karman_core.domain.topology import build

if TYPE_CHECKING:
    from karman_core.engine import Engine
    from karman_core.engine.views import GraphView
    from karman_runtime.composition import Assembly
    from karman_runtime.loading import Loaded


async def register(
    assembly: Assembly,
    namespace: str,
    loaded: Loaded,
    definitions: Collection[GraphDefinition],
    runtime: str | None,
) -> list[str]:
    """Register the nodes of a module, and return the task queues to work on.

    A graph may use nodes of another namespace. On one machine this process is all there is, so its nodes are registered
    there as well.
    """
    runtime = runtime or loaded.runtime
    nodes = [declaration_of(node).registered(runtime) for node in loaded.nodes]
    instances = [instance for definition in definitions for instance in definition.nodes]
    namespaces = sorted({namespace, *(each.namespace for each in instances if each.namespace)})
    own = {definition.name for definition in definitions}
    for each in namespaces:
        registration = await assembly.engine.register_nodes(each, nodes)
        for graph in sorted(set(registration.broken) - own):
            note(f"warning: graph '{graph}' does not fit these nodes any more")
        await assembly.backend.queue.create(f"{each}/{runtime}")
    return [f"{each}/{runtime}" for each in namespaces]


async def put_valid(
    assembly: Assembly, namespace: str, definition: GraphDefinition, secrets: Mapping[str, str]
) -> GraphView:
    """Store a graph and its secrets.

    Raises:
        InvalidGraph: it has problems; nothing was stored.
        InvalidInput: a secret has no value.
    """
    problems = await assembly.engine.check_graph(namespace, definition)
    if problems:
        raise InvalidGraph(f"Graph '{definition.name}' is not valid.", problems)
    own = {name: value for name, value in secrets.items() if name in definition.secrets}
    missing = await secrets_missing(assembly, namespace, definition, own)
    if missing:
        raise without_values(definition.name, missing)
    return await assembly.engine.put_graph(namespace, definition, secrets=own or None)


def check_secrets_used(secrets: Mapping[str, str], definitions: Collection[GraphDefinition]) -> None:
    """Raises InvalidInput for a secret that no graph declares: most likely its name is misspelled."""
    declared = {name for definition in definitions for name in definition.secrets}
    unknown = sorted(set(secrets) - declared)
    if unknown:
        raise InvalidInput(
            f"No node reads the secret {', '.join(unknown)}; declared are: {', '.join(sorted(declared)) or 'none'}."
        )


def root_of(definition: GraphDefinition) -> NodeInstance | None:
    """The graph's first node, whose inputs a trigger gives; None for a graph that is not valid and has none."""
    topology = build(definition)
    firsts = [topology.identifiers[number] for number in topology.roots]
    return next((instance for instance in definition.nodes if instance.identifier in firsts[:1]), None)


def instance_of(definition: GraphDefinition, identifier: str | None) -> NodeInstance | None:
    """A node instance of the graph, by default the first one; None if there is none."""
    if identifier is None:
        return root_of(definition)
    return next((each for each in definition.nodes if each.identifier == identifier), None)


async def inputs_schema(
    engine: Engine, namespace: str, definition: GraphDefinition, identifier: str | None = None
) -> Mapping[str, JSON]:
    """The JSON Schema of the inputs of a node instance, or of the first one, which a trigger gives."""
    instance = instance_of(definition, identifier)
    if instance is not None:
        for node in await engine.list_nodes(instance.namespace or namespace):
            if node.name == instance.node_name:
                return node.inputs_schema
    return {}


async def secrets_missing(
    assembly: Assembly, namespace: str, definition: GraphDefinition, given: Mapping[str, str]
) -> list[str]:
    """Names of the secrets that the definition reads and that have no value, given or stored."""
    stored = await assembly.backend.secrets.names(f"{namespace}/{definition.name}")
    return sorted(set(definition.secrets) - set(given) - set(stored))


def without_values(graph: str, missing: list[str]) -> InvalidInput:
    """The error for secrets that have no value."""
    return InvalidInput(
        f"Graph '{graph}' reads secrets that have no value: {', '.join(missing)}. Give them with "
        f"--secret {missing[0]}=VALUE, or --secret-env {missing[0]} to take it from the environment."
    )
