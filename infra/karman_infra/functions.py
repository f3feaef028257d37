"""Functions: what all of Karman's Lambda functions have in common, and those of the control plane."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

from aws_cdk import CfnResource, Duration, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from karman_core.domain.errors import InvalidRequest
from karman_functions.settings import variable
from karman_infra.acknowledged import WILDCARDS, acknowledge, acknowledge_wildcards
from karman_infra.bundles import Bundle, Target, control_bundle
from karman_infra.config import Config, NetworkConfig
from karman_infra.deployment import Deployment
from karman_infra.storage import removal_policy

RUNTIME: Final = lambda_.Runtime.PYTHON_3_13
SKIPPED: Final = "def handler(event, context):\n    raise RuntimeError('synthesized without bundling')\n"
"""The code of functions that are not packaged: see `is_packaged`."""

MAX_ENVIRONMENT_BYTES: Final = 4_096
"""Lambda: of all variables of a function, names and values."""

_MAX_DESCRIPTION: Final = 256
_TOKEN: Final = re.compile(r"\$\{Token\[[^\]]*\]\}")
_RESOLVED: Final = "ap-southeast-1"
"""As long as what a token becomes: a region or an account's number."""

RECURSIVE_LOOP: Final = lambda_.RecursiveLoop.ALLOW
"""A branch goes from message to message, so what looks like a loop to Lambda is how Karman works: bounded by the graph,
by its rounds, and by the deadline of every run. Lambda would cut it off after 16 messages."""

_WHY_THIS_PYTHON: Final = (
    "Python 3.13 is what the packages are locked for and tested with; a newer one comes with both."
)


@dataclass(frozen=True, slots=True)
class Code:
    """What a function runs and what it is told.

    Attributes:
        name: of the function.
        handler: dotted.
        code: its package.
        environment: variables.
        timeout_seconds, memory_mb: of an invocation, and of an instance.
        description: for the console.
        concurrency: reserved instances; None for none.
    """

    name: str
    handler: str
    code: lambda_.Code
    environment: Mapping[str, str]
    timeout_seconds: int
    memory_mb: int
    description: str
    concurrency: int | None = None


class KarmanFunction(lambda_.Function):
    """A function with its own role and log group. What it may do is said by whoever makes it, and nothing else."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        deployment: Deployment,
        runs: Code,
        permissions: Sequence[iam.PolicyStatement],
    ) -> None:
        """Make it. Raises InvalidRequest for more variables than Lambda takes."""
        config, network = deployment.config, deployment.config.network
        _check_environment(runs)
        group = log_group(scope, f"{construct_id}Logs", deployment, f"/aws/lambda/{runs.name}")
        role = _role(scope, f"{construct_id}Role", config)
        super().__init__(
            scope,
            construct_id,
            function_name=runs.name,
            description=_shortened(f"Karman {version('karman')}, stage {config.stage}: {runs.description}"),
            runtime=RUNTIME,
            architecture=architecture(config),
            handler=runs.handler,
            code=runs.code,
            role=role,
            environment=dict(runs.environment),
            timeout=Duration.seconds(runs.timeout_seconds),
            memory_size=runs.memory_mb,
            reserved_concurrent_executions=runs.concurrency,
            log_group=group,
            logging_format=lambda_.LoggingFormat.JSON,
            system_log_level_v2=lambda_.SystemLogLevel.WARN,
            application_log_level_v2=_LAMBDA_LEVELS[config.log_level == "debug"],
            recursive_loop=RECURSIVE_LOOP,
            tracing=lambda_.Tracing.ACTIVE if config.tracing else lambda_.Tracing.DISABLED,
            vpc=network_vpc(scope, f"{construct_id}Vpc", network) if network else None,
            vpc_subnets=_PRIVATE if network else None,
            security_groups=security_groups(scope, construct_id, network) if network else None,
        )
        self.name = runs.name
        group.grant_write(role)
        grant(role, permissions)
        acknowledge(self, "L1", _WHY_THIS_PYTHON)


class ControlFunction(KarmanFunction):
    """A function of the control plane. They share one package, which is uploaded once."""

    def __init__(  # noqa: PLR0913  what differs between them
        self,
        scope: Construct,
        construct_id: str,
        deployment: Deployment,
        *,
        function: str,
        permissions: Sequence[iam.PolicyStatement],
        timeout_seconds: int,
        description: str,
        settings: Mapping[str, str] | None = None,
        concurrency: int | None = None,
        memory_mb: int | None = None,
    ) -> None:
        told = {
            **deployment.settings(),
            "schedule_group": deployment.schedule_group,
            "cron_target_arn": deployment.function_arn("cron"),
            "webhooks_target_arn": deployment.function_arn("webhooks"),
            **({"secrets_key_id": deployment.key_alias} if deployment.config.customer_key else {}),
            **({"tracing": "xray"} if deployment.config.tracing else {}),
            **(settings or {}),
        }
        runs = Code(
            name=deployment.function_name(function),
            handler=f"karman_functions.{function}.handler.handler",
            code=control_code(scope, deployment.config),
            environment={variable(field): value for field, value in told.items()},
            timeout_seconds=timeout_seconds,
            memory_mb=memory_mb or deployment.config.memory_mb,
            description=description,
            concurrency=concurrency,
        )
        super().__init__(scope, construct_id, deployment, runs, permissions)


def _shortened(description: str) -> str:
    """As far as Lambda takes one."""
    return description if len(description) <= _MAX_DESCRIPTION else f"{description[: _MAX_DESCRIPTION - 1]}…"


def _check_environment(runs: Code) -> None:
    """Raises InvalidRequest for more than Lambda takes, which it would tell in the middle of a deployment."""
    size = sum(
        len(_TOKEN.sub(_RESOLVED, text).encode()) for pair in runs.environment.items() for text in pair
    )
    if size > MAX_ENVIRONMENT_BYTES:
        raise InvalidRequest(
            f"The variables of the function {_TOKEN.sub('…', runs.name)} have {size:,} bytes; Lambda takes "
            f"{MAX_ENVIRONMENT_BYTES:,}. Keep `variables` and `api.iam_callers` short: an ARN may hold `*` for many "
            "callers, and what is long belongs into a file beside the nodes."
        )


def target_of(config: Config) -> Target:
    """For which machine functions are packaged."""
    return Target(config.architecture, host=config.bundle_for == "host")


def is_packaged(scope: Construct) -> bool:
    """Whether functions get their packages; templates alone take no network (`-c bundle=false`)."""
    wanted = str(scope.node.try_get_context("bundle") or "true").lower()
    return Stack.of(scope).bundling_required and wanted != "false"


def code_of(bundle: Bundle) -> lambda_.Code:
    """A bundle as a function's code, under the hash of what went into it."""
    return lambda_.Code.from_asset(str(bundle.path), asset_hash=bundle.hash)


def control_code(scope: Construct, config: Config) -> lambda_.Code:
    """What the control plane's functions run."""
    if not is_packaged(scope):
        return lambda_.InlineCode(SKIPPED)
    return code_of(control_bundle(target_of(config)))


def architecture(config: Config) -> lambda_.Architecture:
    """Lambda's word for it."""
    return lambda_.Architecture.ARM_64 if config.architecture == "arm64" else lambda_.Architecture.X86_64


def log_group(scope: Construct, construct_id: str, deployment: Deployment, name: str) -> logs.LogGroup:
    """A log group that forgets after the configured time."""
    return logs.LogGroup(
        scope,
        construct_id,
        log_group_name=name,
        retention=_RETENTION[deployment.config.log_retention_days],
        removal_policy=removal_policy(deployment),
    )


def provider_logs(scope: Construct, deployment: Deployment, provider: str) -> logs.CfnLogGroup | None:
    """The log group of a function that CDK makes for a custom resource of the stack; else it would stay for ever.

    Args:
        provider: the id of the function's construct, of which a stack has one.
    """
    stack = Stack.of(scope)
    handler = next(
        (each for each in stack.node.find_all() if each.node.path.endswith(f"{provider}/Handler")), None
    )
    if not isinstance(handler, CfnResource):
        return None
    name = f"{provider.rpartition('.')[2].rpartition(':')[2]}Logs"
    existing = stack.node.try_find_child(name)
    if isinstance(existing, logs.CfnLogGroup):
        return existing
    return logs.CfnLogGroup(
        stack,
        name,
        log_group_name=f"/aws/lambda/{handler.ref}",
        retention_in_days=deployment.config.log_retention_days,
    )


def grant(role: iam.Role, statements: Sequence[iam.PolicyStatement]) -> None:
    """Let a role do this; the wildcards in it are meant."""
    for statement in statements:
        role.add_to_policy(statement)
    acknowledge_wildcards(role, statements)


def _role(scope: Construct, construct_id: str, config: Config) -> iam.Role:
    role = iam.Role(scope, construct_id, assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
    if config.tracing:
        acknowledge(role, "IAM5[Resource::*]", WILDCARDS["Tracing"])
    if config.network is not None:
        actions = [
            "ec2:AssignPrivateIpAddresses",
            "ec2:CreateNetworkInterface",
            "ec2:DeleteNetworkInterface",
            "ec2:DescribeNetworkInterfaces",
            "ec2:DescribeSubnets",
            "ec2:UnassignPrivateIpAddresses",
        ]
        grant(role, [iam.PolicyStatement(sid="NetworkInterfaces", actions=actions, resources=["*"])])
    return role


def network_vpc(scope: Construct, construct_id: str, network: NetworkConfig) -> ec2.IVpc:
    """The configured VPC, from its ids alone: nothing is looked up."""
    return ec2.Vpc.from_vpc_attributes(
        scope,
        construct_id,
        vpc_id=network.vpc_id,
        availability_zones=list(network.availability_zones),
        private_subnet_ids=list(network.subnet_ids),
    )


def security_groups(scope: Construct, construct_id: str, network: NetworkConfig) -> list[ec2.ISecurityGroup]:
    """The configured ones, which Karman leaves as they are."""
    return [
        ec2.SecurityGroup.from_security_group_id(scope, f"{construct_id}Group{number}", each, mutable=False)
        for number, each in enumerate(network.security_group_ids)
    ]


_PRIVATE: Final = ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS)
_LAMBDA_LEVELS: Final = (lambda_.ApplicationLogLevel.INFO, lambda_.ApplicationLogLevel.DEBUG)
"""Lambda takes lines without a level, such as metrics, for INFO: a filter above that would lose them. What is logged at
all says KARMAN_LOG_LEVEL."""

_RETENTION: Final = {
    1: logs.RetentionDays.ONE_DAY,
    3: logs.RetentionDays.THREE_DAYS,
    5: logs.RetentionDays.FIVE_DAYS,
    7: logs.RetentionDays.ONE_WEEK,
    14: logs.RetentionDays.TWO_WEEKS,
    30: logs.RetentionDays.ONE_MONTH,
    60: logs.RetentionDays.TWO_MONTHS,
    90: logs.RetentionDays.THREE_MONTHS,
    120: logs.RetentionDays.FOUR_MONTHS,
    150: logs.RetentionDays.FIVE_MONTHS,
    180: logs.RetentionDays.SIX_MONTHS,
    365: logs.RetentionDays.ONE_YEAR,
    400: logs.RetentionDays.THIRTEEN_MONTHS,
    545: logs.RetentionDays.EIGHTEEN_MONTHS,
    731: logs.RetentionDays.TWO_YEARS,
    1096: logs.RetentionDays.THREE_YEARS,
    1827: logs.RetentionDays.FIVE_YEARS,
    3653: logs.RetentionDays.TEN_YEARS,
}
