"""Karman: an orchestrator for agents and data pipelines.

    from karman import Graph, Node
    from pydantic import BaseModel

    class Greet(Node):
        class Inputs(BaseModel):
            name: str

        class Outputs(BaseModel):
            text: str

        async def execute(self) -> Outputs:
            return self.Outputs(text=f"Hello, {self.inputs.name}!")

    graph = Graph("greeting")
    graph.add(Greet, "greet")

Nodes are written here, graphs built here; `karman.testing` runs them in a test, `karman.errors` has all errors.
`Client` and `AsyncClient` speak to a server, `Runtime` works for one; these are imported when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from karman import errors
from karman._internal.concurrency import Concurrency
from karman._internal.context import Context
from karman._internal.durations import Duration
from karman._internal.functions import FunctionNode, NodeLike, node
from karman._internal.graph import Graph, load_graph
from karman._internal.node import Node
from karman._internal.outcomes import Cancelled, Next, Prune, RequeueAfter, WaitFor
from karman._internal.placed import PlacedNode, Unites
from karman._internal.rate_limit import RateLimit
from karman._internal.references import Reference
from karman._internal.retry import Retry
from karman._internal.store import Store
from karman.errors import InvalidGraph, InvalidInput, InvalidNode, KarmanError, NonRetryable
from karman_core.domain.definition import GraphDefinition, Overlap, RetryPolicy, RetryStrategy, UniteStrategy
from karman_core.domain.outcome import Resumption

if TYPE_CHECKING:
    from karman.client import AsyncClient, Client, Runtime

__all__ = [
    "AsyncClient",
    "Cancelled",
    "Client",
    "Concurrency",
    "Context",
    "Duration",
    "FunctionNode",
    "Graph",
    "GraphDefinition",
    "InvalidGraph",
    "InvalidInput",
    "InvalidNode",
    "KarmanError",
    "Next",
    "Node",
    "NodeLike",
    "NonRetryable",
    "Overlap",
    "PlacedNode",
    "Prune",
    "RateLimit",
    "Reference",
    "RequeueAfter",
    "Resumption",
    "Retry",
    "RetryPolicy",
    "RetryStrategy",
    "Runtime",
    "Store",
    "UniteStrategy",
    "Unites",
    "WaitFor",
    "errors",
    "load_graph",
    "node",
]


def __getattr__(name: str) -> object:
    """The client and what it needs (HTTP, the engine's views), for those who use it: nodes start without."""
    if name in {"AsyncClient", "Client", "Runtime"}:
        return getattr(import_module("karman.client"), name)
    raise AttributeError(f"module 'karman' has no attribute '{name}'")
