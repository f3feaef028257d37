"""`karman redrive-dead-letters`: which queues, and where it works. tests/aws/test_redriving.py moves the messages."""

import pytest
from moto import mock_aws

from tests.cli.command_line import karman
from tests.cli.live import Live
from tests.deployments import NAMESPACE, RUNTIME, deployed


@pytest.mark.parametrize("words", [(RUNTIME,), (f"{NAMESPACE}/{RUNTIME}",), ("--all",)])
def test_dead_letters_of_a_deployment_are_sent_back(words: tuple[str, ...]) -> None:
    with mock_aws(), deployed() as deployment:
        sqs = deployment.backend.clients.sqs
        dead = sqs.get_queue_url(QueueName=deployment.dead_letter_queue)["QueueUrl"]
        sqs.send_message(QueueUrl=dead, MessageBody="letter")
        env = {**deployment.environment, "KARMAN_BACKEND": "aws"}
        told = {name: value for name, value in env.items() if name != "KARMAN_STAGE"}
        output = karman("redrive-dead-letters", *words, "--yes", "--json", env=told)

        assert output.code == 0, output.out
        assert output.document == {"sent": {deployment.queue: 1}}
        assert [message.body for message in deployment.take()] == ["letter"]


def test_elsewhere_there_are_none(server: Live) -> None:
    for kind in ("file", "server"):
        output = karman("redrive-dead-letters", "--all", "--yes", env=server.place(kind).env)
        assert output.code == 2
        assert "Only a deployment" in output.err


@pytest.mark.parametrize("words", [(), ("rt", "--all")])
def test_one_or_all(words: tuple[str, ...]) -> None:
    assert karman("redrive-dead-letters", *words, "--yes").code == 2
