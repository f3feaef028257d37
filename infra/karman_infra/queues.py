"""Task queues, each with the queue of its dead letters."""

from __future__ import annotations

from typing import Final

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from karman_core.backends.aws import AwsSettings
from karman_core.backends.aws.queue import MAX_LEASE_SECONDS, RETENTION_SECONDS
from karman_infra.acknowledged import acknowledge
from karman_infra.deployment import Deployment

VISIBILITY_FACTOR: Final = 6
"""AWS asks for six times the function's time-out: batches that Lambda could not run at once stay hidden meanwhile."""

MAX_RECEIVES: Final = AwsSettings("").max_receives
"""More than the engine's crash limit: it ends a state by itself, and dead letters are what it never got to see."""

WORKER_VISIBILITY_SECONDS: Final = AwsSettings("").visibility_seconds
"""For workers that are no function: they give each receive its own lease, this is for whoever gives none."""

_RETENTION: Final = Duration.seconds(RETENTION_SECONDS)


def visibility_seconds(function_timeout_seconds: int) -> int:
    """How long a message that a function has received stays hidden; the function shortens it to its lease."""
    return min(MAX_LEASE_SECONDS, VISIBILITY_FACTOR * function_timeout_seconds)


class TaskQueue(Construct):
    """The queue of one runtime, `namespace/runtime`, and its dead-letter queue, which takes from no other."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        deployment: Deployment,
        *,
        queue: str,
        visibility_seconds: int = WORKER_VISIBILITY_SECONDS,
    ) -> None:
        super().__init__(scope, construct_id)
        self.name = queue
        key = deployment_key(self, deployment)
        self.dead_letters = encrypted_queue(
            self, "DeadLetters", deployment.dead_letter_name(queue), key, allows=deployment.queue_arn(queue)
        )
        self.queue = encrypted_queue(
            self,
            "Queue",
            deployment.queue_name(queue),
            key,
            visibility_seconds=visibility_seconds,
            dead_letters=sqs.DeadLetterQueue(queue=self.dead_letters, max_receive_count=MAX_RECEIVES),
        )


def deployment_key(scope: Construct, deployment: Deployment) -> kms.IKey | None:
    """The deployment's own key, by its alias, if it has one."""
    if not deployment.config.customer_key:
        return None
    return kms.Alias.from_alias_name(scope, "DeploymentKey", deployment.key_alias)


def encrypted_queue(
    scope: Construct,
    construct_id: str,
    name: str,
    key: kms.IKey | None,
    *,
    visibility_seconds: int | None = None,
    dead_letters: sqs.DeadLetterQueue | None = None,
    allows: str | None = None,
) -> sqs.Queue:
    """A queue for messages of Karman: encrypted, over TLS alone, with the longest retention.

    Args:
        key: None for SQS's own.
        dead_letters: where its dead letters go.
        allows: for a queue of dead letters: the ARN of the one queue whose it takes; it has none of its own.
    """
    queue = sqs.Queue(
        scope,
        construct_id,
        queue_name=name,
        encryption=sqs.QueueEncryption.KMS if key else sqs.QueueEncryption.SQS_MANAGED,
        encryption_master_key=key,
        enforce_ssl=True,
        retention_period=_RETENTION,
        visibility_timeout=None if visibility_seconds is None else Duration.seconds(visibility_seconds),
        receive_message_wait_time=Duration.seconds(20),
        dead_letter_queue=dead_letters,
        removal_policy=RemovalPolicy.DESTROY,
    )
    child = queue.node.default_child
    if allows is not None and isinstance(child, sqs.CfnQueue):
        # By name: a reference would go round in a circle.
        child.redrive_allow_policy = {"redrivePermission": "byQueue", "sourceQueueArns": [allows]}
    if dead_letters is None:
        acknowledge(
            queue,
            "SQS3",
            "It is itself where dead letters go, and what it holds is worked off by a function.",
        )
    return queue
