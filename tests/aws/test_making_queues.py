"""Queues that are made at run time are as those of stacks, as far as whoever makes them may see to it."""

import json
from typing import Any

import pytest

from karman_core.backends.aws import AwsBackend, AwsSettings
from karman_core.backends.system import SystemClock, SystemEntropy
from karman_core.domain.errors import NotFound

ALIAS = "alias/karman-prod"


class Sqs:
    """Without any queue at first."""

    def __init__(self) -> None:
        self.made: dict[str, dict[str, str]] = {}

    def get_queue_url(self, QueueName: str) -> dict[str, str]:  # noqa: N803 - the SDK's name
        if QueueName not in self.made:
            raise NotFound(QueueName)
        return {"QueueUrl": QueueName}

    def create_queue(self, QueueName: str, Attributes: dict[str, str]) -> dict[str, str]:  # noqa: N803 - (same)
        self.made[QueueName] = Attributes
        return {"QueueUrl": QueueName}

    def get_queue_attributes(self, QueueUrl: str, **_: Any) -> dict[str, Any]:  # noqa: N803 - (same)
        return {"Attributes": {"QueueArn": f"arn:{QueueUrl}"}}

    def close(self) -> None:
        """There is nothing to close."""


@pytest.mark.parametrize("key", [None, ALIAS])
async def test_a_queue_and_its_dead_letters(key: str | None) -> None:
    settings = AwsSettings("t", prefix="karman-prod", secrets_key_id=key)
    backend = AwsBackend.open(settings, clock=SystemClock(), entropy=SystemEntropy())
    sqs = Sqs()
    backend.clients._clients["sqs"] = sqs  # noqa: SLF001

    await backend.queue.create("ns/rt")
    await backend.queue.create("ns/rt")
    backend.close()

    queue, dead = sqs.made["karman-prod-ns-rt"], sqs.made["karman-prod-ns-rt-dlq"]
    assert len(sqs.made) == 2
    for made in (queue, dead):
        assert made["MessageRetentionPeriod"] == "1209600"
        assert made.get("KmsMasterKeyId") == key
    assert json.loads(queue["RedrivePolicy"]) == {
        "deadLetterTargetArn": "arn:karman-prod-ns-rt-dlq",
        "maxReceiveCount": settings.max_receives,
    }
