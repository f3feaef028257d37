"""The AWS backend: DynamoDB, SQS, EventBridge Scheduler, Parameter Store, S3 and an EventBridge bus."""

from karman_core.backends.aws.backend import AwsBackend
from karman_core.backends.aws.settings import AwsSettings

__all__ = ["AwsBackend", "AwsSettings"]
