"""Dead letters are sent back to their task queues, on moto."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from moto import mock_aws

from karman_core.backends.aws.redriving import queue_urls, send_back
from karman_core.domain.errors import NotFound
from tests.deployments import HOME, Deployment, deployed


@pytest.fixture
def deployment() -> Iterator[Deployment]:
    with mock_aws(), deployed() as made:
        yield made


def kill(deployment: Deployment, *bodies: str) -> None:
    sqs = deployment.backend.clients.sqs
    url = sqs.get_queue_url(QueueName=deployment.dead_letter_queue)["QueueUrl"]
    for body in bodies:
        sqs.send_message(QueueUrl=url, MessageBody=body)


def bodies(deployment: Deployment) -> list[str]:
    taken = [message.body for _ in range(3) for message in deployment.take()]
    return sorted(taken)


@pytest.mark.parametrize("queue", [HOME, None])
def test_every_dead_letter_is_sent_back_once(deployment: Deployment, queue: str | None) -> None:
    letters = [f"letter {number:02}" for number in range(23)]
    kill(deployment, *letters)
    clients = deployment.backend.clients

    assert deployment.run(send_back(clients, queue)) == {deployment.queue: 23}
    assert bodies(deployment) == letters
    assert deployment.run(send_back(clients, queue)) == {deployment.queue: 0}


def test_letters_that_are_too_large_for_one_send(deployment: Deployment) -> None:
    letters = [str(number) * 250_000 for number in range(6)]
    kill(deployment, *letters)
    clients, sent = deployment.backend.clients, []

    def note(params: dict[str, Any], **_: Any) -> None:
        entries = json.loads(params["body"])["Entries"]
        sent.append(sum(len(each["MessageBody"]) for each in entries))

    clients.sqs.meta.events.register("before-call.sqs.SendMessageBatch", note)
    assert deployment.run(send_back(clients, HOME)) == {deployment.queue: 6}

    assert sum(sent) == 6 * 250_000
    assert max(sent) <= 1_048_576
    assert bodies(deployment) == letters


def test_a_queue_that_is_none(deployment: Deployment) -> None:
    with pytest.raises(NotFound):
        deployment.run(send_back(deployment.backend.clients, "ns/none"))


def test_queues_of_another_deployment_are_left_alone(deployment: Deployment) -> None:
    clients = deployment.backend.clients
    clients.sqs.create_queue(QueueName=f"{deployment.name}other-ns-rt-dlq")

    assert set(deployment.run(queue_urls(clients))) == {deployment.queue, deployment.dead_letter_queue}
