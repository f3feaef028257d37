"""Schedules: the two groups that the engine keeps its schedules in, the role they act in, and the function for cron."""

from __future__ import annotations

from aws_cdk import Aws, Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_scheduler as scheduler
from constructs import Construct

from karman_infra import permissions
from karman_infra.deployment import Deployment
from karman_infra.functions import ControlFunction, grant
from karman_infra.queues import deployment_key, encrypted_queue

TIMEOUT_SECONDS = 60
EVENT_AGE = Duration.hours(6)
"""A firing that could not start its run for so long is left to the queue of undelivered ones."""


class Cron(Construct):
    """Cron triggers and timers of graphs. The engine makes the schedules themselves, when a graph is stored."""

    def __init__(self, scope: Construct, construct_id: str, deployment: Deployment) -> None:
        super().__init__(scope, construct_id)
        self._deployment = deployment
        self.timers = scheduler.CfnScheduleGroup(self, "Timers", name=deployment.timer_group)
        self.schedules = scheduler.CfnScheduleGroup(self, "Schedules", name=deployment.schedule_group)
        key = deployment_key(self, deployment)
        # What could not be delivered, by Scheduler or by Lambda after its retries; worked off as dead letters are.
        self.undelivered = encrypted_queue(self, "Undelivered", deployment.undelivered_queue_name, key)
        self.function = self._function()
        self.role = self._role()

    def _function(self) -> ControlFunction:
        deployment = self._deployment
        function = ControlFunction(
            self,
            "Function",
            deployment,
            function="cron",
            permissions=permissions.starting(deployment),
            timeout_seconds=TIMEOUT_SECONDS,
            description="a firing of a cron trigger starts a run",
        )
        lambda_.CfnEventInvokeConfig(
            self,
            "Retries",
            function_name=function.function_name,
            qualifier="$LATEST",
            maximum_retry_attempts=2,
            maximum_event_age_in_seconds=round(EVENT_AGE.to_seconds()),
            destination_config={"onFailure": {"destination": self.undelivered.queue_arn}},
        )
        return_to = permissions.sending([self.undelivered.queue_arn], timers=False)
        return_to.sid = "Undelivered"
        function.add_to_role_policy(return_to)
        return function

    def _role(self) -> iam.Role:
        """Scheduler's, for the schedules of the two groups and no others."""
        deployment = self._deployment
        groups = [deployment.group_arn(each) for each in (deployment.timer_group, deployment.schedule_group)]
        trusted = iam.ServicePrincipal(
            "scheduler.amazonaws.com",
            conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID, "aws:SourceArn": groups}},
        )
        role = iam.Role(self, "Role", role_name=deployment.scheduler_role_name, assumed_by=trusted)
        firing = iam.PolicyStatement(
            sid="Firing",
            actions=["lambda:InvokeFunction"],
            resources=[deployment.function_arn("cron"), deployment.function_arn("webhooks")],
        )
        sending = iam.PolicyStatement(
            sid="Timers",
            actions=["sqs:SendMessage"],
            resources=[*deployment.task_queue_arns(), self.undelivered.queue_arn],
        )
        grant(role, [firing, sending, *permissions.key(deployment)])
        return role
