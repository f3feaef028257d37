"""What is left of a deployment: queues that are going already are none of it."""

from collections.abc import Iterator

import pytest
from moto import mock_aws

from karman_core.backends.aws.leftovers import GOING_SECONDS, find_leftovers, remove_queues, remove_secrets
from tests.deployments import NAMESPACE, Deployment, deployed


@pytest.fixture
def deployment() -> Iterator[Deployment]:
    """Without its schedules, as if its stack were gone."""
    with mock_aws(), deployed() as made:
        made.backend.clients.scheduler.delete_schedule_group(Name=f"{made.name}-schedules")
        yield made


def test_queues_that_are_going_are_waited_for(deployment: Deployment) -> None:
    sqs, waited = deployment.backend.clients.sqs, []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 3:
            for name in (deployment.queue, deployment.dead_letter_queue):
                sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName=name)["QueueUrl"])

    left = deployment.run(find_leftovers(deployment.backend.clients, sleep=sleep))

    assert left.queues == ()
    assert len(waited) == 3


def test_queues_that_stay_are_left(deployment: Deployment) -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    clients = deployment.backend.clients
    left = deployment.run(find_leftovers(clients, sleep=sleep))
    assert sum(waited) >= GOING_SECONDS > 60  # SQS lists deleted queues for so long
    assert left.queues == (deployment.queue, deployment.dead_letter_queue)
    assert left.keeps_table
    deployment.run(remove_queues(clients, (*left.queues, f"{deployment.name}-gone-already")))

    assert deployment.run(find_leftovers(clients, sleep=sleep)).queues == ()


def test_many_secrets_are_found_and_removed(deployment: Deployment) -> None:
    values = {f"NAME_{number}": "hush" for number in range(23)}
    deployment.run(deployment.backend.secrets.put(f"{NAMESPACE}/g", values))
    sqs = deployment.backend.clients.sqs
    for name in (deployment.queue, deployment.dead_letter_queue):
        sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName=name)["QueueUrl"])
    clients = deployment.backend.clients
    left = deployment.run(find_leftovers(clients))

    assert len(left.secrets) == 23
    assert all(name.startswith(f"/{deployment.name}/{NAMESPACE}/g/") for name in left.secrets)
    deployment.run(remove_secrets(clients, left.secrets))
    assert deployment.run(find_leftovers(clients)).secrets == ()
