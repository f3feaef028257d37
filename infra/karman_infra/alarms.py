"""Alarms: what somebody has to look at. Each says what it means and what to do, in its description.

They cost by the month, so that a stage whose alarms nobody would hear of has none. The topic costs nothing and is
always there: stacks of runtimes name it, and people may subscribe to it whatever the configuration says.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from aws_cdk import Aws, Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from karman_core.backends.aws.metrics import NAMESPACE
from karman_infra.deployment import FUNCTIONS, Deployment
from karman_infra.queues import TaskQueue, deployment_key

_FIVE_MINUTES: Final = Duration.minutes(5)
_STUCK_PERIODS: Final = 3


class AlarmTopic(Construct):
    """Where alarms go, and who is told."""

    def __init__(self, scope: Construct, construct_id: str, deployment: Deployment) -> None:
        super().__init__(scope, construct_id)
        self.topic = sns.Topic(
            self,
            "Topic",
            topic_name=deployment.topic_name,
            display_name=f"Karman, stage {deployment.config.stage}",
            enforce_ssl=True,
            master_key=deployment_key(self, deployment),
        )
        # The policy above replaces SNS's own, which lets the account's alarms publish; others' are not to.
        self.topic.grant_publish(
            iam.ServicePrincipal(
                "cloudwatch.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}}
            )
        )
        for address in deployment.config.alarms.emails:
            self.topic.add_subscription(subscriptions.EmailSubscription(address))


class _Alarms(Construct):
    def __init__(self, scope: Construct, construct_id: str, deployment: Deployment) -> None:
        super().__init__(scope, construct_id)
        self._deployment = deployment
        self._action = actions.SnsAction(sns.Topic.from_topic_arn(self, "Topic", deployment.topic_arn))
        # Letters may wait for a whole round before they are taken.
        rounds = math.ceil(deployment.config.dead_letters_minutes * 60 / _FIVE_MINUTES.to_seconds())
        self._stuck_periods = _STUCK_PERIODS + rounds - 1
        self._stuck_minutes = round(self._stuck_periods * _FIVE_MINUTES.to_minutes())

    def alarm(
        self,
        construct_id: str,
        metric: cloudwatch.Metric,
        description: str,
        *,
        above: float,
        periods: int = 1,
    ) -> None:
        """An alarm that goes off when the metric is above a value, and says so when it is not any more; if wanted."""
        if not self._deployment.config.has_alarms:
            return
        alarm = cloudwatch.Alarm(
            self,
            construct_id,
            metric=metric,
            alarm_description=f"Karman, stage {self._deployment.config.stage}: {description}",
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            threshold=above,
            evaluation_periods=periods,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        alarm.add_alarm_action(self._action)
        alarm.add_ok_action(self._action)


class ControlPlaneAlarms(_Alarms):
    """Of the control plane. Of dead letters there is one alarm for all runtimes: their function has taken some."""

    def __init__(self, scope: Construct, construct_id: str, deployment: Deployment, api_id: str) -> None:
        super().__init__(scope, construct_id, deployment)
        self.alarm(
            "Api5xx",
            metric("AWS/ApiGateway", "5xx", {"ApiId": api_id}),
            "the API answers with errors of its own. Look at the log of the api function.",
            above=deployment.config.alarms.api_5xx,
        )
        for function in FUNCTIONS:
            self.alarm(
                f"Errors-{function}",
                metric("AWS/Lambda", "Errors", {"FunctionName": deployment.function_name(function)}),
                f"the function {function} failed. Look at its log.",
                above=0,
            )
        self.alarm(
            "DeadLetters",
            metric(NAMESPACE, "DeadLetters", {"Stage": deployment.config.stage}),
            "messages were delivered too often; each has ended in a record. The log of dead_letters names the runs.",
            above=0,
        )
        self.alarm(
            "Undelivered",
            _visible(deployment.undelivered_queue_name),
            f"firings of schedules that nobody could take, for {self._stuck_minutes} minutes. Look at the logs of cron "
            "and dead_letters.",
            above=0,
            periods=self._stuck_periods,
        )
        for name in ("ReadThrottleEvents", "WriteThrottleEvents"):
            self.alarm(
                name,
                metric("AWS/DynamoDB", name, {"TableName": deployment.table_name}),
                "the table is throttled. It recovers by itself; if it goes on, one key takes too much of the traffic.",
                above=0,
                periods=_STUCK_PERIODS,
            )


class RuntimeAlarms(_Alarms):
    """Of one runtime's queue."""

    def __init__(self, scope: Construct, construct_id: str, deployment: Deployment, queue: TaskQueue) -> None:
        super().__init__(scope, construct_id, deployment)
        self._queue = queue
        self.alarm(
            "Age",
            metric(
                "AWS/SQS",
                "ApproximateAgeOfOldestMessage",
                {"QueueName": deployment.queue_name(queue.name)},
                statistic="Maximum",
            ),
            f"work of {queue.name} waits for too long. More workers are needed, or a message comes again and again.",
            above=deployment.config.alarms.queue_age_seconds,
        )
        self.alarm(
            "DeadLettersStuck",
            _visible(deployment.dead_letter_name(queue.name)),
            f"dead letters of {queue.name} have not been taken for {self._stuck_minutes} minutes. Look at the log of "
            "dead_letters.",
            above=0,
            periods=self._stuck_periods,
        )

    def of_function(self, name: str) -> None:
        """Alarms of the function that works on the queue."""
        for what, meaning in (
            ("Errors", "ended with an error: time-out, memory, or a fault at its start. Look at its log."),
            ("Throttles", "was throttled: the account's concurrency is used up, or lower its own maximum."),
        ):
            self.alarm(
                what,
                metric("AWS/Lambda", what, {"FunctionName": name}),
                f"the function of {self._queue.name} {meaning}",
                above=0,
            )


def metric(
    namespace: str, name: str, dimensions: Mapping[str, str], statistic: str = "Sum"
) -> cloudwatch.Metric:
    """A metric of AWS, over five minutes."""
    return cloudwatch.Metric(
        namespace=namespace,
        metric_name=name,
        dimensions_map=dict(dimensions),
        statistic=statistic,
        period=_FIVE_MINUTES,
    )


def _visible(queue_name: str) -> cloudwatch.Metric:
    return metric(
        "AWS/SQS", "ApproximateNumberOfMessagesVisible", {"QueueName": queue_name}, statistic="Minimum"
    )
