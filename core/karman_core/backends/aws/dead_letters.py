"""The queues of dead letters of a deployment, those of its runtimes and Scheduler's: found by their names, and emptied.

No runtime's stack has to be known for that, and no queue of them has to be polled all day by an event source.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from karman_core.backends.aws.backoff import each
from karman_core.backends.aws.clients import AwsClients
from karman_core.backends.aws.names import DEAD_LETTER_SUFFIX
from karman_core.backends.aws.queue import incoming
from karman_core.backends.aws.redriving import queue_urls
from karman_core.domain.errors import NotFound
from karman_core.ports.queue import Incoming

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import MessageTypeDef

_BATCH: Final = 10
_WAIT_SECONDS: Final = 1
"""A receive that waits asks all of SQS's servers; one that does not may miss what is there."""


@dataclass(frozen=True, slots=True)
class DeadMessage:
    """A message of a dead-letter queue.

    Attributes:
        attributes: what its sender attached, as text.
    """

    message: Incoming
    attributes: Mapping[str, str]


class DeadLetterQueues:
    """All of them. `name` is a queue's SQS name."""

    def __init__(self, clients: AwsClients) -> None:
        self._clients = clients
        self._urls: dict[str, str] = {}
        self._tasks: list[str] = []

    async def waiting(self) -> dict[str, int]:
        """About how many messages wait in each queue that has any, by name.

        SQS says it for certain a minute after the last was sent.
        """
        undelivered = (self._clients.settings.scheduler_dead_letter_arn or "").rpartition(":")[2]
        found = await queue_urls(self._clients)
        self._urls = {
            name: url
            for name, url in found.items()
            if name.endswith(DEAD_LETTER_SUFFIX) or name == undelivered
        }
        self._tasks = [url for name, url in found.items() if name not in self._urls]
        counts = await each(self._count, self._urls.values())
        return {name: count for name, count in zip(self._urls, counts, strict=True) if count}

    async def keep_task_queues_awake(self) -> None:
        """Look at each of those that the last list had.

        SQS has no metrics of a queue that nobody has touched for six hours, and takes up to fifteen minutes to have
        them again: so long a container service without workers, which starts them by these metrics, would sleep on.
        """
        await each(self._count, self._tasks)

    async def receive(self, name: str, lease_seconds: int) -> list[DeadMessage]:
        """Up to ten, hidden for so long; none when the queue is empty."""
        answer = await self._clients.call(
            self._clients.sqs.receive_message,
            QueueUrl=self._urls[name],
            MaxNumberOfMessages=_BATCH,
            WaitTimeSeconds=_WAIT_SECONDS,
            VisibilityTimeout=lease_seconds,
            MessageSystemAttributeNames=["ApproximateReceiveCount", "SentTimestamp"],
            MessageAttributeNames=["All"],
        )
        return [_dead(message) for message in answer.get("Messages", [])]

    async def delete(self, name: str, receipts: Sequence[str]) -> None:
        """Up to ten. One that SQS does not delete comes again, which does no harm."""
        await self._clients.call(
            self._clients.sqs.delete_message_batch,
            QueueUrl=self._urls[name],
            Entries=[{"Id": str(at), "ReceiptHandle": receipt} for at, receipt in enumerate(receipts)],
        )

    async def give_back(self, name: str, receipts: Sequence[str]) -> None:
        """Up to ten: they can be received at once. One that SQS does not give back comes after its lease."""
        await self._clients.call(
            self._clients.sqs.change_message_visibility_batch,
            QueueUrl=self._urls[name],
            Entries=[
                {"Id": str(at), "ReceiptHandle": receipt, "VisibilityTimeout": 0}
                for at, receipt in enumerate(receipts)
            ],
        )

    async def _count(self, url: str) -> int:
        try:
            answer: Any = await self._clients.call(
                self._clients.sqs.get_queue_attributes,
                QueueUrl=url,
                AttributeNames=["ApproximateNumberOfMessages"],
            )
        except NotFound:
            return 0  # its runtime has just been taken away
        return int(answer["Attributes"]["ApproximateNumberOfMessages"])


def _dead(message: MessageTypeDef) -> DeadMessage:
    attached = message.get("MessageAttributes", {})
    return DeadMessage(
        incoming(message), {name: str(value.get("StringValue", "")) for name, value in attached.items()}
    )
