"""The names of a deployment's resources. All follow from the stage, so that stacks need no references to each other.

A runtime's stack, also one of another app, is put together from the same names as the control plane's: no exports that
cannot be changed while they are in use, and each stack can be deployed and taken away by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aws_cdk import Aws
from constructs import IConstruct

from karman_core.backends.aws import names
from karman_infra.config import Config, load_config

STAGE_TAG: Final = "karman:stage"
"""On everything of a stage, for lists of costs."""

FUNCTIONS: Final = ("api", "cron", "dead_letters", "sweeper", "webhooks")


@dataclass(frozen=True, slots=True)
class Deployment:
    """One stage in the account and region of a stack."""

    config: Config

    @classmethod
    def of(cls, scope: IConstruct) -> Deployment:
        """The deployment that the context of the app configures. Raises InvalidRequest."""
        return cls(load_config(scope.node))

    @property
    def prefix(self) -> str:
        return self.config.prefix

    # --- names --------------------------------------------------------------------------------------------------------
    # Task queues are named {prefix}-{namespace}-{runtime}. No other name may have two parts after the prefix.

    @property
    def table_name(self) -> str:
        return self.prefix

    @property
    def bucket_name(self) -> str:
        return f"{self.prefix}-{Aws.ACCOUNT_ID}-{Aws.REGION}"

    @property
    def bus_name(self) -> str:
        return self.prefix

    @property
    def timer_group(self) -> str:
        return f"{self.prefix}-timers"

    @property
    def schedule_group(self) -> str:
        return names.schedule_group(self.prefix)

    @property
    def scheduler_role_name(self) -> str:
        return f"{self.prefix}-scheduler-{Aws.REGION}"

    @property
    def undelivered_queue_name(self) -> str:
        return f"{self.prefix}-undelivered"

    @property
    def topic_name(self) -> str:
        return f"{self.prefix}-alarms"

    @property
    def key_alias(self) -> str:
        return f"alias/{self.prefix}"

    def function_name(self, function: str) -> str:
        """Of one of `FUNCTIONS`."""
        return f"{self.prefix}-{function}"

    def queue_name(self, queue: str) -> str:
        """Of the task queue `namespace/runtime`."""
        return names.queue_name(self.prefix, queue)

    def dead_letter_name(self, queue: str) -> str:
        """Of the task queue's dead-letter queue."""
        return names.dead_letter_name(self.prefix, queue)

    # --- ARNs ---------------------------------------------------------------------------------------------------------

    @property
    def table_arn(self) -> str:
        return _arn("dynamodb", f"table/{self.table_name}")

    @property
    def bucket_arn(self) -> str:
        return f"arn:{Aws.PARTITION}:s3:::{self.bucket_name}"

    @property
    def bus_arn(self) -> str:
        return _arn("events", f"event-bus/{self.bus_name}")

    @property
    def scheduler_role_arn(self) -> str:
        return f"arn:{Aws.PARTITION}:iam::{Aws.ACCOUNT_ID}:role/{self.scheduler_role_name}"

    @property
    def undelivered_arn(self) -> str:
        return _arn("sqs", self.undelivered_queue_name)

    @property
    def topic_arn(self) -> str:
        return _arn("sns", self.topic_name)

    @property
    def secrets_arn(self) -> str:
        """Of every secret; `/{prefix}/{namespace}/...` begins those of a namespace."""
        return _arn("ssm", f"parameter/{self.prefix}")

    def function_arn(self, function: str) -> str:
        return _arn("lambda", f"function:{self.function_name(function)}")

    def queue_arn(self, queue: str) -> str:
        return _arn("sqs", self.queue_name(queue))

    def dead_letter_arn(self, queue: str) -> str:
        return _arn("sqs", self.dead_letter_name(queue))

    def task_queue_arns(self, suffix: str = "") -> list[str]:
        """Of every task queue and dead-letter queue, known or to come; with `-dlq`, of the latter alone."""
        return [_arn("sqs", f"{self.prefix}{separator}*{suffix}") for separator in "-_"]

    def schedules_arn(self, group: str) -> str:
        """Of every schedule of a group."""
        return _arn("scheduler", f"schedule/{group}/*")

    def group_arn(self, group: str) -> str:
        return _arn("scheduler", f"schedule-group/{group}")

    # --- what processes are told --------------------------------------------------------------------------------------

    def settings(self) -> dict[str, str]:
        """Fields of the settings models that every process of the deployment reads, by AwsSettings' names."""
        config = self.config
        return {
            "table_name": self.table_name,
            "prefix": self.prefix,
            "stage": config.stage,
            "bucket": self.bucket_name,
            "event_bus": self.bus_name,
            "timer_group": self.timer_group,
            "scheduler_role_arn": self.scheduler_role_arn,
            "scheduler_dead_letter_arn": self.undelivered_arn,
            "fair_queues": str(config.fair_queues).lower(),
            "retention_days": str(config.retention_days),
            "publish_started": str(config.publish_started).lower(),
            "log_level": config.log_level,
        }


def _arn(service: str, resource: str) -> str:
    return f"arn:{Aws.PARTITION}:{service}:{Aws.REGION}:{Aws.ACCOUNT_ID}:{resource}"
