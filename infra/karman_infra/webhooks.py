"""Webhooks: the rule that hands events of runs to a function, which delivers them. At rest they cost nothing."""

from __future__ import annotations

from typing import Final

from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from karman_core.backends.aws.events import SOURCE
from karman_infra import permissions
from karman_infra.deployment import Deployment
from karman_infra.functions import ControlFunction

TIMEOUT_SECONDS: Final = 60
"""Receivers are attempted side by side, and each may take 15 seconds."""

MEMORY_MB: Final = 512
"""It mostly waits."""

EVENT_AGE: Final = Duration.hours(6)
"""An event whose deliveries could not even begin for so long is left to the queue of undelivered ones."""

_TRIES: Final = 2


class Webhooks(Construct):
    """The function, what calls it, and where events go that it could not take. Scheduler calls it for retries."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        deployment: Deployment,
        *,
        bus: events.IEventBus,
        undelivered: sqs.Queue,
    ) -> None:
        super().__init__(scope, construct_id)
        self.function = ControlFunction(
            self,
            "Function",
            deployment,
            function="webhooks",
            permissions=permissions.delivering(deployment),
            timeout_seconds=TIMEOUT_SECONDS,
            memory_mb=MEMORY_MB,
            description="events of runs go to the webhooks of their namespace",
        )
        lambda_.CfnEventInvokeConfig(
            self,
            "Retries",
            function_name=self.function.function_name,
            qualifier="$LATEST",
            maximum_retry_attempts=_TRIES,
            maximum_event_age_in_seconds=round(EVENT_AGE.to_seconds()),
            destination_config={"onFailure": {"destination": undelivered.queue_arn}},
        )
        return_to = permissions.sending([undelivered.queue_arn], timers=False)
        return_to.sid = "Undelivered"
        self.function.add_to_role_policy(return_to)
        self.rule = events.Rule(
            self,
            "Rule",
            event_bus=bus,
            description=f"Karman, stage {deployment.config.stage}: events of runs go to webhooks",
            event_pattern=events.EventPattern(source=[SOURCE], detail_type=events.Match.prefix("run.")),
            targets=[targets.LambdaFunction(self.function, dead_letter_queue=undelivered)],
        )
