"""Dead letters are sent back to the task queue that they died on: for when the cause has been mended.

Usually there are none to send: the function of dead letters takes them every few minutes. They wait where it fails, or
is not deployed. Each is sent before it is deleted, so a crash in between sends it twice, which does no harm: whoever
receives a message looks before it runs. (SQS's own StartMessageMoveTask would do the same, but emulators lack it, and
it cannot be waited for.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from karman_core.backends.aws.clients import AwsClients
from karman_core.backends.aws.names import DEAD_LETTER_SUFFIX, dead_letter_name
from karman_core.domain.errors import Unavailable
from karman_core.ports.queue import MAX_MESSAGE_BYTES

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import MessageTypeDef

_BATCH: Final = 10
_HIDDEN_SECONDS: Final = 60


async def queue_urls(clients: AwsClients) -> Mapping[str, str]:
    """Of the deployment's queues, by name."""
    prefix = clients.settings.prefix
    pages = clients.sqs.get_paginator("list_queues")

    def read() -> list[str]:
        wanted = pages.paginate(QueueNamePrefix=prefix, PaginationConfig={"PageSize": 1_000})
        return [url for page in wanted for url in page.get("QueueUrls", [])]

    by_name = {url.rpartition("/")[2]: url for url in await clients.call(read)}
    # Another deployment's prefix may begin alike.
    return {name: url for name, url in by_name.items() if name.startswith((f"{prefix}-", f"{prefix}_"))}


async def send_back(clients: AwsClients, queue: str | None) -> dict[str, int]:
    """Send dead letters back.

    Args:
        queue: those of this task queue, `namespace/runtime`; None for all of the deployment.

    Returns:
        How many were sent, by the SQS name of the task queue; those that come back meanwhile are not sent again.

    Raises:
        NotFound: the queue, or its dead-letter queue, does not exist.
    """
    if queue is not None:
        name = dead_letter_name(clients.settings.prefix, queue)
        answer = await clients.call(clients.sqs.get_queue_url, QueueName=name)
        urls: Mapping[str, str] = {name: answer["QueueUrl"]}
    else:
        urls = await queue_urls(clients)
    sent = {}
    for name, url in sorted(urls.items()):
        if name.endswith(DEAD_LETTER_SUFFIX):
            home = name.removesuffix(DEAD_LETTER_SUFFIX)
            target = await clients.call(clients.sqs.get_queue_url, QueueName=home)
            sent[home] = await _move(clients, url, target["QueueUrl"])
    return sent


async def _move(clients: AwsClients, source: str, target: str) -> int:
    told: Any = await clients.call(
        clients.sqs.get_queue_attributes, QueueUrl=source, AttributeNames=["ApproximateNumberOfMessages"]
    )
    waiting, moved = int(told["Attributes"]["ApproximateNumberOfMessages"]), 0
    while moved < waiting:
        answer = await clients.call(
            clients.sqs.receive_message,
            QueueUrl=source,
            MaxNumberOfMessages=min(_BATCH, waiting - moved),
            VisibilityTimeout=_HIDDEN_SECONDS,
            WaitTimeSeconds=1,
        )
        messages = answer.get("Messages", [])
        if not messages:
            break
        for batch in _within_limits(messages):
            moved += await _move_batch(clients, source, target, batch)
    return moved


def _within_limits(messages: Sequence[MessageTypeDef]) -> Iterator[list[MessageTypeDef]]:
    """Pieces that one send takes: SQS gives out ten messages whatever their sizes, and takes 1 MiB together."""
    batch: list[MessageTypeDef] = []
    room = MAX_MESSAGE_BYTES
    for message in messages:
        size = len(message["Body"].encode())
        if batch and size > room:
            yield batch
            batch, room = [], MAX_MESSAGE_BYTES
        batch.append(message)
        room -= size
    yield batch


async def _move_batch(
    clients: AwsClients, source: str, target: str, messages: Sequence[MessageTypeDef]
) -> int:
    answer = await clients.call(
        clients.sqs.send_message_batch,
        QueueUrl=target,
        Entries=[{"Id": str(at), "MessageBody": each["Body"]} for at, each in enumerate(messages)],
    )
    done = [messages[int(each["Id"])] for each in answer.get("Successful", [])]
    if done:
        await clients.call(
            clients.sqs.delete_message_batch,
            QueueUrl=source,
            Entries=[{"Id": str(at), "ReceiptHandle": each["ReceiptHandle"]} for at, each in enumerate(done)],
        )
    if answer.get("Failed"):
        raise Unavailable(f"SQS did not take {len(answer['Failed'])} messages; they stay where they were.")
    return len(done)
