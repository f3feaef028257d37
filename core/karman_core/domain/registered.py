"""How a definition names registered nodes, and how validation is given them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from karman_core.domain.definition import GraphDefinition, NodeInstance, RegisteredNode

NodeKey: TypeAlias = tuple[str | None, str]
"""Namespace (None for the graph's own) and name."""

RegisteredNodes: TypeAlias = Mapping[NodeKey, RegisteredNode]
"""The nodes that exist, at least of those that the definition names."""


def node_key(instance: NodeInstance) -> NodeKey:
    """Which registered node an instance runs."""
    return instance.namespace, instance.node_name


def node_keys(definition: GraphDefinition) -> tuple[NodeKey, ...]:
    """The registered nodes that a definition names, each once: what to look up before validating it."""
    return tuple(dict.fromkeys(node_key(instance) for instance in definition.nodes))
