"""`Inspection` on moto: what is there is ok, what is missing or off is a problem that says what to do."""

from collections.abc import Iterator
from typing import Any

import pytest
from moto import mock_aws

from karman_core.backends.aws.inspection import Inspection
from karman_core.backends.checks import Check, Level, clock_check
from karman_core.backends.system import SystemClock
from karman_core.domain.errors import BackendError
from karman_core.ports.queue import Outgoing
from tests.deployments import HOME, Deployment, deployed


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    with mock_aws(), deployed() as made:
        clients = made.backend.clients
        clients.dynamodb.update_continuous_backups(
            TableName=made.name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
        )
        yield made


class Account:
    """Lambda's answer, which moto does not have, and what else a test wants to be different."""

    def __init__(self, deployment: Deployment, free: int = 900, *, refused: str | None = None) -> None:
        self._clients, self._free, self._refused = deployment.backend.clients, free, refused
        self.settings = self._clients.settings

    def __getattr__(self, name: str) -> Any:
        return getattr(self._clients, name)

    def untyped(self, service: str) -> Any:
        return self if service == "lambda" else self._clients.untyped(service)

    def get_account_settings(self) -> Any:
        return {"AccountLimit": {"ConcurrentExecutions": 1_000, "UnreservedConcurrentExecutions": self._free}}

    async def call(self, function: Any, **arguments: Any) -> Any:
        if self._refused is not None and getattr(function, "__name__", "") == self._refused:
            raise BackendError("the role may not do this")
        return await self._clients.call(function, **arguments)


def looked_at(deployment: Deployment, account: Account | None = None, *queues: str) -> dict[str, Check]:
    inspection = Inspection(account or Account(deployment), SystemClock())  # type: ignore[arg-type]

    async def look() -> list[Check]:
        return [*await inspection.table(), *await inspection.surroundings(queues or [HOME])]

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

    missing = {"table", "queue ns/rt", "schedules g", "bucket", "event bus"}
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
