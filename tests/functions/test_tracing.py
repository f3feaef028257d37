"""The trace of a request reaches the run that it starts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from karman_core.domain.definition import GraphDefinition
from karman_core.domain.message_bodies import decode
from karman_core.domain.messages import Advance
from karman_functions.api import handler as module
from tests.api.client import event
from tests.deployments import NAMESPACE, Deployment
from tests.runtime.lambda_events import LambdaContext

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OTHER = "00-11111111111111111111111111111111-2222222222222222-00"
X_RAY = "Root=1-11111111-111111111111111111111111;Parent=2222222222222222;Sampled=0"


@pytest.fixture(autouse=True)
def graph(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("KARMAN_API_KEY", "the-admin-key")
    monkeypatch.setenv("_X_AMZN_TRACE_ID", X_RAY)
    module.instance.cache_clear()
    nodes = [{"identifier": "a", "node_name": "a"}]
    deployment.put(GraphDefinition.model_validate({"name": "g", "nodes": nodes}))
    yield
    module.instance().process.close()
    module.instance.cache_clear()


def traced(deployment: Deployment, **headers: str) -> str | None:
    """The trace in the first message of the run that a request starts."""
    path = f"/v1/namespaces/{NAMESPACE}/graphs/g/runs"
    answer = module.handler(event("POST", path, {}, headers=headers), LambdaContext())
    assert answer["statusCode"] == 201
    (received,) = deployment.take(1)
    message = decode(received.body)
    assert isinstance(message, Advance)
    assert message.header is not None
    assert message.position.run.run_id == json.loads(answer["body"])["run_id"]
    assert message.header["trace"] == message.position.run.trace
    return message.position.run.trace


def test_a_requests_own_trace_is_taken(deployment: Deployment) -> None:
    assert traced(deployment, traceparent=TRACE) == TRACE


def test_one_that_is_not_valid_is_ignored(deployment: Deployment) -> None:
    assert traced(deployment, traceparent="00-nonsense") is None
    assert traced(deployment, traceparent="x" * 2_000) is None


def test_x_rays_is_taken_where_that_is_set_and_the_request_has_none(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert traced(deployment) is None
    module.instance().process.close()
    module.instance.cache_clear()
    monkeypatch.setenv("KARMAN_TRACING", "xray")
    assert traced(deployment) == OTHER
    assert traced(deployment, Traceparent=TRACE) == TRACE
    monkeypatch.delenv("_X_AMZN_TRACE_ID")
    assert traced(deployment) is None
