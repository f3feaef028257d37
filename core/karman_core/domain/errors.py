"""Every error Karman raises, in one tree.

    KarmanError
    ├── InvalidRequest            422  what the caller sent cannot be used
    │   ├── InvalidGraph               ... a graph with problems, all of them listed
    │   ├── InvalidInput               ... inputs, a store value or a payload that does not fit
    │   └── PayloadTooLarge       413  ... a value over a limit
    ├── Unauthorized              401  no key, or none that is known
    ├── Forbidden                 403  the key does not allow this, or is another namespace's
    ├── NotFound                  404
    ├── Conflict                  409  the thing exists in another shape, or is past changing
    ├── RateLimited               429  too many requests of one key (retryable)
    ├── QuotaExceeded             429  more than a quota or a graph's limit allows
    ├── NewerLayout               503  a later release of Karman wrote it; this one leaves it alone (retryable)
    ├── BackendError              503  a port failed
    │   ├── Throttled                  ... try again later (retryable)
    │   ├── Unavailable                ... the service did not answer (retryable)
    │   ├── ConditionFailed       409  ... a conditional write lost; carries the old item
    │   ├── TransactionFailed     409  ... one or more conditions of a transaction lost
    │   ├── TransactionConflict        ... another writer was there at the same time (retryable)
    │   └── ItemTooLarge          413  ... over the table's or the queue's limit for one item
    └── NodeFailure                    a node's execution failed; becomes data in the state's record

Each class has a stable `code` (clients rebuild the class from it), an HTTP `status` and `retryable`: whether doing the
same thing again can help. Signals (prune, requeue, wait) are outcomes, not errors, and are not in this tree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with something a user wrote.

    Attributes:
        path: where, as a dotted path with list indexes, for example `nodes[2].inputs.text`.
        code: stable, machine-readable, snake case.
        message: what is wrong and what to do about it, one sentence.
    """

    path: str
    code: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message} [{self.code}]" if self.path else f"{self.message} [{self.code}]"


class KarmanError(Exception):
    """The base of every error that Karman raises."""

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidRequest(KarmanError):
    """The request cannot be used as it is; `problems` lists every reason."""

    code = "invalid_request"
    status = 422

    def __init__(self, message: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        told = (problem for problem in self.problems if problem.message != self.message)
        return "\n".join([self.message, *(f"  - {problem}" for problem in told)])


class InvalidGraph(InvalidRequest):
    """A graph definition with problems."""

    code = "invalid_graph"


class InvalidInput(InvalidRequest):
    """Inputs, a store value or a payload that does not fit what was declared."""

    code = "invalid_input"


class PayloadTooLarge(InvalidRequest):
    """A value over a limit that Karman sets."""

    code = "payload_too_large"
    status = 413


class Unauthorized(KarmanError):
    """There is no key, or none that is known."""

    code = "unauthorized"
    status = 401


class Forbidden(KarmanError):
    """The key does not allow this. The same for what exists and what does not, so that nothing can be learned."""

    code = "forbidden"
    status = 403


class NotFound(KarmanError):
    """No such thing in this namespace."""

    code = "not_found"
    status = 404


class Conflict(KarmanError):
    """The thing exists in another shape already, or its state does not allow what was asked."""

    code = "conflict"
    status = 409


class RateLimited(KarmanError):
    """Too many requests of one key; `retry_after_seconds` says when the next one is taken."""

    code = "rate_limited"
    status = 429
    retryable = True

    def __init__(self, message: str, retry_after_seconds: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class QuotaExceeded(KarmanError):
    """More than a quota of the namespace, or a limit of the graph, allows.

    Attributes:
        retry_after_seconds: when the same request may be taken; None when trying again does not help, or not known.
    """

    code = "quota_exceeded"
    status = 429

    def __init__(self, message: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class NewerLayout(KarmanError):
    """A later release of Karman wrote this, in a layout that this one does not know; it changes nothing of it.

    While a deployment is under way the same thing goes well where the newer release answers.
    """

    code = "newer_layout"
    status = 503
    retryable = True


class BackendError(KarmanError):
    """A port could not do what was asked."""

    code = "backend_error"
    status = 503


class Throttled(BackendError):
    """The service refused because of its rate; the same call may succeed later."""

    code = "throttled"
    retryable = True


class Unavailable(BackendError):
    """The service did not answer or failed on its side; the effect is unknown."""

    code = "unavailable"
    retryable = True


class ConditionFailed(BackendError):
    """A conditional write lost. `old` is the item as it stood, or None when there was none."""

    code = "condition_failed"
    status = 409

    def __init__(self, message: str, old: Mapping[str, Any] | None) -> None:
        super().__init__(message)
        self.old = old


class TransactionFailed(BackendError):
    """Conditions of a transaction lost; nothing was written.

    Attributes:
        failed: indexes of the writes whose condition failed.
        old: for each write of the transaction, the old item where its condition failed and an item existed, else None.
    """

    code = "transaction_failed"
    status = 409

    def __init__(self, message: str, failed: Sequence[int], old: Sequence[Mapping[str, Any] | None]) -> None:
        super().__init__(message)
        self.failed = tuple(failed)
        self.old = tuple(old)


class TransactionConflict(BackendError):
    """Another writer touched an item of the transaction at the same moment; nothing was written."""

    code = "transaction_conflict"
    retryable = True


class ItemTooLarge(BackendError):
    """One item or message is over the service's limit (DynamoDB 400 KB, SQS 1 MiB)."""

    code = "item_too_large"
    status = 413


class NodeFailure(KarmanError):
    """A node's execution failed; the engine turns it into the record of an attempt.

    Attributes:
        kind: the class name of what was raised, or a stable code such as `timeout` or `invalid_output`.
        traceback: bounded text, or empty.
        retry: False when trying again cannot help (bad inputs, non-retryable error classes).
    """

    code = "node_failure"

    def __init__(self, kind: str, message: str, traceback: str = "", *, retry: bool = True) -> None:
        super().__init__(message)
        self.kind = kind
        self.traceback = traceback
        self.retry = retry
