"""Rounds of the function of dead letters: each queue is found and emptied, and what fails stays for the next."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

from karman_core.backends.aws.dead_letters import DeadLetterQueues
from karman_core.backends.system import SystemClock
from karman_core.domain.errors import BackendError, Unavailable
from karman_core.ports.queue import Outgoing
from karman_functions import composition
from karman_functions.dead_letters.handler import handler
from karman_functions.dead_letters.rounds import AWAKE_EVERY_MS
from karman_functions.sweeper.handler import handler as sweep
from tests.deployments import HOME, NAMESPACE, Deployment
from tests.functions.metrics import metrics_of
from tests.functions.test_dead_letters import FIRING, put_graph
from tests.leaping import leap
from tests.runtime.lambda_events import LambdaContext

UNDELIVERED = "undelivered"


@pytest.fixture
def undelivered(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> str:
    """The queue of firings that Scheduler could not deliver, as the stack names it."""
    name = f"{deployment.name}-{UNDELIVERED}"
    deployment.backend.clients.sqs.create_queue(QueueName=name)
    monkeypatch.setenv("KARMAN_SCHEDULER_DEAD_LETTER_ARN", f"arn:aws:sqs:us-east-1:123456789012:{name}")
    return name


def take(seconds: float = 60.0) -> dict[str, int]:
    """A round."""
    return dict(handler({}, LambdaContext(seconds)))


def put(deployment: Deployment, queue: str, *bodies: str) -> None:
    sqs = deployment.backend.clients.sqs
    for body in bodies:
        sqs.send_message(QueueUrl=sqs.get_queue_url(QueueName=queue)["QueueUrl"], MessageBody=body)


def left(deployment: Deployment, queue: str) -> tuple[int, int]:
    """How many messages wait in a queue, and how many are hidden."""
    sqs = deployment.backend.clients.sqs
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    told = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return int(told["ApproximateNumberOfMessages"]), int(told["ApproximateNumberOfMessagesNotVisible"])


def archived(deployment: Deployment) -> list[dict[str, Any]]:
    s3, bucket = deployment.backend.clients.s3, deployment.environment["KARMAN_BUCKET"]
    found = s3.list_objects_v2(Bucket=bucket, Prefix="dead-letters/").get("Contents", [])
    return [json.loads(s3.get_object(Bucket=bucket, Key=each["Key"])["Body"].read()) for each in found]


def test_every_queue_is_emptied(
    deployment: Deployment, undelivered: str, capsys: pytest.CaptureFixture[str]
) -> None:
    put_graph(deployment)
    run_id = deployment.trigger("g")
    (dead,) = deployment.take()
    deployment.run(deployment.backend.queue.create("team-b/later"))  # no stack has told of it
    later = f"{deployment.name}-team--b-later-dlq"
    put(deployment, deployment.dead_letter_queue, dead.body)
    put(deployment, undelivered, json.dumps(FIRING))
    put(deployment, later, *(f"foreign {number}" for number in range(23)))

    assert take() == {"settled": 25, "failed": 0}

    assert deployment.view(run_id).status == "FAILED"
    assert len(deployment.run(deployment.engine.list_runs(NAMESPACE)).runs) == 2
    assert sorted(each["body"] for each in archived(deployment)) == sorted(
        f"foreign {number}" for number in range(23)
    )
    assert {each["queue"] for each in archived(deployment)} == {later}
    for queue in (deployment.dead_letter_queue, undelivered, later):
        assert left(deployment, queue) == (0, 0)
    metrics = metrics_of(capsys.readouterr().out)
    assert metrics["DeadLetters"] == 25
    assert (metrics["DeadLetters.recorded"], metrics["DeadLetters.fired"]) == (1, 1)
    assert metrics["DeadLetters.archived"] == 23


def test_what_a_worker_buried_is_archived_with_its_reason(deployment: Deployment) -> None:
    deployment.run(deployment.backend.queue.send(HOME, [Outgoing("who knows")]))
    (message,) = deployment.take()
    deployment.run(deployment.engine.process(HOME, message))

    assert take() == {"settled": 1, "failed": 0}
    (kept,) = archived(deployment)
    assert kept["body"] == "who knows"
    assert kept["attributes"]["karman-reason"]
    assert kept["attributes"]["karman-receives"] == "1"


def test_one_that_fails_stays_for_the_next_round_and_harms_no_other(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put_graph(deployment)
    run_id = deployment.trigger("g")
    (dead,) = deployment.take()
    take()
    put(deployment, deployment.dead_letter_queue, "foreign", dead.body)
    tries: list[str] = []

    async def unavailable(_self: object, name: str, _data: bytes) -> None:
        tries.append(name)
        raise Unavailable("no answer")

    with monkeypatch.context() as patched:
        patched.setattr(type(composition.process().backend.archive), "put", unavailable)
        assert take() == {"settled": 1, "failed": 1}
        assert len(tries) == 1  # not again in the same round
        assert left(deployment, deployment.dead_letter_queue) == (1, 0)  # and no lease keeps it from the next
        assert metrics_of(capsys.readouterr().out)["DeadLettersFailed"] == 1
    assert deployment.view(run_id).status == "FAILED"
    assert take() == {"settled": 1, "failed": 0}
    assert [each["body"] for each in archived(deployment)] == ["foreign"]


def test_letters_that_take_too_long_are_left_to_the_next_round(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_graph(deployment)
    take()
    put(deployment, deployment.dead_letter_queue, *map(str, range(15)))

    begun = 0

    async def slow(*_: object) -> bool:
        nonlocal begun
        begun += 1
        leap(300)
        now_ms = SystemClock().now_ms
        patched.setattr(composition.process().clock, "now_ms", lambda: now_ms() + 300_000)
        await asyncio.Event().wait()
        raise AssertionError

    with monkeypatch.context() as patched:
        patched.setattr(composition.process().engine, "dead_letter", slow)
        taken = take(300)
        assert (taken["settled"], taken["failed"] >= begun > 0) == (0, True)
    assert left(deployment, deployment.dead_letter_queue) == (15, 0)
    assert take() == {"settled": 15, "failed": 0}


def test_a_queue_that_cannot_be_read_fails_the_round_after_all_others(
    deployment: Deployment, undelivered: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(deployment, deployment.dead_letter_queue, "foreign")
    put(deployment, undelivered, "foreign too")
    receive = DeadLetterQueues.receive

    async def refused(self: DeadLetterQueues, name: str, lease_seconds: int) -> Any:
        if name == undelivered:
            raise BackendError("the role may not do this")
        return await receive(self, name, lease_seconds)

    monkeypatch.setattr(DeadLetterQueues, "receive", refused)
    with pytest.raises(BackendError, match="may not"):
        take()
    assert [each["body"] for each in archived(deployment)] == ["foreign"]


def test_queues_of_another_deployment_are_none_of_ours(deployment: Deployment) -> None:
    other = f"{deployment.name}x-ns-rt-dlq"
    deployment.backend.clients.sqs.create_queue(QueueName=other)
    put(deployment, other, "foreign")

    assert take() == {}
    assert left(deployment, other) == (1, 0)


def test_task_queues_are_kept_awake_by_the_hour(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else SQS has no metrics of them when work comes, and containers start a quarter of an hour late."""
    take()
    process, asked = composition.process(), []
    task_queue = deployment.dead_letter_queue.removesuffix("-dlq")

    def note(params: dict[str, Any], **_: Any) -> None:
        asked.append(json.loads(params["body"])["QueueUrl"].rpartition("/")[2])

    process.backend.clients.sqs.meta.events.register("before-call.sqs.GetQueueAttributes", note)
    take()
    assert set(asked) == {deployment.dead_letter_queue}
    hour = process.clock.now_ms() + AWAKE_EVERY_MS
    monkeypatch.setattr(type(process.clock), "now_ms", lambda _: hour)
    take()
    take()
    assert asked.count(task_queue) == 1


def test_at_rest_the_guards_write_no_metrics_and_a_round_logs_nothing(
    deployment: Deployment, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """A metric costs $0.30 a month if it is written every hour, also where it is 0."""
    caplog.set_level(logging.INFO)
    assert take() == {}
    assert caplog.text == ""
    assert sweep({}, LambdaContext())["complete"] is True

    assert metrics_of(capsys.readouterr().out) == {}
