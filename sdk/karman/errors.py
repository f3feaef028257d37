"""Every error Karman raises, and what nodes may raise to speak to it.

The tree of `karman_core.domain.errors`, to which the SDK adds:

    KarmanError
    ├── InvalidRequest
    │   ├── InvalidGraph
    │   │   └── UnknownReference     a reference to an output field that the node does not have
    │   └── InvalidNode              a node class or function that cannot be a node
    ├── StillRunning                 a run had not ended when the time to wait for it was over
    ├── InvalidSignature             a webhook's request that its sender has not signed
    └── UnexpectedAnswer             an answer over HTTP that is none of Karman's

    Exception
    └── NonRetryable                 raised by nodes: trying again cannot help

Signals (`Prune`, `RequeueAfter`, `WaitFor`) are outcomes, not errors; they are found in `karman`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from karman_core.domain.errors import (
    BackendError,
    ConditionFailed,
    Conflict,
    Forbidden,
    InvalidGraph,
    InvalidInput,
    InvalidRequest,
    ItemTooLarge,
    KarmanError,
    NewerLayout,
    NodeFailure,
    NotFound,
    PayloadTooLarge,
    Problem,
    QuotaExceeded,
    RateLimited,
    Throttled,
    TransactionConflict,
    TransactionFailed,
    Unauthorized,
    Unavailable,
)

if TYPE_CHECKING:
    from karman_core.engine.views import RunView  # at run time it would bring the engine along

__all__ = [
    "BackendError",
    "ConditionFailed",
    "Conflict",
    "Forbidden",
    "InvalidGraph",
    "InvalidInput",
    "InvalidNode",
    "InvalidRequest",
    "InvalidSignature",
    "ItemTooLarge",
    "KarmanError",
    "NewerLayout",
    "NodeFailure",
    "NonRetryable",
    "NotFound",
    "PayloadTooLarge",
    "Problem",
    "QuotaExceeded",
    "RateLimited",
    "StillRunning",
    "Throttled",
    "TransactionConflict",
    "TransactionFailed",
    "Unauthorized",
    "Unavailable",
    "UnexpectedAnswer",
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


class StillRunning(KarmanError):
    """A run had not ended when the time to wait for it was over; it goes on. `run` is as it stood."""

    code = "still_running"
    status = 408

    def __init__(self, message: str, run: RunView) -> None:
        super().__init__(message)
        self.run = run


class UnexpectedAnswer(KarmanError):
    """An answer over HTTP that is none of Karman's: another service, a proxy, or a version that does not fit."""

    code = "unexpected_answer"
    status = 502


class InvalidSignature(KarmanError):
    """A request that is not to be believed: not signed with the webhook's secret, or too old."""

    code = "invalid_signature"
    status = 401


class NonRetryable(Exception):
    """Raise it, or a subclass, in a node: the state fails without further attempts."""
