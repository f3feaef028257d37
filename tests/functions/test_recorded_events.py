"""Every handler with events that are whole, as AWS documents them (tests/fixtures/events), on moto.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
https://docs.aws.amazon.com/scheduler/latest/UserGuide/configuring-schedule-dlq.html
https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html

Powertools has models of the events; they hold for these, and for what other tests make up.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aws_lambda_powertools.utilities.parser.models import APIGatewayProxyEventV2Model, SqsModel

from karman_core.domain.definition import GraphDefinition
from karman_core.ports.queue import Incoming
from karman_functions.api import handler as api
from karman_functions.cron.handler import handler as cron
from karman_functions.dead_letters.handler import handler as dead_letters
from karman_functions.sweeper.handler import handler as sweeper
from karman_runtime import lambda_entry
from tests.api.client import event
from tests.deployments import HOME, NAMESPACE, Deployment
from tests.runtime.lambda_events import LambdaContext, sqs_event

FOLDER = Path(__file__).parents[1] / "fixtures" / "events"
CALLERS = [{"arn": "arn:aws:sts::123456789012:assumed-role/ci/*", "namespace": "ns", "scopes": ["read"]}]


def recorded(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def batch(name: str, queue: str, body: str) -> dict[str, Any]:
    """A recorded batch, of a queue that there is here, with a body of Karman's."""
    found: dict[str, Any] = recorded(name)
    (record,) = found["Records"]
    record["eventSourceARN"] = record["eventSourceARN"].replace("QUEUE", queue)
    record["body"] = body
    return found


def put_graph(deployment: Deployment) -> None:
    trigger = {"type": "CRON", "value": {"expression": "30 6 * * *"}}
    nodes = [{"identifier": "a", "node_name": "a"}]
    deployment.put(GraphDefinition.model_validate({"name": "g", "nodes": nodes, "triggers": [trigger]}))


@pytest.fixture
def served(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployment]:
    """With the function of the API."""
    monkeypatch.setenv("KARMAN_API_KEY", "the-admin-key")
    monkeypatch.setenv("KARMAN_RATE", "0")
    monkeypatch.setenv("KARMAN_IAM_CALLERS", json.dumps(CALLERS))
    api.instance.cache_clear()
    yield deployment
    api.instance().process.close()
    api.instance.cache_clear()


def test_requests(served: Deployment) -> None:
    put = api.handler(recorded("http-post"), LambdaContext())
    by_role = api.handler(recorded("http-iam"), LambdaContext())
    put_graph(served)
    found, _ = (
        served.run(served.engine.trigger(NAMESPACE, "g", tags=tags)).run_id
        for tags in ({"a": "1", "b": "2"}, {"a": "1"})
    )
    listed = api.handler(recorded("http-get"), LambdaContext())

    assert [answer["statusCode"] for answer in (put, by_role, listed)] == [200, 200, 200], (
        put,
        by_role,
        listed,
    )
    assert [node["name"] for node in json.loads(by_role["body"])["nodes"]] == ["a", "b"]
    assert [run["run_id"] for run in json.loads(listed["body"])["runs"]] == [found]


def test_a_batch_of_a_task_queue(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KARMAN_NODES", "tests.runtime.lambda_nodes")
    lambda_entry.instance.cache_clear()
    put_graph(deployment)
    run_id = deployment.trigger("g")
    (message,) = deployment.take()

    answer = lambda_entry.handler(batch("sqs", deployment.queue, message.body), LambdaContext())

    assert answer == {"batchItemFailures": []}
    lambda_entry.instance().close()
    lambda_entry.instance.cache_clear()
    # This worker lacks the node, and has sent the message on.
    assert deployment.view(run_id).status == "RUNNING"
    assert deployment.left() == 2


def test_a_firing(deployment: Deployment) -> None:
    put_graph(deployment)
    assert cron(recorded("schedule-cron"), LambdaContext()) == {"outcome": "started"}
    assert cron(recorded("schedule-cron"), LambdaContext()) == {"outcome": "known"}


def test_a_firing_that_could_not_be_delivered(deployment: Deployment) -> None:
    put_graph(deployment)
    body = json.dumps(recorded("schedule-cron"))
    letter = batch("sqs-dead-firing", deployment.dead_letter_queue, body)
    assert dead_letters(letter, LambdaContext()) == {"batchItemFailures": []}
    assert len(deployment.run(deployment.engine.list_runs(NAMESPACE)).runs) == 1


def test_a_firing_whose_function_failed(deployment: Deployment) -> None:
    put_graph(deployment)
    body = json.dumps({**recorded("lambda-failure"), "requestPayload": recorded("schedule-cron")})
    letter = batch("sqs", deployment.dead_letter_queue, body)
    assert dead_letters(letter, LambdaContext()) == {"batchItemFailures": []}
    assert len(deployment.run(deployment.engine.list_runs(NAMESPACE)).runs) == 1


def test_the_schedules_of_the_guards(deployment: Deployment) -> None:
    put_graph(deployment)
    run_id = deployment.trigger("g")
    (message,) = deployment.take()
    deployment.run(deployment.backend.queue.bury(HOME, message, "for the test"))

    assert sweeper(recorded("schedule"), LambdaContext())["complete"] is True
    assert "batchItemFailures" not in dead_letters(recorded("schedule"), LambdaContext())
    assert deployment.view(run_id).status == "FAILED"


@pytest.mark.parametrize("name", ["http-get", "http-post", "http-iam"])
def test_recorded_requests_are_whole(name: str) -> None:
    APIGatewayProxyEventV2Model.model_validate(recorded(name))


@pytest.mark.parametrize("name", ["sqs", "sqs-dead-firing"])
def test_recorded_batches_are_whole(name: str) -> None:
    SqsModel.model_validate(recorded(name))


def test_what_other_tests_make_up_has_the_same_shape() -> None:
    for made in (event("GET", "/v1/x"), event("PUT", "/v1/x", {"a": 1}, query={"b": 2})):
        APIGatewayProxyEventV2Model.model_validate(made)
        assert set(made["requestContext"]) <= set(recorded("http-get")["requestContext"])
    message = Incoming("id", "body", "receipt", 2, 1_773_342_238_000)
    batch_of_one = sqs_event("queue", [message], ERROR_CODE="x")
    SqsModel.model_validate(batch_of_one)
    assert set(batch_of_one["Records"][0]) <= set(recorded("sqs-dead-firing")["Records"][0])
