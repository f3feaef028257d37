"""Roles may do what their functions call, and nothing beside."""

from typing import Any

import pytest
from moto import mock_aws

from karman_core.domain.definition import GraphDefinition, RegisteredNode
from karman_core.ports.timers import Schedule
from tests.deployments import NAMESPACE, RUNTIME, deployed
from tests.infra.templates import Template, actions, allowed, listed

ACCOUNT = "<Region>:<AccountId>"
TABLE = f"arn:<Partition>:dynamodb:{ACCOUNT}:table/karman-dev"
ROLES = {
    "api": "KarmanApiFunctionRole",
    "cron": "KarmanCronFunctionRole",
    "dead_letters": "KarmanDeadLettersFunctionRole",
    "sweeper": "KarmanSweeperFunctionRole",
}
FOLLOWING = {
    "dynamodb:BatchGetItem",
    "dynamodb:BatchWriteItem",
    "dynamodb:DeleteItem",
    "dynamodb:GetItem",
    "dynamodb:PutItem",
    "dynamodb:Query",
    "dynamodb:UpdateItem",
    "events:PutEvents",
    "iam:PassRole",
    "logs:CreateLogStream",
    "logs:PutLogEvents",
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
}
CONTROL_PLANE = {"dynamodb:ConditionCheckItem"}
RECEIVING = {"sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:ReceiveMessage"}
STARTING = {each for each in FOLLOWING if not each.startswith(("events:", "s3:"))}
MORE = {
    "api": RECEIVING
    | {
        "scheduler:GetSchedule",
        "scheduler:ListSchedules",
        "ssm:DeleteParameters",
        "ssm:GetParameters",
        "ssm:GetParametersByPath",
        "ssm:PutParameter",
    },
    "dead_letters": RECEIVING | {"sqs:ListQueues"},
    "sweeper": set(),
}


def all_statements(template: Template) -> list[dict[str, Any]]:
    documents = [
        *template.all("AWS::IAM::Policy").values(),
        *template.all("AWS::IAM::ManagedPolicy").values(),
    ]
    return [statement for each in documents for statement in each["PolicyDocument"]["Statement"]]


def test_cron_begins_runs_and_does_nothing_else(dev: Template) -> None:
    assert actions(dev.statements(ROLES["cron"])) == STARTING | CONTROL_PLANE


@pytest.mark.parametrize(
    "limits", [{"timeout_seconds": 3_600}, {"rate_limit": {"starts": 1, "per_seconds": 3_600}}], ids=str
)
def test_cron_may_do_what_a_run_takes_that_begins_or_ends_much_later(
    dev: Template, limits: dict[str, Any]
) -> None:
    called: set[str] = set()

    def note(model: Any, **_: Any) -> None:
        called.add(f"{model.service_model.endpoint_prefix}:{model.name.removesuffix('Batch')}")

    trigger = {"type": "CRON", "name": "t", "value": {"expression": "* * * * *"}}
    given = {"name": "g", "nodes": [{"identifier": "a", "node_name": "a"}], "triggers": [trigger], **limits}
    with mock_aws(), deployed() as deployment:
        deployment.run(
            deployment.engine.register_nodes(NAMESPACE, [RegisteredNode(name="a", runtime=RUNTIME)])
        )
        deployment.put(GraphDefinition.model_validate(given))
        clients = deployment.backend.clients
        for client in (clients.sqs, clients.scheduler):
            client.meta.events.register("before-call", note)
        for minute in (1, 2):
            schedule = Schedule(NAMESPACE, "g", "t", "* * * * *", "UTC")
            assert deployment.run(deployment.engine.fire(schedule, minute * 60_000))

    assert "scheduler:CreateSchedule" in called
    assert called - actions(dev.statements(ROLES["cron"])) == set()


@pytest.mark.parametrize("function", MORE)
def test_a_function_may_call_exactly_this(dev: Template, function: str) -> None:
    assert actions(dev.statements(ROLES[function])) == FOLLOWING | CONTROL_PLANE | MORE[function]


@pytest.mark.parametrize(
    "stack", ["Karman-dev", "Karman-dev-Examples", "Karman-dev-Elsewhere", "Karman-prod"]
)
def test_no_wildcard_in_actions_and_no_managed_policy_of_aws(
    templates: dict[str, Template], stack: str
) -> None:
    template = templates[stack]
    for action in actions(all_statements(template)):
        assert "*" not in action, action
    for name, role in template.all("AWS::IAM::Role").items():
        if "CustomResourceProvider" not in name:  # CDK's own, which only calls the function
            assert not any("aws:policy" in str(each) for each in role.get("ManagedPolicyArns", []))


@pytest.mark.parametrize("stack", ["Karman-dev", "Karman-prod"])
def test_everything_is_allowed_only_where_the_call_knows_no_resource(
    templates: dict[str, Template], stack: str
) -> None:
    open_to_all = {
        action
        for statement in all_statements(templates[stack])
        if statement["Effect"] == "Allow" and "*" in listed(statement["Resource"])
        for action in listed(statement["Action"])
    }

    assert {each for each in open_to_all if not each.startswith(("ec2:", "xray:"))} <= {
        "ecr:GetAuthorizationToken",
        "scheduler:ListSchedules",
        "sqs:ListQueues",
    }


def test_lists_of_runs_and_the_sweep_use_their_own_indexes(dev: Template) -> None:
    indexes = {
        name: {each for each in allowed(dev.statements(role), "dynamodb:Query") if "/index/" in each}
        for name, role in ROLES.items()
    }

    assert indexes == {
        "api": {f"{TABLE}/index/by_time", f"{TABLE}/index/by_graph"},
        "cron": set(),
        "dead_letters": set(),
        "sweeper": {f"{TABLE}/index/unfinished"},
    }


def test_a_node_function_takes_from_its_own_queue_alone(elsewhere: Template) -> None:
    statements = elsewhere.statements("FunctionsFunctionRole")

    own = f"arn:<Partition>:sqs:{ACCOUNT}:karman-dev-team--a-functions"
    for action in RECEIVING:
        assert allowed(statements, action) == {own}


def test_runs_go_on_where_runtimes_share_a_namespace_or_it_is_said(elsewhere: Template) -> None:
    def targets(role: str) -> set[str]:
        return {each.rpartition(":")[2] for each in allowed(elsewhere.statements(role), "sqs:SendMessage")}

    assert targets("FunctionsFunctionRole") == {
        "karman-dev-team--a-functions",
        "karman-dev-team--a-functions-dlq",
        "karman-dev-team--a-containers",
        "karman-dev-team--b-elsewhere",
    }
    assert targets("ContainersWorkerTaskRole") == {
        "karman-dev-team--a-containers",
        "karman-dev-team--a-containers-dlq",
        "karman-dev-team--a-functions",
    }


def test_a_worker_is_confined_to_the_items_of_its_namespaces(elsewhere: Template) -> None:
    statements = [
        each
        for each in elsewhere.statements("FunctionsFunctionRole")
        if any(action.startswith("dynamodb:") for action in listed(each["Action"]))
    ]
    by_effect: dict[str, list[dict[str, Any]]] = {"Allow": [], "Deny": []}
    for statement in statements:
        by_effect[statement["Effect"]].append(statement["Condition"])

    assert by_effect["Allow"] == [
        {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["team-a#*", "shared#*"]}},
        {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["team-b#nodes"]}},
    ]
    denied = {
        key
        for condition in by_effect["Deny"]
        for key in condition["ForAnyValue:StringLike"]["dynamodb:LeadingKeys"]
    }
    for namespace in ("team-a", "shared"):
        closed = ("keys", "audit", "audit#*", "webhooks", "webhook#*", "graphs", "graph#*")
        assert {f"{namespace}#{each}" for each in closed} <= denied


def test_a_worker_reads_the_quotas_of_its_namespaces_and_does_not_change_them(elsewhere: Template) -> None:
    touching = [
        each
        for each in elsewhere.statements("FunctionsFunctionRole")
        if any("team-a#quotas" in map(str, keys) for keys in _leading_keys(each))
    ]

    (denied,) = touching
    assert denied["Effect"] == "Deny"
    assert set(listed(denied["Action"])) == {
        f"dynamodb:{each}" for each in ("BatchWriteItem", "DeleteItem", "PutItem", "UpdateItem")
    }


def _leading_keys(statement: dict[str, Any]) -> list[list[str]]:
    conditions = statement.get("Condition", {}).values()
    return [each["dynamodb:LeadingKeys"] for each in conditions if "dynamodb:LeadingKeys" in each]


def test_a_worker_is_confined_to_the_secrets_and_blobs_of_its_namespaces(elsewhere: Template) -> None:
    statements = elsewhere.statements("FunctionsFunctionRole")

    base = f"arn:<Partition>:ssm:{ACCOUNT}:parameter/karman-dev"
    assert allowed(statements, "ssm:GetParameters") == {f"{base}/team-a/*", f"{base}/shared/*"}
    bucket = "arn:<Partition>:s3:::karman-dev-<AccountId>-<Region>"
    for action in ("s3:DeleteObject", "s3:GetObject", "s3:PutObject"):
        assert allowed(statements, action) == {f"{bucket}/runs/team-a/*", f"{bucket}/runs/shared/*"}
    (listing,) = [each for each in statements if "s3:ListBucket" in listed(each["Action"])]
    assert listing["Condition"] == {"StringLike": {"s3:prefix": ["runs/team-a/*", "runs/shared/*"]}}
    assert not {each for each in actions(statements) if each.startswith("ssm:")} - {"ssm:GetParameters"}


def test_the_archive_is_written_by_one_function_and_read_and_deleted_by_none(dev: Template) -> None:
    bucket = "arn:<Partition>:s3:::karman-dev-<AccountId>-<Region>"
    runs, archive = f"{bucket}/runs/*", f"{bucket}/dead-letters/*"
    for name in MORE:
        statements = dev.statements(ROLES[name])
        assert allowed(statements, "s3:PutObject") == {runs, *([archive] if name == "dead_letters" else [])}
        assert allowed(statements, "s3:GetObject") == allowed(statements, "s3:DeleteObject") == {runs}


@pytest.mark.parametrize("stack", ["Karman-dev", "Karman-dev-Elsewhere", "Karman-prod"])
def test_who_reads_objects_may_list_them_to_tell_what_is_missing(
    templates: dict[str, Template], stack: str
) -> None:
    """S3 refuses what is not there to whoever may not list the whole bucket, which nobody may."""
    documents = [
        *templates[stack].all("AWS::IAM::Policy").values(),
        *templates[stack].all("AWS::IAM::ManagedPolicy").values(),
    ]
    readers = 0
    for document in documents:
        statements = document["PolicyDocument"]["Statement"]
        read = {each.partition(":::")[2].partition("/")[2] for each in allowed(statements, "s3:GetObject")}
        lists = [each["Condition"] for each in statements if "s3:ListBucket" in listed(each["Action"])]
        listable = {prefix for each in lists for prefix in each["StringLike"]["s3:prefix"]}
        assert read == listable
        readers += bool(read)
    assert readers >= 2


def test_workers_elsewhere_get_the_same_as_a_function(elsewhere: Template) -> None:
    (policy,) = elsewhere.all("AWS::IAM::ManagedPolicy").values()
    statements = policy["PolicyDocument"]["Statement"]

    assert actions(statements) == (FOLLOWING - {"logs:CreateLogStream", "logs:PutLogEvents"}) | RECEIVING | {
        "ssm:GetParameters"
    }
    keys = [each["Condition"] for each in statements if each["Sid"] == "Items"]
    assert keys == [{"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["lonely#*"]}}]


@pytest.mark.parametrize(
    "stack", ["Karman-dev", "Karman-dev-Examples", "Karman-dev-Elsewhere", "Karman-prod"]
)
def test_the_schedulers_role_is_passed_to_the_scheduler_alone(
    templates: dict[str, Template], stack: str
) -> None:
    passing = [
        statement
        for statement in all_statements(templates[stack])
        if "iam:PassRole" in listed(statement["Action"])
    ]

    assert passing
    for statement in passing:
        (role,) = listed(statement["Resource"])
        assert role.endswith("-scheduler-<Region>")
        assert statement["Condition"] == {"StringEquals": {"iam:PassedToService": "scheduler.amazonaws.com"}}


def test_the_scheduler_acts_for_the_deployments_groups_alone(dev: Template) -> None:
    role = dev.named("AWS::IAM::Role", "RoleName", "karman-dev-scheduler-<Region>")
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]

    groups = f"arn:<Partition>:scheduler:{ACCOUNT}:schedule-group/karman-dev"
    assert trust["Condition"] == {
        "StringEquals": {
            "aws:SourceAccount": "<AccountId>",
            "aws:SourceArn": [f"{groups}-timers", f"{groups}-cron"],
        }
    }
    statements = dev.statements("KarmanCronRole")
    assert allowed(statements, "lambda:InvokeFunction") == {
        f"arn:<Partition>:lambda:{ACCOUNT}:function:karman-dev-{name}" for name in ("cron", "webhooks")
    }
    assert actions(statements) == {"lambda:InvokeFunction", "sqs:SendMessage"}


def test_the_key_is_used_by_its_alias(prod: Template, dev: Template) -> None:
    uses = [
        each for each in all_statements(prod) if any("kms:" in action for action in listed(each["Action"]))
    ]

    own = {"ForAnyValue:StringEquals": {"kms:ResourceAliases": "alias/karman-prod"}}
    assert [
        each for each in uses if each["Resource"].endswith(":key/*") and each.get("Condition") != own
    ] == []
    assert not [
        each for each in all_statements(dev) if any("kms:" in action for action in listed(each["Action"]))
    ]


def test_queues_are_made_at_run_time_only_if_that_is_configured(dev: Template, prod: Template) -> None:
    assert not allowed(dev.statements(ROLES["api"]), "sqs:CreateQueue")
    assert allowed(prod.statements(ROLES["api"]), "sqs:CreateQueue") == {
        f"arn:<Partition>:sqs:{ACCOUNT}:karman-prod-*",
        f"arn:<Partition>:sqs:{ACCOUNT}:karman-prod_*",
    }
