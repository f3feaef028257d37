"""SQS events as Lambda gets them, and its context."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from karman_core.ports.queue import Incoming

REGION = "us-east-1"
ACCOUNT = "123456789012"


class LambdaContext:
    """What handlers read of it."""

    aws_request_id = "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"

    def __init__(self, seconds: float = 600.0) -> None:
        self._end = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self._end - time.monotonic()) * 1000))


def sqs_event(queue: str, messages: Sequence[Incoming], **attached: str) -> dict[str, Any]:
    """A batch from the queue of this SQS name; `attached` are message attributes, dots for underscores."""
    return {"Records": [sqs_record(queue, message, **attached) for message in messages]}


def sqs_record(queue: str, message: Incoming, **attached: str) -> dict[str, Any]:
    """One message of it."""
    return {
        "messageId": message.id,
        "receiptHandle": message.receipt,
        "body": message.body,
        "attributes": {
            "ApproximateReceiveCount": str(message.receive_count),
            "SentTimestamp": str(message.sent_ms),
            "SenderId": "AIDAIENQZJOLO23YVJ4VO",
            "ApproximateFirstReceiveTimestamp": str(message.sent_ms + 1),
        },
        "messageAttributes": {
            name.replace("_", "-"): {
                "stringValue": value,
                "stringListValues": [],
                "binaryListValues": [],
                "dataType": "String",
            }
            for name, value in attached.items()
        },
        "md5OfBody": "098f6bcd4621d373cade4e832627b4f6",
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}",
        "awsRegion": REGION,
    }
