"""The table is what the backend expects, data is safe, and production keeps it."""

from typing import Any

from karman_core.backends.aws import AwsSettings
from karman_core.backends.aws.schema import table_definition
from karman_core.ports.queue import Incoming
from karman_functions.dead_letters.letters import Letter, archive_name
from tests.infra.templates import Template, rendered

FOREIGN = Incoming("0000", "none of Karman's", "receipt", 1, 1_772_346_600_000)
SAME = ("AttributeDefinitions", "BillingMode", "GlobalSecondaryIndexes", "KeySchema")


def unordered(definition: Any) -> Any:
    """The order of attributes and indexes means nothing."""
    return {
        name: sorted(definition[name], key=str) if name != "BillingMode" else definition[name]
        for name in SAME
    }


def test_the_table_is_as_the_backends_schema_says(dev: Template) -> None:
    table = dev.only("AWS::DynamoDB::Table")

    assert unordered(table) == unordered(table_definition("karman-dev"))
    assert table["TimeToLiveSpecification"] == {"AttributeName": "ttl", "Enabled": True}
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}


def test_a_trial_can_be_removed_whole(dev: Template) -> None:
    for kind in ("AWS::DynamoDB::Table", "AWS::S3::Bucket"):
        assert dev.resource(kind)["DeletionPolicy"] == "Delete"
    assert not dev.only("AWS::DynamoDB::Table").get("DeletionProtectionEnabled")


def test_production_keeps_its_data(prod: Template) -> None:
    """But for what a first deployment made that failed, whose names the next one needs."""
    kept = {
        each["Type"]: (each["DeletionPolicy"], each["UpdateReplacePolicy"])
        for each in prod.raw["Resources"].values()
        if each.get("UpdateReplacePolicy") == "Retain"
    }

    assert kept == {
        "AWS::DynamoDB::Table": ("Retain", "Retain"),  # protected, so that nothing could delete it
        "AWS::KMS::Key": ("RetainExceptOnCreate", "Retain"),
        "AWS::Logs::LogGroup": ("RetainExceptOnCreate", "Retain"),
        "AWS::S3::Bucket": ("RetainExceptOnCreate", "Retain"),
    }
    assert prod.only("AWS::DynamoDB::Table")["DeletionProtectionEnabled"] is True


def test_blobs_are_private_encrypted_and_outlive_the_longest_run(dev: Template, prod: Template) -> None:
    bucket = dev.only("AWS::S3::Bucket")

    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    (rule,) = bucket["LifecycleConfiguration"]["Rules"]
    assert rule["ExpirationInDays"] >= 366 + 30
    (rule,) = prod.only("AWS::S3::Bucket")["LifecycleConfiguration"]["Rules"]
    assert rule["ExpirationInDays"] >= 366 + 60
    assert rule["Prefix"] == AwsSettings("").blob_prefix
    assert not archive_name(Letter("q", FOREIGN, {})).startswith(rule["Prefix"]), (
        "the archive does not expire"
    )
    assert bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"] == [
        {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    ]
    statements = dev.only("AWS::S3::BucketPolicy")["PolicyDocument"]["Statement"]
    denied = [each for each in statements if each["Effect"] == "Deny"]
    assert {"Bool": {"aws:SecureTransport": "false"}} in [each["Condition"] for each in denied]


def test_a_key_of_ones_own_encrypts_everything_that_is_kept(prod: Template) -> None:
    key = prod.only("AWS::KMS::Key")

    assert key["EnableKeyRotation"] is True
    assert prod.only("AWS::KMS::Alias")["AliasName"] == "alias/karman-prod"
    assert prod.only("AWS::DynamoDB::Table")["SSESpecification"]["SSEType"] == "KMS"
    encryption = prod.only("AWS::S3::Bucket")["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert encryption[0]["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
    for queue in prod.all("AWS::SQS::Queue").values():
        assert "alias/karman-prod" in queue["KmsMasterKeyId"], queue["QueueName"]
    assert "alias/karman-prod" in rendered(prod.only("AWS::SNS::Topic")["KmsMasterKeyId"])


def test_names_begin_with_the_stage(dev: Template, prod: Template) -> None:
    """So that stages live side by side in an account, and roles are confined by name."""
    for template, prefix in ((dev, "karman-dev"), (prod, "karman-prod")):
        named = {
            "AWS::DynamoDB::Table": "TableName",
            "AWS::Events::EventBus": "Name",
            "AWS::Lambda::Function": "FunctionName",
            "AWS::S3::Bucket": "BucketName",
            "AWS::SNS::Topic": "TopicName",
            "AWS::SQS::Queue": "QueueName",
            "AWS::Scheduler::ScheduleGroup": "Name",
            "AWS::CloudWatch::Dashboard": "DashboardName",
        }
        names = [
            each[key] for kind, key in named.items() for each in template.all(kind).values() if key in each
        ]
        assert names
        assert [name for name in names if not name.startswith(prefix)] == []
