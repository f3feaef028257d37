"""Queues keep to the numbers that the engine and SQS rely on."""

from fnmatch import fnmatchcase
from itertools import chain

import pytest

from karman_core.backends.aws.names import dead_letter_name, queue_name
from karman_core.engine import EngineSettings
from tests.infra.templates import Template, allowed

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
            denied, *others = policy["PolicyDocument"]["Statement"]
            assert denied["Effect"] == "Deny"
            assert denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
            for statement in others:  # EventBridge leaves what it could not hand over, by its rule alone
                assert statement["Principal"] == {"Service": "events.amazonaws.com"}
                assert statement["Action"] == "sqs:SendMessage"
                assert "Rule" in str(statement["Condition"]["ArnEquals"]["aws:SourceArn"])
            guarded |= {queue.strip("<>") for queue in policy["Queues"]}
        assert guarded == set(queues)
        for queue in queues.values():
            assert queue.get("SqsManagedSseEnabled") or queue.get("KmsMasterKeyId")


def test_every_event_source_answers_for_each_message(stacks: list[Template]) -> None:
    for stack in stacks:
        for source in stack.all("AWS::Lambda::EventSourceMapping").values():
            assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
            assert source["BatchSize"] == 10


def test_no_queue_of_dead_letters_is_polled_all_day(stacks: list[Template]) -> None:
    """Each event source costs by the month; they are emptied by the clock."""
    for stack in stacks:
        sources = stack.all("AWS::Lambda::EventSourceMapping").values()
        polled = {source["EventSourceArn"].split(".")[0].strip("<") for source in sources}
        tasks = {name for name, queue in stack.all("AWS::SQS::Queue").items() if "RedrivePolicy" in queue}
        assert polled <= tasks


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_every_queue_of_dead_letters_is_one_that_its_function_finds_and_may_empty(
    stacks: list[Template], dev: Template, prod: Template, stage: str
) -> None:
    plane, prefix = {"dev": dev, "prod": prod}[stage], f"karman-{stage}"
    variables = plane.variables(f"{prefix}-dead_letters")
    undelivered = variables["KARMAN_SCHEDULER_DEAD_LETTER_ARN"].rpartition(":")[2]
    may_take = {
        arn.rpartition(":")[2]
        for arn in allowed(plane.statements("KarmanDeadLettersFunctionRole"), "sqs:ReceiveMessage")
    }
    dead = [
        queue["QueueName"]
        for stack in stacks
        for queue in stack.all("AWS::SQS::Queue").values()
        if "RedrivePolicy" not in queue and queue["QueueName"].startswith(f"{prefix}-")
    ]

    assert variables["KARMAN_PREFIX"] == prefix
    assert len(dead) == {"dev": 7, "prod": 4}[stage]
    for name in dead:
        assert name.endswith("-dlq") or name == undelivered
        assert any(fnmatchcase(name, pattern) for pattern in may_take)


def test_no_function_may_run_for_longer_than_its_source_hides_a_message(stacks: list[Template]) -> None:
    """Lambda refuses such an event source."""
    for stack in stacks:
        functions = stack.all("AWS::Lambda::Function")
        queues = stack.all("AWS::SQS::Queue")
        for source in stack.all("AWS::Lambda::EventSourceMapping").values():
            queue = queues[source["EventSourceArn"].split(".")[0].strip("<")]
            function = functions[source["FunctionName"].strip("<>")]
            assert queue["VisibilityTimeout"] >= function["Timeout"]


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
