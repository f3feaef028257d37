"""The function that delivers webhooks, called as a rule of the bus and as Scheduler call it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from karman_core.backends.posting import HttpxPoster
from karman_core.backends.system import SystemClock, SystemEntropy
from karman_core.domain.errors import Unavailable
from karman_core.domain.webhooks import DeliveryStatus
from karman_core.engine import EngineSettings
from karman_core.engine.deliveries import Deliveries
from karman_core.engine.webhook_items import DeliveryView, Due, IssuedWebhook
from karman_core.engine.webhooks import Webhooks
from karman_core.ports.queue import Incoming
from karman_functions.composition import process
from karman_functions.dead_letters.handler import handler as take_dead_letters
from karman_functions.webhooks.handler import handler
from tests.deployments import NAMESPACE, Deployment
from tests.functions.metrics import metrics_of
from tests.runtime.lambda_events import LambdaContext, sqs_event
from tests.webhooks.receiver import receiving

TARGET = "arn:aws:lambda:us-east-1:000000000000:function:karman-webhooks"
AT_MS = 4_000_000_000_000
"""Later than any webhook here was made."""

DETAIL: dict[str, Any] = {
    "id": "r1-0-FAILED",
    "namespace": NAMESPACE,
    "at_ms": AT_MS,
    "run_id": "r1",
    "graph": "g",
    "version": 1,
    "status": "FAILED",
    "epoch": 0,
    "created_ms": 1,
    "starts_ms": 1,
    "ended_ms": AT_MS,
    "totals": dict.fromkeys(
        ("succeeded", "failed", "pruned", "cancelled", "turns", "busy_ms", "write_units"), 1
    ),
    "tags": {"shop": "berlin"},
    "trigger": None,
}


def of_the_bus(**changes: Any) -> dict[str, Any]:
    """As EventBridge hands it to a target."""
    return {
        "version": "0",
        "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
        "detail-type": "run.failed",
        "source": "karman",
        "account": "000000000000",
        "time": "2096-10-02T07:06:40Z",
        "region": "us-east-1",
        "resources": [],
        "detail": DETAIL,
        **changes,
    }


@pytest.fixture
def hooks(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Webhooks:
    """Webhooks of the deployment, whose function may reach this machine."""
    monkeypatch.setenv("KARMAN_WEBHOOK_LOOPBACK", "true")
    monkeypatch.setenv("KARMAN_WEBHOOKS_TARGET_ARN", TARGET)
    poster = HttpxPoster(loopback=True)
    return Webhooks.over(deployment.backend, SystemClock(), SystemEntropy(), EngineSettings(), poster)


def make(deployment: Deployment, hooks: Webhooks, url: str, **options: Any) -> IssuedWebhook:
    return deployment.run(hooks.create(NAMESPACE, url, **options))


def delivery(deployment: Deployment, hooks: Webhooks, webhook_id: str) -> DeliveryView:
    (view,) = deployment.run(hooks.page(NAMESPACE, webhook_id)).deliveries
    return view


def timers(deployment: Deployment) -> list[dict[str, Any]]:
    scheduler, group = deployment.backend.clients.scheduler, f"{deployment.name}-timers"
    names = [each["Name"] for each in scheduler.list_schedules(GroupName=group)["Schedules"]]
    return [dict(scheduler.get_schedule(Name=name, GroupName=group)) for name in names]


def test_an_event_is_delivered_once_however_often_it_is_told(
    deployment: Deployment, hooks: Webhooks, capsys: pytest.CaptureFixture[str]
) -> None:
    with receiving() as receiver:
        webhook = make(deployment, hooks, receiver.url)
        make(deployment, hooks, receiver.url, events=["run.succeeded"])
        assert handler(of_the_bus(), LambdaContext()) == {"delivered": 1}
        assert handler(of_the_bus(), LambdaContext()) == {}

    (request,) = receiver.received
    assert request.is_signed_with(webhook.secret)
    assert request.id == DETAIL["id"]
    assert request.payload == {
        "type": "run.failed",
        "timestamp": "2096-10-02T07:06:40.000Z",
        "data": DETAIL,
    }
    assert timers(deployment) == []
    out = capsys.readouterr().out
    assert metrics_of(out)["WebhookDeliveries.delivered"] == 1
    assert webhook.secret not in out


def test_an_attempt_that_fails_is_made_again_by_scheduler(
    deployment: Deployment, hooks: Webhooks, capsys: pytest.CaptureFixture[str]
) -> None:
    with receiving(500, 200) as receiver:
        webhook = make(deployment, hooks, receiver.url)
        assert handler(of_the_bus(), LambdaContext()) == {"retried": 1}
        (timer,) = timers(deployment)
        assert timer["Target"]["Arn"] == TARGET
        assert timer["ActionAfterCompletion"] == "DELETE"
        assert timer["ScheduleExpression"].startswith("at(2")
        waiting = delivery(deployment, hooks, webhook.id)
        assert (waiting.status, waiting.attempts, waiting.response_status) == (DeliveryStatus.PENDING, 1, 500)

        body = json.loads(timer["Target"]["Input"])
        assert handler(body, LambdaContext()) == {"delivered": 1}
        assert handler(body, LambdaContext()) == {}  # Scheduler calls at least once too

    assert len(receiver.received) == 2
    assert delivery(deployment, hooks, webhook.id).status is DeliveryStatus.DELIVERED
    metrics = metrics_of(capsys.readouterr().out)
    assert (metrics["WebhookDeliveries.retried"], metrics["WebhookDeliveries.delivered"]) == (1, 1)


def test_a_redelivery_is_due_in_a_moment(deployment: Deployment, hooks: Webhooks) -> None:
    with receiving() as receiver:
        webhook = make(deployment, hooks, receiver.url)
        handler(of_the_bus(), LambdaContext())
        again = delivery(deployment, hooks, webhook.id)
        current = process()
        webhooks = Webhooks.over(
            current.backend, current.clock, current.entropy, EngineSettings(), HttpxPoster()
        )
        deployment.run(webhooks.redeliver(NAMESPACE, webhook.id, again.id))
        (timer,) = timers(deployment)
        assert handler(json.loads(timer["Target"]["Input"]), LambdaContext()) == {"delivered": 1}
    assert len(receiver.received) == 2


def test_a_service_that_fails_has_lambda_try_again(
    deployment: Deployment, hooks: Webhooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiving() as receiver:
        make(deployment, hooks, receiver.url)
        make(deployment, hooks, receiver.url)
        attempt, failures = Deliveries.attempt, [Unavailable("gone for a moment")]

        async def fails_once(self: Deliveries, due: Any) -> Any:
            if failures:
                raise failures.pop()
            return await attempt(self, due)

        monkeypatch.setattr(Deliveries, "attempt", fails_once)
        with pytest.raises(Unavailable):
            handler(of_the_bus(), LambdaContext())
        assert len(receiver.received) == 1
        assert handler(of_the_bus(), LambdaContext()) == {"delivered": 1}
    assert len(receiver.received) == 2


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"kind": "karman.cron"},
        {"kind": "karman.webhook", "namespace": "ns"},
        of_the_bus(source="other"),
        of_the_bus(**{"detail-type": "run.odd"}),
        of_the_bus(detail="text"),
        of_the_bus(detail={"id": "x"}),
    ],
)
def test_what_is_not_for_it_is_logged_and_is_over(
    deployment: Deployment, hooks: Webhooks, event: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    assert handler(event, LambdaContext()) == {}
    assert "neither an event of a run nor a delivery" in caplog.text


def test_this_machine_is_out_of_reach_unless_it_is_said(
    deployment: Deployment, hooks: Webhooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiving() as receiver:
        webhook = make(deployment, hooks, receiver.url)
        monkeypatch.delenv("KARMAN_WEBHOOK_LOOPBACK")
        assert handler(of_the_bus(), LambdaContext()) == {"retried": 1}
    assert receiver.received == []
    assert "loopback" in str(delivery(deployment, hooks, webhook.id).error)


def test_the_secret_is_in_no_item(deployment: Deployment, hooks: Webhooks) -> None:
    with receiving() as receiver:
        webhook = make(deployment, hooks, receiver.url)
        handler(of_the_bus(), LambdaContext())
    clients = deployment.backend.clients
    items = clients.dynamodb.scan(TableName=deployment.name)["Items"]
    assert any("hook" in str(item["pk"]) for item in items)
    assert webhook.secret not in str(items)
    names = [each["Name"] for each in clients.ssm.describe_parameters()["Parameters"]]
    assert [name for name in names if "webhooks" in name] == [
        name for name in names if name.startswith(f"/{deployment.name}/.40webhooks/{NAMESPACE}/{webhook.id}.")
    ]


def undelivered(deployment: Deployment, event: str, *, by_lambda: bool = True) -> list[str]:
    """What stays of an event that the function failed three times, which Lambda wraps, or was never called with."""
    wrapped = {"requestContext": {"condition": "RetriesExhausted"}, "requestPayload": json.loads(event)}
    body = json.dumps(wrapped) if by_lambda else event
    letter = Incoming("0000-1", body, "r1", 1, 1_772_346_600_000)
    failures = take_dead_letters(sqs_event(f"{deployment.name}-undelivered", [letter]), LambdaContext())[
        "batchItemFailures"
    ]
    return [failure["itemIdentifier"] for failure in failures]


def archive(deployment: Deployment) -> int:
    s3, bucket = deployment.backend.clients.s3, deployment.environment["KARMAN_BUCKET"]
    return int(s3.list_objects_v2(Bucket=bucket, Prefix="dead-letters/")["KeyCount"])


def test_an_event_that_the_function_could_not_take_is_delivered_all_the_same(
    deployment: Deployment, hooks: Webhooks
) -> None:
    with receiving() as receiver:
        webhook = make(deployment, hooks, receiver.url)
        for by_lambda in (True, False):
            assert undelivered(deployment, json.dumps(of_the_bus()), by_lambda=by_lambda) == []
        assert delivery(deployment, hooks, webhook.id).status is DeliveryStatus.PENDING
        (timer,) = timers(deployment)
        assert timer["Target"]["Arn"] == TARGET
        assert handler(json.loads(timer["Target"]["Input"]), LambdaContext()) == {"delivered": 1}
    assert archive(deployment) == 0


def test_an_attempt_that_the_function_could_not_make_is_made_later(
    deployment: Deployment, hooks: Webhooks
) -> None:
    with receiving(503) as receiver:
        webhook = make(deployment, hooks, receiver.url)
        handler(of_the_bus(), LambdaContext())
        (timer,) = timers(deployment)
        # It fires, and so is gone.
        scheduler = deployment.backend.clients.scheduler
        scheduler.delete_schedule(Name=timer["Name"], GroupName=timer["GroupName"])
        assert undelivered(deployment, timer["Target"]["Input"]) == []
        (again,) = timers(deployment)
        assert again["Target"]["Input"] == timer["Target"]["Input"]
        assert handler(json.loads(again["Target"]["Input"]), LambdaContext()) == {"delivered": 1}
        assert delivery(deployment, hooks, webhook.id).attempts == 2
    assert archive(deployment) == 0


def test_what_is_undelivered_of_a_delivery_that_has_ended_or_is_none_is_settled(
    deployment: Deployment, hooks: Webhooks
) -> None:
    with receiving() as receiver:
        webhook = make(deployment, hooks, receiver.url)
        handler(of_the_bus(), LambdaContext())
        view = delivery(deployment, hooks, webhook.id)
        for delivery_id in (view.id, "000000000000000-gone"):
            assert undelivered(deployment, Due(NAMESPACE, webhook.id, delivery_id).body()) == []
        assert undelivered(deployment, json.dumps(of_the_bus())) == []
    assert (timers(deployment), archive(deployment)) == ([], 0)
