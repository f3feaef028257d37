"""Runtimes that register over HTTP: with a queue of a stack, with one that the API makes, and with none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from karman_functions.api.handler import Instance, handler, instance
from tests.api.client import event
from tests.deployments import NAMESPACE, RUNTIME, Deployment
from tests.runtime.lambda_events import LambdaContext

KEY = "an admin key that the environment has"
NODES = f"/v1/namespaces/{NAMESPACE}/nodes"


@pytest.fixture
def api(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Iterator[Instance]:
    """The function, which may do everything."""
    monkeypatch.setenv("KARMAN_API_KEY", KEY)
    instance.cache_clear()
    made = instance()
    yield made
    made.process.close()
    instance.cache_clear()


@pytest.fixture
def confined(api: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is deployed by default, it may make no queues."""

    def refused(**_: object) -> Any:
        said: Any = {
            "Error": {"Code": "AccessDenied", "Message": "not authorized to perform: sqs:createqueue"},
            "ResponseMetadata": {"HTTPStatusCode": 403},
        }
        raise ClientError(said, "CreateQueue")

    monkeypatch.setattr(api.process.backend.clients.sqs, "create_queue", refused)


def register(runtime: str, node: str = "Measure") -> tuple[int, Any]:
    body = {"runtime": runtime, "nodes": [{"name": node}]}
    answer = handler(event("PUT", NODES, key=KEY, body=body), LambdaContext())
    return answer["statusCode"], json.loads(answer["body"])


def known(deployment: Deployment) -> set[str]:
    return {node.name for node in deployment.run(deployment.engine.list_nodes(NAMESPACE))}


@pytest.mark.usefixtures("confined")
def test_a_runtime_that_a_stack_has_is_registered(deployment: Deployment) -> None:
    status, said = register(RUNTIME)

    assert (status, said["registered"]) == (200, ["Measure"])
    assert "Measure" in known(deployment)


@pytest.mark.usefixtures("confined")
def test_a_runtime_without_a_queue_is_told_what_to_deploy(deployment: Deployment) -> None:
    status, said = register("gpu")

    assert (status, said["code"]) == (422, "invalid_request")
    (problem,) = said["problems"]
    assert (problem["path"], problem["code"]) == ("runtime", "no_task_queue")
    assert f"ExternalRuntime(..., namespace='{NAMESPACE}', runtime='gpu')" in problem["message"]
    assert "create_queues" in problem["message"]
    assert "Measure" not in known(deployment)


@pytest.mark.usefixtures("api")
def test_where_queues_may_be_made_the_api_makes_one(deployment: Deployment) -> None:
    status, _ = register("gpu")

    assert status == 200
    sqs = deployment.backend.clients.sqs
    url = sqs.get_queue_url(QueueName=f"{deployment.name}-{NAMESPACE}-gpu")["QueueUrl"]
    told = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])["Attributes"]
    assert f"{deployment.name}-{NAMESPACE}-gpu-dlq" in told["RedrivePolicy"]
