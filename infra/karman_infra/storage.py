"""What outlives functions: the table, the bucket of blobs, and the key that encrypts them if the deployment has one."""

from __future__ import annotations

from typing import Final

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from karman_core.backends.aws import schema
from karman_core.backends.aws.settings import RUN_BLOBS
from karman_core.engine import EngineSettings
from karman_core.ports.table import INDEXES
from karman_functions.dead_letters.letters import ARCHIVE as ARCHIVED
from karman_infra.acknowledged import acknowledge
from karman_infra.deployment import Deployment

ARCHIVE: Final = f"{ARCHIVED}/"
"""Foreign messages are kept here, for people to look at, until people delete them."""

_DAY_SECONDS: Final = 86_400
_TEXT: Final = dynamodb.AttributeType.STRING


def removal_policy(deployment: Deployment) -> RemovalPolicy:
    """What happens to data when its stack goes.

    What a first deployment made that failed goes in any case: the next one could not make it under the same name.
    """
    return RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE if deployment.config.production else RemovalPolicy.DESTROY


class EncryptionKey(Construct):
    """A KMS key of the deployment, which the services use for whoever may use them; rotated every year."""

    def __init__(self, scope: Construct, construct_id: str, deployment: Deployment) -> None:
        super().__init__(scope, construct_id)
        self.key = kms.Key(
            self,
            "Key",
            alias=deployment.key_alias,
            description=f"Karman, stage {deployment.config.stage}: queues, blobs, secrets, table",
            enable_key_rotation=True,
            removal_policy=removal_policy(deployment),
        )
        # Alarms are published by CloudWatch, schedules are sent by Scheduler, and SQS is asked for a data key by SNS.
        for service in ("cloudwatch.amazonaws.com", "events.amazonaws.com"):
            self.key.grant(iam.ServicePrincipal(service), "kms:Decrypt", "kms:GenerateDataKey")


class StateTable(Construct):
    """The one table: `schema` says what it looks like, for this and for the tests."""

    def __init__(
        self, scope: Construct, construct_id: str, deployment: Deployment, key: kms.IKey | None = None
    ) -> None:
        super().__init__(scope, construct_id)
        encryption = dynamodb.TableEncryption.CUSTOMER_MANAGED if key else dynamodb.TableEncryption.DEFAULT
        production = deployment.config.production
        self.table = dynamodb.Table(
            self,
            "Table",
            table_name=deployment.table_name,
            partition_key=_key(schema.PARTITION_KEY),
            sort_key=_key(schema.SORT_KEY),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            time_to_live_attribute=schema.TIME_TO_LIVE,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=schema.POINT_IN_TIME_RECOVERY
            ),
            deletion_protection=production,
            encryption=encryption,
            encryption_key=key,
            # It refuses to be deleted, also by the end of a first deployment that failed, which would fail in turn.
            removal_policy=RemovalPolicy.RETAIN if production else RemovalPolicy.DESTROY,
        )
        for index in INDEXES:
            self.table.add_global_secondary_index(
                index_name=index.name,
                partition_key=_key(index.pk),
                sort_key=_key(index.sk),
                projection_type=dynamodb.ProjectionType[schema.INDEX_PROJECTION],
            )


class BlobBucket(Construct):
    """Payloads that are too large for the table, and the archive of foreign messages."""

    def __init__(
        self, scope: Construct, construct_id: str, deployment: Deployment, key: kms.IKey | None = None
    ) -> None:
        super().__init__(scope, construct_id)
        self.bucket = s3.Bucket(
            self,
            "Bucket",
            bucket_name=deployment.bucket_name,
            encryption=s3.BucketEncryption.KMS if key else s3.BucketEncryption.S3_MANAGED,
            encryption_key=key,
            bucket_key_enabled=True if key else None,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            removal_policy=removal_policy(deployment),
            auto_delete_objects=not deployment.config.production,  # or its stack could not be removed
            lifecycle_rules=[
                s3.LifecycleRule(
                    id="blobs",
                    prefix=RUN_BLOBS,  # what is archived is kept
                    expiration=Duration.days(blob_days(deployment.config.retention_days)),
                    abort_incomplete_multipart_upload_after=Duration.days(1),
                )
            ],
        )
        acknowledge(
            self.bucket,
            "S1",
            "Blobs are written and read by Karman's functions alone; CloudTrail's data events say who did, for those "
            "who want to pay for it.",
        )


def blob_days(retention_days: int) -> int:
    """How long a blob is kept: as long as the longest run, and its items after it.

    The sweeper prolongs the items of a run that lives for months; nothing prolongs objects, and their rule knows only
    when they were written.
    """
    return -(-EngineSettings().run_deadline_seconds // _DAY_SECONDS) + 1 + retention_days


def _key(name: str) -> dynamodb.Attribute:
    return dynamodb.Attribute(name=name, type=_TEXT)
