"""`karman destroy`: CDK takes the stacks, and then goes what no stack knows of. AWS is moto, CDK a script."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from karman_core.backends.aws import leftovers
from tests.cli.command_line import karman, write
from tests.cli.test_deploy import called, contexts
from tests.cli.test_deploy import calls as calls  # noqa: PLC0414  a fixture
from tests.emulators import REGION

SECRETS = ("/karman-dev/default/greeting/token", "/karman-dev/default/greeting/word")
OTHERS = "/karman-dev2/default/greeting/token"


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """With secrets of the stage and of another one, and files of the deployment."""
    monkeypatch.setattr(leftovers, "GOING_SECONDS", 0)
    monkeypatch.setenv("AWS_REGION", REGION)
    with mock_aws():
        for name in (*SECRETS, OTHERS):
            boto("ssm").put_parameter(Name=name, Value="v", Type="SecureString")
        for kind in ("env", "outputs.json"):
            write(f".karman/dev.{kind}", "")
        yield


def boto(service: str) -> Any:
    return boto3.client(service, region_name=REGION)  # type: ignore[call-overload]


def secrets() -> list[str]:
    return sorted(each["Name"] for each in boto("ssm").describe_parameters()["Parameters"])


def queues() -> list[str]:
    return sorted(url.rpartition("/")[2] for url in boto("sqs").list_queues().get("QueueUrls", []))


def test_it_takes_the_secrets_and_the_queues_of_the_stage_and_no_others(calls: Path) -> None:
    for name in ("karman-dev-default-gpu", "karman-dev-default-gpu-dlq", "karman-dev2-default-gpu"):
        boto("sqs").create_queue(QueueName=name)
    output = karman("destroy", "--stage", "dev", "--yes")

    assert output.code == 0
    (said,) = called(calls)
    assert said[:3] == ["destroy", "--all", "--force"]
    assert contexts(said) == {"karman": {"stage": "dev"}}
    assert secrets() == [OTHERS]
    assert queues() == ["karman-dev2-default-gpu"]
    assert "karman-dev-default-gpu-dlq" in output.err
    assert SECRETS[0] in output.err
    assert list(Path(".karman").iterdir()) == []
    assert output.out == ""


def test_without_a_word_of_consent_they_are_listed_and_stay(calls: Path) -> None:
    output = karman("destroy")

    assert output.code == 0
    (said,) = called(calls)
    assert "--force" not in said
    assert SECRETS[1] in output.err
    assert "karman destroy --yes" in output.err
    assert secrets() == sorted((*SECRETS, OTHERS))


def test_secrets_can_be_kept(calls: Path) -> None:
    output = karman("destroy", "--yes", "--keep-secrets")

    assert "secrets that stay in Parameter Store, as you wished: 2" in output.err
    assert secrets() == sorted((*SECRETS, OTHERS))


def test_secrets_stay_with_the_table_of_production(calls: Path) -> None:
    boto("dynamodb").create_table(
        TableName="karman-dev",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    output = karman("destroy", "--yes")

    assert "since the table was kept" in output.err
    assert Path(".karman/dev.env").exists()
    assert secrets() == sorted((*SECRETS, OTHERS))


def test_while_the_deployment_stands_nothing_of_it_is_touched(calls: Path) -> None:
    """CDK asks, and takes no for an answer without failing."""
    boto("scheduler").create_schedule_group(Name="karman-dev-cron")
    output = karman("destroy", "--yes")

    assert output.code == 0
    assert "still stands" in output.err
    assert secrets() == sorted((*SECRETS, OTHERS))
    assert Path(".karman/dev.env").exists()


def test_when_cdk_fails_nothing_is_touched(calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_CODE", "1")

    assert karman("destroy", "--yes").code == 1
    assert secrets() == sorted((*SECRETS, OTHERS))
    assert Path(".karman/dev.env").exists()


def test_with_nothing_left_nothing_is_said(calls: Path) -> None:
    boto("ssm").delete_parameters(Names=list(SECRETS))
    output = karman("destroy", "--yes")

    assert (output.code, output.out, output.err) == (0, "", "")
