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

DEAD_LETTERS_TIMEOUT_SECONDS: Final = 240
SWEEP_TIMEOUT_SECONDS: Final = 900
SWEEP_EVERY: Final = "rate(1 hour)"
_SWEEP_WINDOW_MINUTES: Final = 15
_BATCH: Final = 10


class DeadLetters(Construct):
    """The function that empties all queues of dead letters every few minutes.

    They are no event sources of it: Lambda polls each event source all the time, which would cost more than all else
    that a deployment costs at rest. It finds them by their names, so no stack has to tell it of a runtime.
    """

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
                permissions.listing_queues(),
            ],
            timeout_seconds=DEAD_LETTERS_TIMEOUT_SECONDS,
            description=f"dead letters end in a record, foreign ones in {ARCHIVE}",
        )
        minutes = deployment.config.dead_letters_minutes
        call_regularly(
            self,
            deployment,
            self.function,
            "dead_letters",
            every=f"rate({minutes} minute{'' if minutes == 1 else 's'})",
            purpose="take dead letters",
        )


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
        call_regularly(
            self,
            deployment,
            self.function,
            "sweeper",
            every=SWEEP_EVERY,
            purpose="sweep",
            window_minutes=_SWEEP_WINDOW_MINUTES,
        )


def call_regularly(
    scope: Construct,
    deployment: Deployment,
    function: ControlFunction,
    name: str,
    *,
    every: str,
    purpose: str,
    window_minutes: int | None = None,
) -> None:
    """A schedule for a guard, in a role that may do nothing else. One that fails is made up for by the next time.

    Args:
        name: of the function, one of `FUNCTIONS`.
        every: a rate, in Scheduler's words.
        purpose: for the console.
        window_minutes: within which Scheduler may choose the moment; None for none.
    """
    lambda_.CfnEventInvokeConfig(
        scope,
        "Retries",
        function_name=function.function_name,
        qualifier="$LATEST",
        maximum_retry_attempts=0,
    )
    trusted = iam.ServicePrincipal(
        "scheduler.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}}
    )
    role = iam.Role(scope, "Role", assumed_by=trusted)
    arn = deployment.function_arn(name)
    calling = iam.PolicyStatement(sid="Calling", actions=["lambda:InvokeFunction"], resources=[arn])
    grant(role, [calling])
    scheduler.CfnSchedule(
        scope,
        "Schedule",
        name=function.name,
        description=f"Karman, stage {deployment.config.stage}: {purpose}",
        schedule_expression=every,
        flexible_time_window=scheduler.CfnSchedule.FlexibleTimeWindowProperty(
            mode="OFF" if window_minutes is None else "FLEXIBLE", maximum_window_in_minutes=window_minutes
        ),
        target=scheduler.CfnSchedule.TargetProperty(
            arn=arn,
            role_arn=role.role_arn,
            retry_policy=scheduler.CfnSchedule.RetryPolicyProperty(maximum_retry_attempts=0),
        ),
    ).node.add_dependency(function, role)
