"""The queue port: at-least-once delivery with visibility time-outs, in the manner of SQS standard queues.

A message that was received stays in the queue, hidden for its lease; it is delivered again when the lease ends before
it was deleted. The order of delivery is not defined. Queues are named `{namespace}/{runtime}`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

MAX_MESSAGE_BYTES = 1_048_576
"""SQS: one message, and one batch of ten together, hold at most 1 MiB."""

MAX_DELAY_SECONDS = 900
"""SQS: the longest delay of a message. Longer delays are timers."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to send.

    Attributes:
        body: text, at most MAX_MESSAGE_BYTES in UTF-8.
        delay_seconds: before it can be received, 0 to MAX_DELAY_SECONDS; SQS rounds up to whole seconds.
        fair_group: messages of one group do not starve those of another (SQS fair queues); a run id.
    """

    body: str
    delay_seconds: float = 0
    fair_group: str | None = None


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message that was received.

    Attributes:
        id: stable over redeliveries.
        receipt: names this delivery; a later delivery of the same message makes it stale.
        receive_count: how often the message was received, this time included (from 1).
        sent_ms: when it was sent, epoch milliseconds.
    """

    id: str
    body: str
    receipt: str
    receive_count: int
    sent_ms: int


@dataclass(frozen=True, slots=True)
class Depth:
    """How many messages a queue holds, about."""

    ready: int
    delayed: int
    in_flight: int


class Queue(Protocol):
    """All task queues of a deployment. Methods raise Throttled, Unavailable, NotFound (no such queue)."""

    async def create(self, queue: str) -> None:
        """Make the queue unless it exists."""
        ...

    async def send(self, queue: str, messages: Sequence[Outgoing]) -> None:
        """Send any number of messages; returns when every one is durable. Raises ItemTooLarge before sending any."""
        ...

    async def receive(
        self, queue: str, *, limit: int = 10, wait_seconds: float = 0.0, lease_seconds: int = 60
    ) -> list[Incoming]:
        """Up to `limit` (1 to 10) messages, hidden from others for the lease; waits up to 20 s for the first one."""
        ...

    async def extend(self, queue: str, receipts: Sequence[str], lease_seconds: int) -> list[str]:
        """Make each lease end `lease_seconds` from now (0 gives the message back). Returns the stale receipts."""
        ...

    async def delete(self, queue: str, receipts: Sequence[str]) -> None:
        """Remove messages for good. A stale receipt is no error and removes nothing that was delivered again."""
        ...

    async def bury(self, queue: str, message: Incoming, reason: str) -> None:
        """Move a message that cannot be understood to the dead-letter queue, kept for people to look at."""
        ...

    async def depth(self, queue: str) -> Depth:
        """Roughly how much waits."""
        ...
