"""Queues keep to the numbers that the engine and SQS rely on."""

import json
from itertools import chain

import pytest

from karman_core.backends.aws.names import dead_letter_name, queue_name
from karman_core.engine import EngineSettings
from tests.infra.templates import Template

FOURTEEN_DAYS = 14 * 86_400


@pytest.fixture(scope="session")
def stacks(dev: Template, examples: Template, elsewhere: Template, prod: Template) -> list[Template]:
    return [dev, examples, elsewhere, prod]


def test_every_task_queue_has_its_dead_letters(stacks: list[Template]) -> None:
    """Named as the backend looks them up; the dead-letter queue takes from this one alone."""
    found = 0
    for stack in stacks:
        queues = {queue["QueueName"]: queue for queue in stack.all("AWS::SQS::Queue").values()}
        for name, queue in queues.items():
            if "RedrivePolicy" not in queue:
                assert name.endswith(("-dlq", "-undelivered"))
                continue
            found += 1
            dead = queues[f"{name}-dlq"]
            assert "DeadLetters" in queue["RedrivePolicy"]["deadLetterTargetArn"]
            allowed = dead["RedriveAllowPolicy"]
            assert allowed["redrivePermission"] == "byQueue"
            (source,) = allowed["sourceQueueArns"]
            assert source.endswith(f":{name}")
    assert found == 3 + 3 + 3


def test_names_are_those_that_the_engine_looks_up(elsewhere: Template, prod: Template) -> None:
    for template, prefix in ((elsewhere, "karman-dev"), (prod, "karman-prod")):
        names = {queue["QueueName"] for queue in template.all("AWS::SQS::Queue").values()}
        for queue in ("team-a/functions", "team-a/containers", "lonely/external"):
            assert {queue_name(prefix, queue), dead_letter_name(prefix, queue)} <= names


def test_the_engine_ends_a_state_before_its_message_is_dead(stacks: list[Template]) -> None:
    for queue in chain.from_iterable(stack.all("AWS::SQS::Queue").values() for stack in stacks):
        if "RedrivePolicy" in queue:
            assert queue["RedrivePolicy"]["maxReceiveCount"] > 3 * EngineSettings().crash_limit
        assert queue["MessageRetentionPeriod"] == FOURTEEN_DAYS


def test_visibility_is_six_times_the_time_out(stacks: list[Template]) -> None:
    """Lambda refuses less than the time-out, and asks for six times as much; SQS takes twelve hours at most."""
    for stack in stacks:
        functions = {each.get("FunctionName"): each for each in stack.all("AWS::Lambda::Function").values()}
        for queue in stack.all("AWS::SQS::Queue").values():
            function = functions.get(queue["QueueName"])
            if function is not None:
                assert queue["VisibilityTimeout"] == min(43_200, 6 * function["Timeout"])
                assert function["Environment"]["Variables"]["KARMAN_RUNTIME"]


def test_workers_leases_are_shorter_than_the_queues_visibility(elsewhere: Template) -> None:
    queue = elsewhere.named("AWS::SQS::Queue", "QueueName", "karman-dev-team--a-containers")

    assert queue["VisibilityTimeout"] >= EngineSettings().lease_seconds


def test_all_queues_are_encrypted_and_over_tls_alone(stacks: list[Template]) -> None:
    for stack in stacks:
        queues = stack.all("AWS::SQS::Queue")
        guarded = set()
        for policy in stack.all("AWS::SQS::QueuePolicy").values():
            (statement,) = policy["PolicyDocument"]["Statement"]
            assert statement["Effect"] == "Deny"
            assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
            guarded |= {queue.strip("<>") for queue in policy["Queues"]}
        assert guarded == set(queues)
        for queue in queues.values():
            assert queue.get("SqsManagedSseEnabled") or queue.get("KmsMasterKeyId")


def test_every_event_source_answers_for_each_message(stacks: list[Template]) -> None:
    for stack in stacks:
        sources = stack.all("AWS::Lambda::EventSourceMapping").values()
        assert sources
        for source in sources:
            assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
            assert source["BatchSize"] == 10


def test_every_queue_of_dead_letters_is_worked_off(stacks: list[Template]) -> None:
    for stack in stacks:
        dead = {
            logical
            for logical, queue in stack.all("AWS::SQS::Queue").items()
            if queue["QueueName"].endswith(("-dlq", "-undelivered"))
        }
        sources = stack.all("AWS::Lambda::EventSourceMapping").values()
        taken = {
            source["EventSourceArn"].split(".")[0].strip("<")
            for source in sources
            if "dead_letters" in json.dumps(source["FunctionName"])
            or "DeadLettersFunction" in json.dumps(source["FunctionName"])
        }
        assert taken == dead


def test_functions_are_limited_at_their_queue(examples: Template, elsewhere: Template) -> None:
    """A limit of the function would have messages received in vain, until they count as dead."""
    limits = [
        source["ScalingConfig"]["MaximumConcurrency"]
        for source in examples.all("AWS::Lambda::EventSourceMapping").values()
        if "ScalingConfig" in source
    ]
    assert limits == [50, 50, 50]
    assert {"MaximumConcurrency": 7} in [
        source.get("ScalingConfig") for source in elsewhere.all("AWS::Lambda::EventSourceMapping").values()
    ]
    for function in elsewhere.all("AWS::Lambda::Function").values():
        assert "ReservedConcurrentExecutions" not in function
