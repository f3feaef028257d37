"""Roles are tight: what functions called in all tests before this one is compared with their policies, both ways."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.e2e_aws.calls import Call
from tests.e2e_aws.conftest import CONTAINER, Deployed
from tests.e2e_aws.policies import Policy, policy_of

pytestmark = pytest.mark.timeout(900)

PREFIX = "karman-e2e-"
CONTROL = ("api", "cron", "dead_letters", "sweeper", "webhooks")
WORKERS = "workers"
"""Functions that run nodes, and the container: their policies differ in names alone, so what one calls all need."""


def because(reason: str, *actions: str) -> dict[str, str]:
    return dict.fromkeys(actions, reason)


LOGS = because("Lambda itself, in the function's role", "logs:CreateLogStream", "logs:PutLogEvents")
ONCE_MORE = because(
    "a timer that is set again: tests/contract/test_timers.py",
    "scheduler:DeleteSchedule",
    "scheduler:UpdateSchedule",
)
LEASED = because(
    "leases, reports (large ones too) and secrets of work over HTTP: tests/scenario/test_leases.py",
    "s3:PutObject",
    "sqs:ChangeMessageVisibility",
    "sqs:DeleteMessage",
    "ssm:GetParameters",
)
GIVEN_BACK = because(
    "a slot of a trigger that came to nothing: tests/scenario/test_slot_limits.py",
    "dynamodb:ConditionCheckItem",
)
LEFT = because(
    "a letter that is not settled stays for the next round: tests/functions/test_dead_letter_rounds.py",
    "sqs:ChangeMessageVisibility",
)
LATER = because(
    "a run that begins or ends more than 15 minutes later: tests/infra/test_permissions.py",
    "iam:PassRole",
    "scheduler:CreateSchedule",
    "scheduler:DeleteSchedule",
    "scheduler:UpdateSchedule",
    "sqs:GetQueueAttributes",
)
SET_AGAIN = because("a timer that is set again: tests/webhooks", "scheduler:UpdateSchedule")
UNDELIVERED = because(
    "Lambda itself, for an event that failed again and again", "sqs:GetQueueUrl", "sqs:SendMessage"
)
PURGE = because(
    "a purge that takes longer than its request: tests/scenario/test_purges.py",
    "s3:DeleteObject",
    "s3:ListBucket",
)
TABLE = because(
    "the one table is not divided among functions of the control plane",
    "dynamodb:BatchGetItem",
    "dynamodb:BatchWriteItem",
    "dynamodb:ConditionCheckItem",
    "dynamodb:DeleteItem",
    "dynamodb:PutItem",
    "dynamodb:Query",
    "dynamodb:UpdateItem",
)
ANY_RUN = TABLE | because(
    "runs of every kind go on here, these few do not need it: tests/functions, tests/crash",
    "events:PutEvents",
    "iam:PassRole",
    "s3:DeleteObject",
    "s3:GetObject",
    "s3:ListBucket",
    "s3:PutObject",
    "scheduler:CreateSchedule",
    "scheduler:DeleteSchedule",
    "scheduler:UpdateSchedule",
    "sqs:GetQueueAttributes",
    "sqs:GetQueueUrl",
    "sqs:SendMessage",
)
NOT_CALLED: Mapping[str, Mapping[str, str]] = {
    "api": LOGS | LEASED | GIVEN_BACK,
    "cron": LOGS | TABLE | LATER,
    "dead_letters": LOGS | ANY_RUN | LEFT,
    "sweeper": LOGS | ANY_RUN,
    "webhooks": LOGS | SET_AGAIN | UNDELIVERED,
    WORKERS: LOGS | ONCE_MORE | PURGE,
}
"""What is allowed and need not have been called here, with the reason."""


def policies(deployed: Deployed) -> dict[str, Policy]:
    """By who has them: every function, and the worker in a container."""
    folder, found = deployed.account.folder, {}
    for function in deployed.boto("lambda").list_functions()["Functions"]:
        if function["Handler"].startswith("karman_"):  # others are of CDK itself
            role = function["Role"].rpartition("/")[2]
            found[function["FunctionName"]] = policy_of(folder, role)
    return {**found, CONTAINER: policy_of(folder, deployed.output("PolicyArn"))}


def kind(who: str) -> str:
    """Functions of the control plane by name, workers together."""
    name = who.removeprefix(PREFIX)
    return name if name in CONTROL else WORKERS


def test_whatever_was_called_is_allowed(deployed: Deployed) -> None:
    allowed = policies(deployed)
    refused = {
        (call.who, call.action, call.resource, str(call.conditions))
        for call in deployed.calls
        if not allowed[call.who].allows(call)
    }

    assert sorted(refused) == []


@pytest.mark.parametrize("who", NOT_CALLED)
def test_whatever_is_allowed_was_called_or_has_its_reason(deployed: Deployed, who: str) -> None:
    allowed: set[str] = set()
    for name, policy in policies(deployed).items():
        if kind(name) == who:
            allowed |= policy.actions
    called = {call.action for call in deployed.calls if kind(call.who) == who}

    assert called
    assert allowed - called - NOT_CALLED[who].keys() == set()
    assert NOT_CALLED[who].keys() - allowed == set(), "reasons for what is not allowed any more"


LEADING = "dynamodb:LeadingKeys"
ARN = "arn:aws:dynamodb:us-east-1:000000000000:table/karman-e2e"


@pytest.mark.parametrize(
    ("who", "action", "resource", "conditions"),
    [
        ("karman-e2e-default-greetings", "dynamodb:GetItem", ARN, {LEADING: ("other#runs",)}),
        ("karman-e2e-default-greetings", "dynamodb:GetItem", ARN, {LEADING: ("default#keys",)}),
        ("karman-e2e-default-greetings", "dynamodb:PutItem", ARN, {LEADING: ("default#graph#g",)}),
        (
            "karman-e2e-cron",
            "ssm:GetParameters",
            "arn:aws:ssm:us-east-1:000000000000:parameter/karman-e2e/a",
            {},
        ),
        ("karman-e2e-sweeper", "dynamodb:Query", f"{ARN}/index/by_time", {LEADING: ("default",)}),
        ("karman-e2e-api", "dynamodb:Scan", ARN, {}),
    ],
)
def test_the_comparison_finds_what_is_too_much(
    deployed: Deployed, who: str, action: str, resource: str, conditions: Any
) -> None:
    """Else the tests above could not fail."""
    assert not policies(deployed)[who].allows(Call(who, action, resource, conditions))
