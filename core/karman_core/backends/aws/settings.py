"""What an AWS backend has to be told. Whoever composes one reads the environment; nothing here does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

DEFAULT_THREADS = 32
RUN_BLOBS = "runs/"


@dataclass(frozen=True, slots=True)
class AwsSettings:
    """Names of the resources of one deployment, and how to reach them.

    Attributes:
        table_name: the one DynamoDB table.
        prefix: begins the names of queues and parameters, so that deployments share an account. Letters, digits,
            hyphens and underscores.
        region: None for what the SDK finds (variables, profile, instance).
        endpoint: URL of every service; None for AWS or the SDK's own endpoint variables.
        endpoints: URL by service, as the SDK names it (`dynamodb`, `sqs`, ...); goes before `endpoint`.
        bucket: where blobs are kept. `blob_prefix` begins the keys of the objects of runs, so that the rule which
            expires them can spare all others.
        event_bus: name or ARN of the bus that events are put on.
        timer_group: Scheduler group of the one-time schedules; `schedule_group`: that of the cron triggers. Two, so
            that a list of triggers does not read every timer.
        scheduler_role_arn: the role in which Scheduler sends to the queues and calls the cron target.
        cron_target_arn: the Lambda function or queue that a cron trigger calls.
        webhooks_target_arn: the function that delivers webhooks, which timers of deliveries call.
        scheduler_dead_letter_arn: the queue for firings that could not be delivered in a day.
        secrets_key_id: the KMS key of secrets, and of queues made by `create`; None for the account's own `aws/ssm` and
            for SQS's.
        fair_queues: send `fair_group` as message group. Costs 25 % more a request; keeps one run with many branches
            from delaying the others.
        visibility_seconds: of queues made by `create`; at least the time-out of the function that reads them.
        max_receives: of queues made by `create`; after so many, a message goes to the dead-letter queue. Far above the
            engine's crash limit: deliveries that were throttled or given back count too, and are nobody's fault.
        threads: calls to AWS at one time; also the size of the pools of connections.
    """

    table_name: str
    prefix: str = "karman"
    region: str | None = None
    endpoint: str | None = None
    endpoints: Mapping[str, str] = field(default_factory=dict)
    bucket: str = ""
    blob_prefix: str = RUN_BLOBS
    event_bus: str = "default"
    timer_group: str = "default"
    schedule_group: str = "default"
    scheduler_role_arn: str = ""
    cron_target_arn: str = ""
    webhooks_target_arn: str = ""
    scheduler_dead_letter_arn: str | None = None
    secrets_key_id: str | None = None
    fair_queues: bool = True
    visibility_seconds: int = 900
    max_receives: int = 30
    threads: int = DEFAULT_THREADS
