"""`Inspection` on moto: what is there is ok, what is missing or off is a problem that says what to do."""

from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from moto import mock_aws

from karman_core.backends.aws import inspection
from karman_core.backends.aws.inspection import Inspection
from karman_core.backends.checks import Check, Level, clock_check
from karman_core.backends.system import SystemClock
from karman_core.domain.errors import BackendError
from karman_core.ports.queue import Outgoing
from tests.deployments import HOME, Deployment, deployed

ROLE = "arn:aws:iam::123456789012:role/karman-scheduler"


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    with mock_aws(), deployed() as made:
        clients = made.backend.clients
        clients.dynamodb.update_continuous_backups(
            TableName=made.name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
        )
        for guard in ("dead_letters", "sweeper"):
            schedule(made, guard, enabled=True)
        yield made


def schedule(deployment: Deployment, guard: str, *, enabled: bool) -> None:
    """As the stack makes it."""
    client, name = deployment.backend.clients.scheduler, f"{deployment.name}-{guard}"
    made = {each["Name"] for each in client.list_schedules()["Schedules"]}
    put: Any = client.update_schedule if name in made else client.create_schedule
    put(
        Name=name,
        ScheduleExpression="rate(1 hour)",
        FlexibleTimeWindow={"Mode": "OFF"},
        State="ENABLED" if enabled else "DISABLED",
        Target={"Arn": "arn:aws:lambda:us-east-1:123456789012:function:f", "RoleArn": ROLE},
    )


class Account:
    """Lambda's answers, where moto has none or takes Docker, and what else a test wants to be different."""

    def __init__(self, deployment: Deployment, free: int = 900, *, refused: str | None = None) -> None:
        self._clients, self._free, self._refused = deployment.backend.clients, free, refused
        self.settings = self._clients.settings
        self.release = version("karman")
        self.functions: dict[str, dict[str, str]] = {}
        self.source: dict[str, Any] = {"State": "Enabled", "ScalingConfig": {"MaximumConcurrency": 50}}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._clients, name)

    def untyped(self, service: str) -> Any:
        return self if service == "lambda" else self._clients.untyped(service)

    def get_account_settings(self) -> Any:
        return {"AccountLimit": {"ConcurrentExecutions": 1_000, "UnreservedConcurrentExecutions": self._free}}

    def get_function_configuration(self, *, FunctionName: str) -> Any:  # noqa: N803  boto3's
        told = self.functions.get(FunctionName.rpartition("-")[2], {})
        if told.get("State") == "gone":
            said: Any = {"Error": {"Code": "ResourceNotFoundException", "Message": "no such function"}}
            raise ClientError(said, "GetFunctionConfiguration")
        return {"State": "Active", "Description": f"Karman {self.release}, stage test: it", **told}

    def get_paginator(self, _operation: str) -> Any:
        return self

    def paginate(self) -> Any:
        arn = "arn:aws:lambda:us-east-1:123456789012:function:"
        theirs = {"FunctionArn": f"{arn}others", "State": "Disabled", "UUID": "1"}
        ours = {"FunctionArn": f"{arn}{self._clients.settings.prefix}-ns-rt", "UUID": "2", **self.source}
        return [{"EventSourceMappings": [theirs]}, {"EventSourceMappings": [ours]}]

    async def call(self, function: Any, **arguments: Any) -> Any:
        if self._refused is not None and getattr(function, "__name__", "") == self._refused:
            raise BackendError("the role may not do this")
        return await self._clients.call(function, **arguments)


def looked_at(deployment: Deployment, account: Account | None = None, *queues: str) -> dict[str, Check]:
    looking = Inspection(account or Account(deployment), SystemClock())  # type: ignore[arg-type]

    async def look() -> list[Check]:
        return [*await looking.table(), *await looking.surroundings(queues or [HOME])]

    return {check.name: check for check in deployment.run(look())}


def test_a_deployment_that_is_as_it_should_be(deployment: Deployment) -> None:
    found = looked_at(deployment)

    assert {check.level for check in found.values()} == {Level.OK}
    assert {
        "table",
        "clock",
        "time to live",
        "backups",
        "bucket",
        "event bus",
        "secrets",
        "cron",
        "account",
        "functions",
        "release",
        "guard dead_letters",
        "guard sweeper",
        "event sources",
        "concurrency",
        "alarms",
    } <= found.keys()
    assert found[f"queue {deployment.queue}"].text == "0 waiting, 0 in work"
    assert found[f"queue {deployment.dead_letter_queue}"].level is Level.OK
    assert not any(check.advice for check in found.values())


def test_dead_letters_are_told_with_their_number(deployment: Deployment) -> None:
    sqs = deployment.backend.clients.sqs
    url = sqs.get_queue_url(QueueName=deployment.dead_letter_queue)["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="dead")
    check = looked_at(deployment)[f"queue {deployment.dead_letter_queue}"]
    sqs.purge_queue(QueueUrl=url)

    assert check.level is Level.WARNING
    assert check.text.startswith("1 waiting")
    assert "dead_letters" in check.advice


def test_work_that_waits_is_no_warning(deployment: Deployment) -> None:
    deployment.run(deployment.backend.queue.send(HOME, [Outgoing("{}")]))
    check = looked_at(deployment)[f"queue {deployment.queue}"]
    deployment.take()

    assert check.level is Level.OK
    assert check.text.startswith("1 waiting")


def test_a_runtime_without_its_queue(deployment: Deployment) -> None:
    check = looked_at(deployment, None, "ns/gone")["queue ns/gone"]

    assert check.level is Level.PROBLEM
    assert "deploy" in check.advice


def test_a_queue_without_dead_letters(deployment: Deployment) -> None:
    sqs, name = deployment.backend.clients.sqs, f"{deployment.name}-ns-bare"
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    found = looked_at(deployment, None, HOME, "ns/bare")
    sqs.delete_queue(QueueUrl=url)

    assert found[f"queue {name}"].level is Level.PROBLEM
    assert found[f"queue {name}-dlq"].level is Level.PROBLEM


def test_backups_that_are_off(deployment: Deployment) -> None:
    client = deployment.backend.clients.dynamodb

    def switch(*, on: bool) -> None:
        client.update_continuous_backups(
            TableName=deployment.name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": on}
        )

    switch(on=False)
    check = looked_at(deployment)["backups"]
    switch(on=True)

    assert check.level is Level.WARNING


def test_time_to_live_that_is_off(deployment: Deployment) -> None:
    client = deployment.backend.clients.dynamodb

    def switch(*, on: bool) -> None:
        client.update_time_to_live(
            TableName=deployment.name, TimeToLiveSpecification={"Enabled": on, "AttributeName": "ttl"}
        )

    switch(on=False)
    check = looked_at(deployment)["time to live"]
    switch(on=True)

    assert check.level is Level.PROBLEM
    assert "ttl" in check.advice


def test_an_account_with_few_functions_at_a_time(deployment: Deployment) -> None:
    check = looked_at(deployment, Account(deployment, free=10))["concurrency"]

    assert check.level is Level.WARNING
    assert "quota" in check.advice


def test_runtimes_that_want_more_than_the_account_has(deployment: Deployment) -> None:
    account = Account(deployment, free=400)
    account.source["ScalingConfig"] = {"MaximumConcurrency": 500}
    check = looked_at(deployment, account)["concurrency"]

    assert check.level is Level.WARNING
    assert "runtimes take up to 500" in check.text


def test_an_event_source_that_is_disabled(deployment: Deployment) -> None:
    account = Account(deployment)
    account.source |= {"State": "Disabled", "StateTransitionReason": "USER_INITIATED"}
    found = looked_at(deployment, account)
    check = found[f"function {deployment.name}-ns-rt"]

    assert check.level is Level.PROBLEM
    assert "disabled: USER_INITIATED" in check.text
    assert "--uuid 2" in check.advice
    assert "function others" not in found


@pytest.mark.parametrize(
    ("told", "text"),
    [
        ({"State": "gone"}, "is missing"),
        ({"State": "Failed", "StateReason": "no subnet"}, "cannot be called: no subnet"),
        ({"LastUpdateStatus": "Failed", "LastUpdateStatusReason": "full"}, "has its old code: full"),
    ],
)
def test_a_function_that_does_not_work(deployment: Deployment, told: dict[str, str], text: str) -> None:
    account = Account(deployment)
    account.functions["sweeper"] = told
    found = looked_at(deployment, account)

    check = found[f"function {deployment.name}-sweeper"]
    assert (check.level, check.text) == (Level.PROBLEM, text)
    assert found["functions"].text == "4 of the control plane are active"


def test_another_release_is_deployed(deployment: Deployment) -> None:
    account = Account(deployment)
    account.release = "0.0.1"
    check = looked_at(deployment, account)["release"]

    assert check.level is Level.WARNING
    assert "0.0.1 is deployed" in check.text


def test_a_guard_that_nobody_calls(deployment: Deployment) -> None:
    schedule(deployment, "dead_letters", enabled=False)
    check = looked_at(deployment)["guard dead_letters"]
    schedule(deployment, "dead_letters", enabled=True)

    assert check.level is Level.PROBLEM
    assert "disabled" in check.text
    client = deployment.backend.clients.scheduler
    client.delete_schedule(Name=f"{deployment.name}-sweeper")
    gone = looked_at(deployment)["guard sweeper"]
    schedule(deployment, "sweeper", enabled=True)
    assert (gone.level, gone.text) == (Level.PROBLEM, "no schedule calls it")


def test_alarms_that_are_on(deployment: Deployment) -> None:
    client = deployment.backend.clients.untyped("cloudwatch")
    topic = f"arn:aws:sns:us-east-1:123456789012:{deployment.name}-alarms"
    for name, topics in (("ours", topic), ("theirs", f"{topic}-others")):
        client.put_metric_alarm(
            AlarmName=f"{deployment.name}-{name}",
            AlarmDescription=f"{name}: look at its log",
            AlarmActions=[topics],
            Namespace="AWS/SQS",
            MetricName="m",
            Statistic="Sum",
            Period=300,
            EvaluationPeriods=1,
            Threshold=0,
            ComparisonOperator="GreaterThanThreshold",
        )
    assert looked_at(deployment)["alarms"].level is Level.OK
    client.set_alarm_state(AlarmName=f"{deployment.name}-ours", StateValue="ALARM", StateReason="test")
    check = looked_at(deployment)["alarms"]
    client.delete_alarms(AlarmNames=[f"{deployment.name}-{each}" for each in ("ours", "theirs")])

    assert (check.level, check.text) == (Level.WARNING, "ours: look at its log")


def test_an_alarm_without_a_description_is_told_by_its_name(deployment: Deployment) -> None:
    client = deployment.backend.clients.untyped("cloudwatch")
    client.put_metric_alarm(
        AlarmName=f"{deployment.name}-mine",
        AlarmActions=[f"arn:aws:sns:us-east-1:123456789012:{deployment.name}-alarms"],
        Namespace="AWS/SQS",
        MetricName="m",
        Statistic="Sum",
        Period=300,
        EvaluationPeriods=1,
        Threshold=0,
        ComparisonOperator="GreaterThanThreshold",
    )
    client.set_alarm_state(AlarmName=f"{deployment.name}-mine", StateValue="ALARM", StateReason="test")
    check = looked_at(deployment)["alarms"]
    client.delete_alarms(AlarmNames=[f"{deployment.name}-mine"])

    assert (check.level, check.text) == (Level.WARNING, f"{deployment.name}-mine")


def test_alarms_are_looked_at_page_by_page(deployment: Deployment) -> None:
    def page(state: str, **more: str) -> Any:
        return {
            "MetricAlarms": [{"AlarmName": state, "AlarmDescription": state, "StateValue": state}],
            **more,
        }

    with Stubber(deployment.backend.clients.untyped("cloudwatch")) as told:
        told.add_response("describe_alarms", page("OK", NextToken="more"))
        told.add_response("describe_alarms", page("ALARM"))
        check = looked_at(deployment)["alarms"]

    assert (check.level, check.text) == (Level.WARNING, "ALARM")


def test_a_queue_with_as_many_messages_in_flight_as_there_may_be(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspection, "MANY_IN_FLIGHT", 0)
    deployment.run(deployment.backend.queue.send(HOME, [Outgoing("{}")]))
    (message,) = deployment.take()
    check = looked_at(deployment)[f"queue {deployment.queue}"]
    deployment.run(deployment.backend.queue.delete(HOME, [message.receipt]))

    assert check.level is Level.WARNING
    assert "120,000" in check.advice


def test_what_may_not_be_looked_at_is_a_warning_and_hides_nothing_else(deployment: Deployment) -> None:
    found = looked_at(deployment, Account(deployment, refused="describe_event_bus"))

    assert found["event bus"].level is Level.WARNING
    assert "may not" in found["event bus"].text
    assert found["secrets"].level is Level.OK


def test_nothing_that_is_named_is_there(deployment: Deployment) -> None:
    clients = deployment.backend.clients
    settings = clients.settings
    other = type(settings)(
        table_name="gone", prefix="gone", bucket="gone-bucket", event_bus="gone", timer_group="g"
    )
    account = Account(deployment)
    account.settings = other
    found = looked_at(deployment, account)

    guards = {"guard dead_letters", "guard sweeper"}
    missing = {"table", "queue ns/rt", "schedules g", "bucket", "event bus"} | guards
    assert {name for name, check in found.items() if check.level is Level.PROBLEM} == missing
    assert {found[name].level for name in ("time to live", "backups")} == {Level.WARNING}
    assert found["cron"].level is Level.WARNING
    assert all(check.advice for check in found.values() if check.level is not Level.OK)


@pytest.mark.parametrize(
    ("apart_ms", "level"),
    [(0, Level.OK), (999, Level.OK), (-1_500, Level.OK), (4_000, Level.WARNING), (-70_000, Level.PROBLEM)],
)
def test_clocks(apart_ms: int, level: Level) -> None:
    assert clock_check(1_000_000_000_000 + apart_ms, 1_000_000_000_000, "it").level is level
