"""The configuration: defaults that fit a trial, and a clear line for everything that cannot be deployed."""

import json
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ec2 as ec2
from aws_cdk.assertions import Template
from aws_cdk.aws_lambda import CfnFunction

from karman_core.domain.errors import InvalidRequest
from karman_infra import ContainerRuntime, ControlPlane, ExternalRuntime, NodeFunction
from karman_infra.config import Config, parse_config
from karman_infra.container_runtime import MAX_STEPS, scaling_steps

NETWORK = {
    "vpc_id": "vpc-0a1b",
    "subnet_ids": ["subnet-0a1b"],
    "availability_zones": ["eu-central-1a"],
    "security_group_ids": ["sg-0a1b"],
}


def test_nothing_given_is_a_trial() -> None:
    config = parse_config(None)

    assert (config.stage, config.production, config.prefix) == ("dev", False, "karman-dev")
    assert config.customer_key is False  # a key of one's own costs a dollar a month
    assert config.api_concurrency is None  # new accounts have ten instances, and none to reserve


@pytest.mark.parametrize("stage", ["prod", "production", "live"])
def test_a_stage_of_such_a_name_is_production(stage: str) -> None:
    assert parse_config({"stage": stage}).production
    assert not parse_config({"stage": stage, "production": False}).production


def test_text_is_json() -> None:
    assert parse_config('{"stage": "test", "network": ' + json.dumps(NETWORK) + "}").network is not None


@pytest.mark.parametrize(
    ("given", "path", "said"),
    [
        ({"stage": "Dev"}, "context.karman.stage", "pattern"),
        ({"stage": "my-dev"}, "context.karman.stage", "pattern"),
        ({"stages": "dev"}, "context.karman.stages", "Extra inputs are not permitted"),
        ({"retention_days": 14}, "context.karman.retention_days", "greater than or equal to 15"),
        ({"log_retention_days": 31}, "context.karman.log_retention_days", "Input should be 1, 3"),
        ({"alarms": {"emails": ["ops"]}}, "context.karman.alarms.emails.0", "pattern"),
        ({"api": {"domain_name": "a.example"}}, "context.karman.api", "give both or none"),
        (
            {
                "api": {
                    "iam_callers": [
                        {"arn": "arn:aws:iam::123456789012:user/ann", "namespace": "*", "scopes": ["read"]}
                    ]
                }
            },
            "context.karman.api",
            "set authorization to iam",
        ),
        ({"api": {"authorization": "none"}}, "context.karman.api.authorization", "'keys' or 'iam'"),
        ({"node_concurrency": 1}, "context.karman.node_concurrency", "greater than or equal to 2"),
        ({"memory_mb": 128}, "context.karman.memory_mb", "greater than or equal to 256"),
        ({"network": NETWORK | {"vpc_id": "a"}}, "context.karman.network.vpc_id", "pattern"),
        (
            {"network": NETWORK | {"availability_zones": ["a", "b"]}},
            "context.karman.network",
            "the zone of each subnet",
        ),
        ("{", "context.karman", "Expecting property name"),
    ],
)
def test_what_cannot_be_deployed_says_why(given: Any, path: str, said: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_config(given)

    (problem,) = refused.value.problems
    assert problem.path == path
    assert said in problem.message
    assert path in str(refused.value)


@pytest.mark.parametrize(
    ("given", "alarms", "dashboard"),
    [
        ({}, False, False),
        ({"stage": "prod"}, True, True),
        ({"production": True}, True, True),
        ({"alarms": {"emails": ["ops@example.com"]}}, True, False),
        ({"alarms": {"enabled": True}, "dashboard": True}, True, True),
        ({"stage": "prod", "alarms": {"enabled": False}, "dashboard": False}, False, False),
    ],
)
def test_what_costs_by_the_month_is_for_production_or_asked_for(
    given: dict[str, Any], *, alarms: bool, dashboard: bool
) -> None:
    config = parse_config(given)

    assert (config.has_alarms, config.has_dashboard) == (alarms, dashboard)


def test_all_problems_are_listed() -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_config({"stage": "A", "memory_mb": 1})

    assert {problem.path for problem in refused.value.problems} == {
        "context.karman.stage",
        "context.karman.memory_mb",
    }


def test_more_variables_than_lambda_takes_are_told_before_anything_is_deployed() -> None:
    caller = {"arn": "arn:aws:sts::123456789012:assumed-role/r/*", "namespace": "*", "scopes": ["read"]}
    given = {"authorization": "iam", "iam_callers": [caller] * 60}
    stack = cdk.Stack(cdk.App(context={"bundle": "false"}))

    with pytest.raises(InvalidRequest, match=r"karman-dev-api have [\d,]+ bytes; Lambda takes 4,096"):
        ControlPlane(stack, "Karman", config=Config.model_validate({"api": given}))


def test_a_runtime_with_the_longest_names_can_be_deployed(tmp_path: Path) -> None:
    (tmp_path / "nodes.py").touch()
    stack = cdk.Stack(cdk.App(context={"bundle": "false"}))
    nodes = NodeFunction(
        stack, "Nodes", namespace="n" * 128, runtime="r" * 128, source=tmp_path, modules=["nodes"]
    )

    function = nodes.function.node.default_child
    assert isinstance(function, CfnFunction)
    assert len(function.function_name or "") <= 64
    assert 200 < len(function.description or "") <= 256


@pytest.mark.parametrize(
    ("cpu", "memory_mb", "said"),
    [
        (300, 512, "cpu is one of 256, 512, 1024"),
        (256, 4_096, "memory_mb is one of 512, 1,024, 2,048, not 4,096"),
        (1_024, 1_024, "one of 2,048, 3,072, 4,096 and so on to 8,192, not 1,024"),
    ],
)
def test_a_size_that_fargate_does_not_have(tmp_path: Path, cpu: int, memory_mb: int, said: str) -> None:
    (tmp_path / "nodes.py").touch()
    stack = cdk.Stack(cdk.App(context={"bundle": "false"}))

    with pytest.raises(InvalidRequest, match=said):
        ContainerRuntime(
            stack,
            "Nodes",
            namespace="n",
            runtime="r",
            source=tmp_path,
            modules=["nodes"],
            cpu=cpu,
            memory_mb=memory_mb,
        )


def test_neighbours_share_a_statement_of_the_policy() -> None:
    """IAM takes 6,144 characters of a managed policy, and a statement for each would soon be more."""
    stack = cdk.Stack(cdk.App(context={"bundle": "false"}))
    plane = ControlPlane(stack, "Karman", config=Config())
    runtimes = [
        ExternalRuntime(stack, name, control_plane=plane, namespace="default", runtime=name)
        for name in ("one", "two", "three", "four")
    ]
    for runtime in runtimes:
        others = {each.runtime for each in runtimes} - {runtime.runtime}
        statements = map(json.dumps, stack.resolve(runtime.policy.document)["Statement"])
        (theirs,) = [
            each for each in statements if any(f"karman-dev-default-{name}" in each for name in others)
        ]
        assert all(f"karman-dev-default-{name}" in theirs for name in others)


def test_containers_in_a_vpc_of_ones_own_take_its_private_subnets(tmp_path: Path) -> None:
    """Its groups are not those of the configured network, which is another one."""
    (tmp_path / "nodes.py").touch()
    stack = cdk.Stack(cdk.App(context={"bundle": "false", "karman": {"network": NETWORK}}))
    vpc = ec2.Vpc(stack, "Vpc", max_azs=1)
    ContainerRuntime(stack, "Nodes", namespace="n", runtime="r", source=tmp_path, modules=["nodes"], vpc=vpc)

    (service,) = Template.from_stack(stack).find_resources("AWS::ECS::Service").values()
    network = service["Properties"]["NetworkConfiguration"]["AwsvpcConfiguration"]
    assert network["AssignPublicIp"] == "DISABLED"
    assert network["Subnets"] == [stack.resolve(each.subnet_id) for each in vpc.private_subnets]
    assert network["SecurityGroups"] != NETWORK["security_group_ids"]


def test_no_prefix_begins_another_stages_names() -> None:
    """`karman-dev-*` and `karman-dev_*` are all that a stage's roles may touch, and a stage has no hyphen."""
    assert Config(stage="dev2").prefix.startswith("karman-dev")
    assert not f"{Config(stage='dev2').prefix}-queue".startswith(("karman-dev-", "karman-dev_"))


@pytest.mark.parametrize(
    ("least", "most", "each"), [(0, 1, 1), (0, 4, 100), (2, 19, 10), (0, 20, 5), (1, 500, 50)]
)
def test_steps_cover_every_backlog_once(least: int, most: int, each: int) -> None:
    steps = scaling_steps(least, most, each)

    assert 2 <= len(steps) <= MAX_STEPS
    assert steps[0][0] == 0
    assert steps[-1][1] is None
    assert [upper for _, upper, _ in steps[:-1]] == [lower for lower, _, _ in steps[1:]]
    workers = [count for _, _, count in steps]
    assert workers == sorted(workers)
    assert (workers[0], workers[-1]) == (least, most)


def test_a_worker_for_each_so_many_messages() -> None:
    assert scaling_steps(0, 3, 100) == [(0, 0.5, 0), (0.5, 100.5, 1), (100.5, 200.5, 2), (200.5, None, 3)]
