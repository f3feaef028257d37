"""Every error Karman raises, and what nodes may raise to speak to it.

The tree of `karman_core.domain.errors`, to which the SDK adds:

    KarmanError
    └── InvalidRequest
        ├── InvalidGraph
        │   └── UnknownReference     a reference to an output field that the node does not have
        └── InvalidNode              a node class or function that cannot be a node

    Exception
    └── NonRetryable                 raised by nodes: trying again cannot help

Signals (`Prune`, `RequeueAfter`, `WaitFor`) are outcomes, not errors; they are found in `karman`.
"""

from __future__ import annotations

from karman_core.domain.errors import (
    BackendError,
    ConditionFailed,
    Conflict,
    InvalidGraph,
    InvalidInput,
    InvalidRequest,
    ItemTooLarge,
    KarmanError,
    NodeFailure,
    NotFound,
    PayloadTooLarge,
    Problem,
    Throttled,
    TransactionConflict,
    TransactionFailed,
    Unavailable,
)

__all__ = [
    "BackendError",
    "ConditionFailed",
    "Conflict",
    "InvalidGraph",
    "InvalidInput",
    "InvalidNode",
    "InvalidRequest",
    "ItemTooLarge",
    "KarmanError",
    "NodeFailure",
    "NonRetryable",
    "NotFound",
    "PayloadTooLarge",
    "Problem",
    "Throttled",
    "TransactionConflict",
    "TransactionFailed",
    "Unavailable",
    "UnknownReference",
]


class InvalidNode(InvalidRequest, TypeError):
    """A class or function that cannot be a node; raised where it is defined."""

    code = "invalid_node"


class UnknownReference(InvalidGraph, AttributeError):
    """A reference to an output field that the node does not have; raised where it is written.

    An AttributeError too, so that `hasattr` and interactive completion work on references.
    """

    code = "unknown_output"


class NonRetryable(Exception):
    """Raise it, or a subclass, in a node: the state fails without further attempts."""
