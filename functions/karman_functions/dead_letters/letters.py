"""What becomes of a dead letter: recorded in its run, fired, resumed, or archived. None is dropped.

- A message of a run makes the run go on without it: the state where it stands fails, and what follows is followed.
- A cron firing that never reached its function is made up for; it is the same run however often it is told.
- An event that the function of webhooks could not take, or an attempt of a delivery that it could not make, is made up
  for in the same way.
- A foreign message goes to the archive: an object in the bucket of blobs, with all that is known of it.

What cannot be handled because a service is busy or absent stays in its queue. What cannot be handled at all, tried
often enough, is archived too, so that it neither blocks others nor disappears with the queue's retention.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from karman_core.backends.aws.settings import AwsSettings
from karman_core.domain.errors import KarmanError
from karman_core.engine import Engine
from karman_core.engine.deliveries import Deliveries
from karman_core.engine.webhook_items import read_due
from karman_core.ports.blobs import Blobs
from karman_core.ports.events import Event
from karman_core.ports.queue import Incoming
from karman_functions.cron.firings import Fired, fire, read_firing
from karman_functions.webhooks.events import read_event

logger = logging.getLogger(__name__)

ARCHIVE = "dead-letters"
"""What the names of archived letters begin with; objects there are not to expire with the blobs of runs."""

TRIES = AwsSettings("").max_receives + 10
"""A letter that failed here so often, and not because a service was busy, is archived.

SQS counts receives over all queues, so a letter comes with those of the task queue that it died on. One that a worker
buried, or Scheduler sent, comes with none, and has as many tries more.
"""

_PLAIN = re.compile(r"[A-Za-z0-9_=-]{1,128}")


class Outcome(StrEnum):
    """What became of a letter."""

    RECORDED = "recorded"
    FIRED = "fired"
    RESUMED = "resumed"
    ARCHIVED = "archived"


@dataclass(frozen=True, slots=True)
class Letter:
    """A message of a dead-letter queue.

    Attributes:
        queue: the SQS name of the dead-letter queue.
        attributes: what its sender attached: Karman's reason, or Scheduler's error.
    """

    queue: str
    message: Incoming
    attributes: Mapping[str, str]

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Letter:
        """The letter of a record of Lambda's event."""
        system = record["attributes"]
        message = Incoming(
            id=record["messageId"],
            body=record["body"],
            receipt=record["receiptHandle"],
            receive_count=int(system["ApproximateReceiveCount"]),
            sent_ms=int(system["SentTimestamp"]),
        )
        attached = record.get("messageAttributes") or {}
        attributes = {name: str(value.get("stringValue", "")) for name, value in attached.items()}
        return cls(record["eventSourceARN"].rpartition(":")[2], message, attributes)


async def settle(engine: Engine, deliveries: Deliveries, blobs: Blobs, letter: Letter) -> Outcome:
    """See that nothing of the letter is lost. Again is no harm.

    Raises:
        Exception: it was not settled, and is to stay where it is.
    """
    try:
        if await engine.dead_letter(None, letter.message):
            return Outcome.RECORDED
        if await _fired(engine, letter.message.body):
            return Outcome.FIRED
        if await _resumed(deliveries, letter.message.body):
            return Outcome.RESUMED
    except Exception as error:
        busy = isinstance(error, KarmanError) and error.retryable
        if busy or letter.message.receive_count < TRIES:
            raise
        logger.exception("dead letter cannot be handled", extra=fields(letter))
    await _archive(blobs, letter)
    return Outcome.ARCHIVED


def fields(letter: Letter) -> dict[str, object]:
    """What log lines say of a letter; never its body."""
    return {
        "queue": letter.queue,
        "message_id": letter.message.id,
        "receive_count": letter.message.receive_count,
        "reason": letter.attributes.get("karman-reason") or letter.attributes.get("ERROR_CODE"),
    }


async def _fired(engine: Engine, body: str) -> bool:
    """Whether the letter was a cron firing, and its run has been started or need not be."""
    firing = read_firing(_payload(body))
    return firing is not None and await fire(engine, firing) is not Fired.REFUSED


async def _resumed(deliveries: Deliveries, body: str) -> bool:
    """Whether the letter was an event, or an attempt of a delivery, that a webhook is to have; its timer is set."""
    payload = _payload(body)
    due = read_due(payload)
    if due is not None:
        await deliveries.resume(due)
        return True
    event = _event(payload)
    if event is None:
        return False
    for begun in await deliveries.take(event):
        await deliveries.resume(begun)
    return True


def _event(payload: str) -> Event | None:
    try:
        data = json.loads(payload)
    except ValueError:
        return None
    return read_event(data) if isinstance(data, dict) else None


def _payload(body: str) -> str:
    """What a function was called with: the body itself, or within what an on-failure destination wraps around it."""
    try:
        data = json.loads(body)
    except ValueError:
        return body
    if isinstance(data, dict) and "requestPayload" in data:
        return json.dumps(data["requestPayload"])
    return body


async def _archive(blobs: Blobs, letter: Letter) -> None:
    message = letter.message
    document = {
        "queue": letter.queue,
        "message_id": message.id,
        "sent_ms": message.sent_ms,
        "attributes": letter.attributes,
        "body": message.body,
    }
    name = archive_name(letter)
    await blobs.put(name, json.dumps(document, sort_keys=True).encode())
    logger.error("dead letter archived", extra={**fields(letter), "blob": name})


def archive_name(letter: Letter) -> str:
    """By day and queue; the same each time."""
    day = datetime.fromtimestamp(letter.message.sent_ms / 1000, UTC).strftime("%Y-%m-%d")
    return f"{ARCHIVE}/{day}/{_part(letter.queue)}/{_part(letter.message.id)}.json"


def _part(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else hashlib.sha256(text.encode()).hexdigest()
