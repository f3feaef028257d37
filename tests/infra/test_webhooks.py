"""Webhooks: what the function is called by, and that it may do what deliveries take and nothing else."""

from typing import Any

from tests.infra.templates import Template, actions, allowed

ROLE = "KarmanWebhooksFunctionRole"
ACCOUNT = "<Region>:<AccountId>"


def test_events_of_runs_lead_to_the_function(dev: Template) -> None:
    rule = dev.only("AWS::Events::Rule")
    assert rule["EventPattern"] == {"source": ["karman"], "detail-type": [{"prefix": "run."}]}
    assert "KarmanBus" in str(rule["EventBusName"])
    (target,) = rule["Targets"]
    assert "KarmanWebhooksFunction" in str(target["Arn"])
    assert "Undelivered" in str(target["DeadLetterConfig"])

    permission = next(
        each
        for each in dev.all("AWS::Lambda::Permission").values()
        if each["Principal"] == "events.amazonaws.com"
    )
    assert permission["Action"] == "lambda:InvokeFunction"
    assert "KarmanWebhooksRule" in str(permission["SourceArn"])


def test_what_fails_again_and_again_is_kept(dev: Template) -> None:
    (config,) = (
        each
        for each in dev.all("AWS::Lambda::EventInvokeConfig").values()
        if "KarmanWebhooksFunction" in str(each["FunctionName"])
    )
    assert config["MaximumRetryAttempts"] == 2
    assert "Undelivered" in str(config["DestinationConfig"]["OnFailure"]["Destination"])


def test_nothing_polls_and_nothing_costs_at_rest(dev: Template) -> None:
    sources = [str(each) for each in dev.all("AWS::Lambda::EventSourceMapping").values()]
    schedules = [str(each) for each in dev.all("AWS::Scheduler::Schedule").values()]
    assert not [each for each in (*sources, *schedules) if "webhooks" in each.lower()]


def test_the_function_may_do_exactly_this(dev: Template) -> None:
    statements = dev.statements(ROLE)
    assert actions(statements) == {
        "dynamodb:GetItem",
        "dynamodb:PutItem",
        "dynamodb:Query",
        "dynamodb:UpdateItem",
        "iam:PassRole",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "scheduler:CreateSchedule",
        "scheduler:UpdateSchedule",
        "sqs:GetQueueUrl",
        "sqs:SendMessage",
        "ssm:GetParameters",
    }
    assert allowed(statements, "ssm:GetParameters") == {
        f"arn:<Partition>:ssm:{ACCOUNT}:parameter/karman-dev/.40webhooks/*"
    }
    assert allowed(statements, "scheduler:CreateSchedule") == {
        f"arn:<Partition>:scheduler:{ACCOUNT}:schedule/karman-dev-timers/*"
    }


def test_of_the_table_it_reaches_webhooks_alone(dev: Template) -> None:
    (items,) = _of(dev.statements(ROLE), "dynamodb:GetItem")
    assert items["Condition"] == {
        "ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["*#webhooks", "*#webhook#*"]}
    }


def test_no_worker_reads_the_secrets_of_webhooks(elsewhere: Template) -> None:
    found = allowed(elsewhere.statements("FunctionsFunctionRole"), "ssm:GetParameters")
    assert found
    assert not [each for each in found if "webhooks" in each or each.endswith("karman-dev/*")]


def test_the_start_of_runs_is_an_event_where_that_is_configured(dev: Template) -> None:
    assert dev.variables("karman-dev-api")["KARMAN_PUBLISH_STARTED"] == "false"


def _of(statements: list[dict[str, Any]], action: str) -> list[dict[str, Any]]:
    return [each for each in statements if action in each["Action"]]
