"""The function that runs nodes, over moto's services, with events as SQS and a deploy send them."""

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from moto import mock_aws

from karman import Graph, RetryPolicy
from karman_core.domain.errors import InvalidRequest
from karman_core.ports.queue import Incoming, Outgoing
from karman_runtime import lambda_entry
from karman_runtime.errors import ImportFailed
from karman_runtime.lambda_entry import compose
from karman_runtime.settings import load_settings
from tests.contract.backends.moto import _one_at_a_time
from tests.deployments import HOME, NAMESPACE, RUNTIME, Deployment, deployed
from tests.emulators import ROOT
from tests.quiet_logs import logs_put_back
from tests.runtime import lambda_nodes
from tests.runtime.lambda_events import LambdaContext, sqs_event
from tests.selection import with_slow

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def deployment(monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployment]:
    _one_at_a_time()
    with mock_aws(), deployed() as made, logs_put_back():
        monkeypatch.setenv("KARMAN_NODES", "tests.runtime.lambda_nodes")
        monkeypatch.setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512")
        lambda_entry.instance.cache_clear()
        lambda_nodes.ENOUGH.clear()
        assert invoke({"karman": "register"})["broken"] == {}
        yield made
        lambda_nodes.ENOUGH.set()
        lambda_entry.instance().close()
        lambda_entry.instance.cache_clear()


def invoke(event: dict[str, Any]) -> dict[str, Any]:
    return lambda_entry.handler(event, LambdaContext())


def graph_of(node: Any, name: str, **placed: Any) -> Graph:
    graph = Graph(name)
    graph.add(node, **placed)
    return graph


def metrics_of(text: str) -> dict[str, Any]:
    """All metrics that were written, by name; distributions as lists."""
    found: dict[str, Any] = {}
    for line in text.splitlines():
        data = json.loads(line) if '"_aws"' in line else {}
        for definition in data.get("_aws", {}).get("CloudWatchMetrics", []):
            assert definition["Namespace"] == "Karman"
            assert data["Stage"] == "test"
            for metric in definition["Metrics"]:
                found.setdefault(metric["Name"], []).extend(data[metric["Name"]])
    return found


def test_a_deploy_registers_the_nodes(deployment: Deployment) -> None:
    registered = invoke({})["registered"]
    assert lambda_entry.handler(None, LambdaContext())["registered"] == registered
    nodes = deployment.run(deployment.engine.list_nodes(NAMESPACE))

    assert sorted(registered) == [node.name for node in nodes]
    assert {node.runtime for node in nodes} == {RUNTIME}
    with pytest.raises(InvalidRequest, match="register"):
        invoke({"something": "else"})


def test_a_cold_start_is_counted_once(deployment: Deployment, capsys: pytest.CaptureFixture[str]) -> None:
    lambda_entry.instance().close()
    lambda_entry.instance.cache_clear()
    capsys.readouterr()
    invoke({})
    invoke({})

    assert metrics_of(capsys.readouterr().out) == {"ColdStarts": [1]}


def test_a_batch_of_runs_from_trigger_to_result(
    deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    deployment.put(graph_of(lambda_nodes.double, "doubling").definition())
    runs = [deployment.trigger("doubling", number=number) for number in range(5)]

    assert deployment.deliver(invoke) == 0

    views = [deployment.view(run_id) for run_id in runs]
    assert [view.result for view in views] == [{"result": 2 * number} for number in range(5)]
    assert deployment.left() == 0
    metrics = metrics_of(capsys.readouterr().out)
    assert "ColdStarts" not in metrics
    assert metrics["Executions"] == [5]
    assert metrics["RunsEnded"] == [5]
    assert len(metrics["StateLatency"]) == len(metrics["RunDuration"]) == 5
    assert all(cost >= 11 * 0.625 for cost in metrics["RunCost"])


def test_a_chain_goes_on_in_one_invocation_and_a_trace_reaches_its_nodes(deployment: Deployment) -> None:
    graph = Graph("chain")
    first = graph.add(lambda_nodes.double, "first")
    second = graph.add(lambda_nodes.double, "second", number=first.outputs.result)
    last = graph.add(lambda_nodes.trace, "last")
    first >> second >> last
    deployment.put(graph.definition())
    run_id = deployment.trigger("chain", trace_parent=TRACE, number=3)

    assert deployment.deliver(invoke) == 0

    assert deployment.view(run_id).result == {"result": TRACE}
    assert deployment.left() == 0


def test_a_node_that_throws_a_poison_and_a_foreign_message_harm_no_mate(deployment: Deployment) -> None:
    deployment.put(graph_of(lambda_nodes.double, "doubling").definition())
    failing = graph_of(lambda_nodes.fail, "failing", retry=RetryPolicy(max_retries=0))
    deployment.put(failing.definition())
    good, bad = deployment.trigger("doubling", number=1), deployment.trigger("failing", number=2)
    bodies = ["no message of ours", json.dumps({"karman": 1, "k": "advance"})]
    deployment.run(deployment.backend.queue.send(HOME, [Outgoing(body) for body in bodies]))

    assert deployment.deliver(invoke) == 0

    assert deployment.view(good).status == "SUCCEEDED"
    failed = deployment.view(bad)
    assert failed.status == "FAILED"
    assert "2 is not to be had" in str(failed.error)
    clients = deployment.backend.clients
    url = clients.sqs.get_queue_url(QueueName=deployment.dead_letter_queue)["QueueUrl"]
    buried = clients.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert sorted(message["Body"] for message in buried) == sorted(bodies)


def test_a_message_of_a_later_release_is_left_to_it(
    deployment: Deployment, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    deployment.put(graph_of(lambda_nodes.double, "doubling").definition())
    run_id = deployment.trigger("doubling", number=1)
    (message,) = deployment.take()
    later = json.dumps({**json.loads(message.body), "karman": 2})
    event = sqs_event(deployment.queue, [replace(message, body=later)])

    assert invoke(event) == {"batchItemFailures": []}

    (left,) = (json.loads(line) for line in caplog.text.splitlines() if "message left to a later" in line)
    assert left["delay_seconds"] == 2
    assert metrics_of(capsys.readouterr().out)["MessagesPassedOn"] == [1.0]
    depth = deployment.run(deployment.backend.queue.depth(HOME))
    # The copy, whose delay may be over by now, and what Lambda deletes.
    assert (depth.ready + depth.delayed, depth.in_flight) == (1, 1)
    assert deployment.view(run_id).status == "RUNNING"


@pytest.mark.parametrize(
    "node", with_slow([lambda_nodes.hang, lambda_nodes.hang_in_a_thread], [lambda_nodes.hang])
)
def test_a_node_that_hangs_is_stopped_before_the_function_is(deployment: Deployment, node: Any) -> None:
    deployment.put(graph_of(node, "hanging", retry=RetryPolicy(max_retries=0)).definition())
    deployment.put(graph_of(lambda_nodes.double, "doubling").definition())
    context = LambdaContext(3.0)
    hanging, good = deployment.trigger("hanging", number=1), deployment.trigger("doubling", number=1)
    kept = deployment.deliver(lambda event: lambda_entry.handler(event, context))
    if kept or deployment.view(good).status != "SUCCEEDED" or not deployment.view(hanging).ended:
        # The machine stood still until the time was over. Then there is more of it.
        context = LambdaContext(60.0)
        hanging, good = deployment.trigger("hanging", number=1), deployment.trigger("doubling", number=1)
        kept = deployment.deliver(lambda event: lambda_entry.handler(event, context))

    assert kept == 0
    assert context.get_remaining_time_in_millis() > 0
    view = deployment.view(hanging)
    assert view.status == "FAILED"
    assert "timeout" in str(view.error)
    assert deployment.view(good).status == "SUCCEEDED"


def test_lines_written_in_a_node_say_which_state_it_was(
    deployment: Deployment, caplog: pytest.LogCaptureFixture
) -> None:
    deployment.put(graph_of(lambda_nodes.double, "doubling").definition())
    run_id = deployment.trigger("doubling", number=1)
    deployment.deliver(invoke)

    lines = [json.loads(line) for line in caplog.text.splitlines()]
    written = next(line for line in lines if line["message"] == "doubling")
    assert written["run_id"] == run_id
    assert written["state_id"].startswith(run_id)
    assert written["service"] == RUNTIME
    ended = next(line for line in lines if line["message"] == "run ended")
    assert (ended["run_id"], ended["status"]) == (run_id, "SUCCEEDED")


def test_a_service_that_is_busy_keeps_the_message(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    deployment.put(graph_of(lambda_nodes.double, "doubling").definition())
    run_id = deployment.trigger("doubling", number=1)
    own: Any = lambda_entry.instance().assembly.backend
    clients: Any = deployment.backend.clients

    def throttled(**_: Any) -> Any:
        raise clients.dynamodb.exceptions.ProvisionedThroughputExceededException(
            {"Error": {"Code": "ProvisionedThroughputExceededException", "Message": "slow"}}, "UpdateItem"
        )

    with monkeypatch.context() as patched:
        patched.setattr(own.clients.dynamodb, "update_item", throttled)
        assert deployment.deliver(invoke) == 1
    messages = deployment.take(visibility=0)
    while not messages:
        messages = deployment.take(visibility=0)

    assert deployment.deliver(invoke) == 0
    assert deployment.view(run_id).status == "SUCCEEDED"


def test_messages_of_another_queue_are_refused(deployment: Deployment) -> None:
    message = Incoming("m1", "{}", "r1", 1, 0)
    with pytest.raises(InvalidRequest, match="ns-other"):
        invoke(sqs_event(f"{deployment.name}-ns-other", [message]))


@pytest.mark.parametrize(
    ("environment", "error", "said"),
    [
        ({}, InvalidRequest, "KARMAN_RUNTIME and KARMAN_NODES"),
        ({"KARMAN_RUNTIME": "rt", "KARMAN_NODES": " , "}, InvalidRequest, "KARMAN_NODES"),
        (
            {"KARMAN_RUNTIME": "rt", "KARMAN_NODES": "tests.runtime.lambda_nodes"},
            InvalidRequest,
            "KARMAN_TABLE",
        ),
        (
            {"KARMAN_RUNTIME": "rt", "KARMAN_NODES": "tests.runtime.broken_nodes"},
            ImportFailed,
            "no such thing",
        ),
    ],
)
def test_an_instance_that_cannot_work_says_why(
    environment: dict[str, str], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        compose(load_settings(environment))


def test_where_lambda_initialises_an_instance_it_is_made_at_once() -> None:
    environment = {
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "KARMAN_TABLE": "t",
        "KARMAN_REGION": "us-east-1",
        "KARMAN_RUNTIME": RUNTIME,
        "KARMAN_NODES": "tests.runtime.lambda_nodes",
    }
    program = "import karman_runtime.lambda_entry as e, sys; print(e.instance.cache_info().currsize)"

    def started(**more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", program],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
            cwd=ROOT,
            env=environment | more,
        )

    assert started().stdout == "1\n"
    broken = started(KARMAN_NODES="tests.runtime.broken_nodes")
    assert broken.returncode != 0
    assert "no such thing" in broken.stderr
