"""The guards: dead letters end in a record, and the sweeper looks once an hour for what the protocol cannot see."""

from __future__ import annotations

from typing import Final

from aws_cdk import Aws
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from karman_infra import permissions
from karman_infra.deployment import Deployment
from karman_infra.functions import ControlFunction, grant
from karman_infra.storage import ARCHIVE

DEAD_LETTERS_TIMEOUT_SECONDS: Final = 60
SWEEP_TIMEOUT_SECONDS: Final = 900
SWEEP_EVERY: Final = "rate(1 hour)"
_BATCH: Final = 10


class DeadLetters(Construct):
    """The function that works off dead letters, of every queue that `take_from` names."""

    def __init__(self, scope: Construct, construct_id: str, deployment: Deployment) -> None:
        super().__init__(scope, construct_id)
        self.function = ControlFunction(
            self,
            "Function",
            deployment,
            function="dead_letters",
            permissions=[
                *permissions.following(deployment),
                permissions.archiving(deployment),
                permissions.receiving([*deployment.task_queue_arns("-dlq"), deployment.undelivered_arn]),
            ],
            timeout_seconds=DEAD_LETTERS_TIMEOUT_SECONDS,
            description=f"dead letters end in a record, foreign ones in {ARCHIVE}",
        )


def take_dead_letters(
    scope: Construct, construct_id: str, deployment: Deployment, queue: sqs.IQueue
) -> lambda_.CfnEventSourceMapping:
    """Have the function take a queue's messages. It may be in another stack: it is called by its name."""
    return event_source(scope, construct_id, deployment.function_name("dead_letters"), queue)


def event_source(
    scope: Construct, construct_id: str, function_name: str, queue: sqs.IQueue, concurrency: int | None = None
) -> lambda_.CfnEventSourceMapping:
    """Batches of a queue for a function, which answers for each message by itself.

    Args:
        concurrency: batches at a time. Lambda then leaves the others in the queue, where a limit of the function would
            have it receive them in vain, until they count as dead.
    """
    scaling = None if concurrency is None else {"maximumConcurrency": concurrency}
    return lambda_.CfnEventSourceMapping(
        scope,
        construct_id,
        function_name=function_name,
        event_source_arn=queue.queue_arn,
        batch_size=_BATCH,
        function_response_types=["ReportBatchItemFailures"],
        scaling_config=scaling,
    )


class Sweeper(Construct):
    """The function that goes through unfinished runs, and its hourly schedule."""

    def __init__(self, scope: Construct, construct_id: str, deployment: Deployment) -> None:
        super().__init__(scope, construct_id)
        self.function = ControlFunction(
            self,
            "Function",
            deployment,
            function="sweeper",
            permissions=[
                *permissions.following(deployment),
                permissions.indexes(deployment, permissions.SWEPT),
            ],
            timeout_seconds=SWEEP_TIMEOUT_SECONDS,
            description="the hourly look at unfinished runs",
        )
        # A sweep that fails is made up for by the next one.
        lambda_.CfnEventInvokeConfig(
            self,
            "Retries",
            function_name=self.function.function_name,
            qualifier="$LATEST",
            maximum_retry_attempts=0,
        )
        self._schedule(deployment)

    def _schedule(self, deployment: Deployment) -> None:
        trusted = iam.ServicePrincipal(
            "scheduler.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}}
        )
        role = iam.Role(self, "Role", assumed_by=trusted)
        arn = deployment.function_arn("sweeper")
        grant(role, [iam.PolicyStatement(sid="Sweeping", actions=["lambda:InvokeFunction"], resources=[arn])])
        scheduler.CfnSchedule(
            self,
            "Schedule",
            name=deployment.function_name("sweeper"),
            description=f"Karman, stage {deployment.config.stage}: sweep",
            schedule_expression=SWEEP_EVERY,
            flexible_time_window=scheduler.CfnSchedule.FlexibleTimeWindowProperty(
                mode="FLEXIBLE", maximum_window_in_minutes=15
            ),
            target=scheduler.CfnSchedule.TargetProperty(
                arn=arn,
                role_arn=role.role_arn,
                retry_policy=scheduler.CfnSchedule.RetryPolicyProperty(maximum_retry_attempts=0),
            ),
        ).node.add_dependency(self.function, role)
