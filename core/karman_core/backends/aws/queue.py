"""The queue port on SQS standard queues."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from karman_core.backends.aws.backoff import Backoff, chunks, each
from karman_core.backends.aws.clients import LONG_POLL_SECONDS, AwsClients
from karman_core.backends.aws.errors import entry_error, is_refusal
from karman_core.backends.aws.names import dead_letter_name, queue_name
from karman_core.backends.aws.settings import AwsSettings
from karman_core.domain.errors import (
    BackendError,
    Conflict,
    InvalidRequest,
    ItemTooLarge,
    NotFound,
    Problem,
    Unavailable,
)
from karman_core.ports.queue import MAX_DELAY_SECONDS, MAX_MESSAGE_BYTES, Depth, Incoming, Outgoing
from karman_core.ports.system import Clock, Entropy

if TYPE_CHECKING:
    from mypy_boto3_sqs.literals import QueueAttributeNameType
    from mypy_boto3_sqs.type_defs import (
        BatchResultErrorEntryTypeDef,
        MessageAttributeValueTypeDef,
        MessageTypeDef,
        SendMessageBatchRequestEntryTypeDef,
    )

T = TypeVar("T")

MAX_RECEIVE = 10
MAX_LEASE_SECONDS = 12 * 3600
RETENTION_SECONDS = 14 * 24 * 3600
REASON_ATTRIBUTE = "karman-reason"
RECEIVES_ATTRIBUTE = "karman-receives"

_BATCH = 10
_REASON_CHARACTERS = 1000
_REFUSED = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""SQS takes only what XML 1.0 can write."""

_STALE = frozenset(
    {
        "AWS.SimpleQueueService.MessageNotInflight",
        "InvalidParameterValue",
        "MessageNotInflight",
        "ReceiptHandleIsInvalid",
    }
)
"""What SQS says of a receipt whose delivery is over. InvalidParameterValue: the message does not exist or is not
available for a change of its time-out, or its lease has reached its 12 hours. It is lost either way."""


class SQSQueue:
    """All task queues of a deployment; `names.queue_name` says what they are called."""

    def __init__(self, clients: AwsClients, settings: AwsSettings, clock: Clock, entropy: Entropy) -> None:
        self._clients = clients
        self._settings = settings
        self._backoff = Backoff(clock, entropy)
        self._urls: dict[str, str] = {}
        self._arns: dict[str, str] = {}

    async def create(self, queue: str) -> None:
        """Make the queue and its dead-letter queue unless they exist; those that do are left as they are.

        They are encrypted as the deployment's other queues are: with its own key if it has one, else with SQS's.

        Raises InvalidRequest where this process may make none, and a stack has to.
        """
        with _allowed_to_make(queue):
            await self._create(queue)

    async def _create(self, queue: str) -> None:
        name = queue_name(self._settings.prefix, queue)
        dead_url = await self._make(dead_letter_name(self._settings.prefix, queue), {})
        redrive = {
            "deadLetterTargetArn": await self._arn(dead_url),
            "maxReceiveCount": self._settings.max_receives,
        }
        attributes: dict[QueueAttributeNameType, str] = {
            "VisibilityTimeout": str(self._settings.visibility_seconds),
            "RedrivePolicy": json.dumps(redrive),
        }
        self._urls[name] = await self._make(name, attributes)

    async def send(self, queue: str, messages: Sequence[Outgoing]) -> None:
        """Send any number of messages; returns when every one is durable. Raises ItemTooLarge before sending any."""
        batches = list(_batches(messages))

        async def send_batch(batch: Sequence[Outgoing]) -> Sequence[Outgoing]:
            answer = await self._clients.call(
                self._clients.sqs.send_message_batch,
                QueueUrl=url,
                Entries=[self._entry(index, message) for index, message in enumerate(batch)],
            )
            return _left("SendMessageBatch", batch, answer.get("Failed", []))

        with self._finding(queue):
            url = await self._url(queue)
            await each(lambda batch: self._backoff.exhaust(batch, send_batch, _unsent), batches)

    async def receive(
        self, queue: str, *, limit: int = 10, wait_seconds: float = 0.0, lease_seconds: int = 60
    ) -> list[Incoming]:
        """Up to `limit` messages, hidden for the lease. SQS waits whole seconds: a part of one is rounded up.

        When the caller is cancelled, the call goes on in its thread: what it receives comes again after the lease.
        """
        if not (1 <= limit <= MAX_RECEIVE and 0 <= wait_seconds <= LONG_POLL_SECONDS):
            raise ValueError(
                f"receive takes a limit of 1 to {MAX_RECEIVE} and waits up to {LONG_POLL_SECONDS} s"
            )
        _check_lease(lease_seconds)
        with self._finding(queue):
            answer = await self._clients.call(
                self._clients.sqs.receive_message,
                QueueUrl=await self._url(queue),
                MaxNumberOfMessages=limit,
                WaitTimeSeconds=math.ceil(wait_seconds),
                VisibilityTimeout=lease_seconds,
                MessageSystemAttributeNames=["ApproximateReceiveCount", "SentTimestamp"],
            )
        return [incoming(message) for message in answer.get("Messages", [])]

    async def extend(self, queue: str, receipts: Sequence[str], lease_seconds: int) -> list[str]:
        """Make each lease end `lease_seconds` from now (0 gives the message back). Returns the stale receipts."""
        _check_lease(lease_seconds)
        stale: set[str] = set()

        async def extend_batch(batch: Sequence[str]) -> Sequence[str]:
            answer = await self._clients.call(
                self._clients.sqs.change_message_visibility_batch,
                QueueUrl=url,
                Entries=[
                    {"Id": str(index), "ReceiptHandle": receipt, "VisibilityTimeout": lease_seconds}
                    for index, receipt in enumerate(batch)
                ],
            )
            failed, gone = _without_stale(batch, answer.get("Failed", []))
            stale.update(gone)
            return _left("ChangeMessageVisibilityBatch", batch, failed)

        with self._finding(queue):
            url = await self._url(queue)
            batches = chunks(dict.fromkeys(receipts), _BATCH)
            await each(lambda batch: self._backoff.exhaust(batch, extend_batch, _unsent), batches)
        return [receipt for receipt in receipts if receipt in stale]

    async def delete(self, queue: str, receipts: Sequence[str]) -> None:
        """Remove messages for good. A stale receipt is no error and removes nothing that was delivered again."""

        async def delete_batch(batch: Sequence[str]) -> Sequence[str]:
            answer = await self._clients.call(
                self._clients.sqs.delete_message_batch,
                QueueUrl=url,
                Entries=[{"Id": str(index), "ReceiptHandle": receipt} for index, receipt in enumerate(batch)],
            )
            failed, _ = _without_stale(batch, answer.get("Failed", []))
            return _left("DeleteMessageBatch", batch, failed)

        with self._finding(queue):
            url = await self._url(queue)
            batches = chunks(dict.fromkeys(receipts), _BATCH)
            await each(lambda batch: self._backoff.exhaust(batch, delete_batch, _unsent), batches)

    async def bury(self, queue: str, message: Incoming, reason: str) -> None:
        """Send the message to the dead-letter queue, then delete it; a crash in between buries it twice."""
        attributes: dict[str, MessageAttributeValueTypeDef] = {
            REASON_ATTRIBUTE: _text(_REFUSED.sub("?", reason)[:_REASON_CHARACTERS] or "no reason given"),
            RECEIVES_ATTRIBUTE: _text(str(message.receive_count)),
        }
        room = MAX_MESSAGE_BYTES - len(message.body.encode())
        if room < sum(len(name) + len(str(value).encode()) for name, value in attributes.items()):
            attributes = {}  # they count to the limit, and the body matters more
        with self._finding(queue):
            await self._clients.call(
                self._clients.sqs.send_message,
                QueueUrl=await self._url(queue, dead=True),
                MessageBody=message.body,
                MessageAttributes=attributes,
            )
        await self.delete(queue, [message.receipt])

    async def depth(self, queue: str) -> Depth:
        """Roughly how much waits."""
        with self._finding(queue):
            answer = await self._clients.call(
                self._clients.sqs.get_queue_attributes,
                QueueUrl=await self._url(queue),
                AttributeNames=[
                    "ApproximateNumberOfMessages",
                    "ApproximateNumberOfMessagesDelayed",
                    "ApproximateNumberOfMessagesNotVisible",
                ],
            )
        counts = {name: int(value) for name, value in answer["Attributes"].items()}
        return Depth(
            ready=counts.get("ApproximateNumberOfMessages", 0),
            delayed=counts.get("ApproximateNumberOfMessagesDelayed", 0),
            in_flight=counts.get("ApproximateNumberOfMessagesNotVisible", 0),
        )

    async def arn(self, queue: str) -> str:
        """The ARN of a queue, for what sends to it by itself."""
        with self._finding(queue):
            return await self._arn(await self._url(queue))

    async def _make(self, name: str, attributes: dict[QueueAttributeNameType, str]) -> str:
        """The URL of the queue, made with the attributes if there is none."""
        try:
            return await self._look_up(name)
        except NotFound:
            pass
        usual: dict[QueueAttributeNameType, str] = {"MessageRetentionPeriod": str(RETENTION_SECONDS)}
        if self._settings.secrets_key_id is not None:
            usual["KmsMasterKeyId"] = self._settings.secrets_key_id
        try:
            answer = await self._clients.call(
                self._clients.sqs.create_queue, QueueName=name, Attributes=usual | attributes
            )
        except Conflict:  # somebody else made it just now, with other attributes
            return await self._look_up(name)
        return answer["QueueUrl"]

    async def _url(self, queue: str, *, dead: bool = False) -> str:
        name = (dead_letter_name if dead else queue_name)(self._settings.prefix, queue)
        if name not in self._urls:
            self._urls[name] = await self._look_up(name)
        return self._urls[name]

    async def _look_up(self, name: str) -> str:
        return (await self._clients.call(self._clients.sqs.get_queue_url, QueueName=name))["QueueUrl"]

    async def _arn(self, url: str) -> str:
        if url not in self._arns:
            answer = await self._clients.call(
                self._clients.sqs.get_queue_attributes, QueueUrl=url, AttributeNames=["QueueArn"]
            )
            self._arns[url] = answer["Attributes"]["QueueArn"]
        return self._arns[url]

    def _entry(self, index: int, message: Outgoing) -> SendMessageBatchRequestEntryTypeDef:
        entry: SendMessageBatchRequestEntryTypeDef = {"Id": str(index), "MessageBody": message.body}
        if message.delay_seconds:
            entry["DelaySeconds"] = math.ceil(message.delay_seconds)
        if message.fair_group and self._settings.fair_queues:
            entry["MessageGroupId"] = message.fair_group
        return entry

    @contextmanager
    def _finding(self, queue: str) -> Iterator[None]:
        """Forget the URL of a queue that is gone, so that one that is made anew is found."""
        try:
            yield
        except NotFound as error:
            self._urls.pop(queue_name(self._settings.prefix, queue), None)
            self._urls.pop(dead_letter_name(self._settings.prefix, queue), None)
            raise NotFound(
                f"there is no queue {queue!r}: deploy its runtime, or let a worker create it"
            ) from error


@contextmanager
def _allowed_to_make(queue: str) -> Iterator[None]:
    """Say what to do where there is no queue, and the role may not make it."""
    try:
        yield
    except BackendError as error:
        if not is_refusal(error):
            raise
        namespace, _, runtime = queue.partition("/")
        problem = Problem(
            "runtime",
            "no_task_queue",
            f"There is no task queue of runtime '{runtime}' in namespace '{namespace}', and nobody here may make one. "
            f"Deploy ExternalRuntime(..., namespace='{namespace}', runtime='{runtime}'), or set "
            "create_queues in the configuration of the control plane.",
        )
        raise InvalidRequest("Nodes of this runtime cannot be registered.", [problem]) from error


def incoming(message: MessageTypeDef) -> Incoming:
    """A message as SQS gave it, asked for its receive count and when it was sent."""
    attributes = message["Attributes"]
    return Incoming(
        id=message["MessageId"],
        body=message["Body"],
        receipt=message["ReceiptHandle"],
        receive_count=int(attributes["ApproximateReceiveCount"]),
        sent_ms=int(attributes["SentTimestamp"]),
    )


def _text(value: str) -> MessageAttributeValueTypeDef:
    return {"DataType": "String", "StringValue": value}


def _checked_size(message: Outgoing) -> int:
    if not message.body or _REFUSED.search(message.body):
        raise ValueError("a message is not empty and has no control characters; write it as JSON in ASCII")
    if not 0 <= message.delay_seconds <= MAX_DELAY_SECONDS:
        raise ValueError(f"a message can be delayed by 0 to {MAX_DELAY_SECONDS} seconds; use a timer")
    size = len(message.body.encode())
    if size > MAX_MESSAGE_BYTES:
        raise ItemTooLarge(f"a message of {size} bytes; a queue takes {MAX_MESSAGE_BYTES}")
    return size


def _check_lease(lease_seconds: int) -> None:
    if not 0 <= lease_seconds <= MAX_LEASE_SECONDS:
        raise ValueError(f"a lease lasts 0 to {MAX_LEASE_SECONDS} seconds")


def _batches(messages: Sequence[Outgoing]) -> Iterator[list[Outgoing]]:
    """Pieces of at most ten messages and 1 MiB."""
    batch: list[Outgoing] = []
    room = MAX_MESSAGE_BYTES
    for message in messages:
        size = _checked_size(message)
        if batch and (size > room or len(batch) == _BATCH):
            yield batch
            batch, room = [], MAX_MESSAGE_BYTES
        batch.append(message)
        room -= size
    if batch:
        yield batch


def _without_stale(
    batch: Sequence[str], failed: Sequence[BatchResultErrorEntryTypeDef]
) -> tuple[list[BatchResultErrorEntryTypeDef], list[str]]:
    """The failures that are none of staleness, and the receipts that are stale."""
    others = [entry for entry in failed if entry["Code"] not in _STALE]
    return others, [batch[int(entry["Id"])] for entry in failed if entry["Code"] in _STALE]


def _left(operation: str, batch: Sequence[T], failed: Sequence[BatchResultErrorEntryTypeDef]) -> list[T]:
    """What of a batch can be sent again; raises for the first entry that cannot."""
    for entry in failed:
        error = entry_error(
            operation, entry["Code"], entry.get("Message", ""), our_fault=entry["SenderFault"]
        )
        if not error.retryable:
            raise error
    return [batch[int(entry["Id"])] for entry in failed]


def _unsent(left: int) -> Exception:
    return Unavailable(f"SQS failed {left} entries of a batch, again and again")
