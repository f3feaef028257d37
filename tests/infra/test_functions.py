"""What all functions have in common, and that they are told what their settings models ask for."""

from typing import Any

import pytest

from karman_functions.settings import load_settings as load_function_settings
from karman_infra.api import TIMEOUT_SECONDS
from karman_runtime.settings import load_settings as load_runtime_settings
from tests.infra.templates import Template, rendered

CONTROL = ("api", "cron", "dead_letters", "sweeper", "webhooks")


def functions(template: Template) -> dict[str, Any]:
    """Karman's own, without CDK's helper that calls them at deployment."""
    return {
        each["FunctionName"]: each
        for each in template.all("AWS::Lambda::Function").values()
        if "FunctionName" in each
    }


def test_handlers_are_where_the_packages_have_them(dev: Template, examples: Template) -> None:
    assert {name: each["Handler"] for name, each in functions(dev).items()} == {
        f"karman-dev-{name}": f"karman_functions.{name}.handler.handler" for name in CONTROL
    }
    assert {each["Handler"] for each in functions(examples).values()} == {
        "karman_runtime.lambda_entry.handler"
    }


@pytest.mark.parametrize(
    "stack", ["Karman-dev", "Karman-dev-Examples", "Karman-dev-Elsewhere", "Karman-prod"]
)
def test_all_functions(templates: dict[str, Template], stack: str) -> None:
    template = templates[stack]
    groups = {group["LogGroupName"]: group for group in template.all("AWS::Logs::LogGroup").values()}
    for name, function in functions(template).items():
        assert function["Runtime"] == "python3.13"
        assert function["Architectures"] == ["arm64"]
        assert function["RecursiveLoop"] == "Allow"  # or Lambda ends a branch after sixteen messages
        assert groups[f"/aws/lambda/{name}"]["RetentionInDays"] == (90 if "prod" in stack else 30)
        # Metrics are lines without a level, which Lambda takes for INFO: a filter above that would lose them.
        assert function["LoggingConfig"]["ApplicationLogLevel"] in {"INFO", "DEBUG"}
        assert function["LoggingConfig"]["LogFormat"] == "JSON"


def test_the_control_planes_functions_share_one_package(dev: Template) -> None:
    assert len({str(each["Code"]) for each in functions(dev).values()}) == 1


def test_time_outs(dev: Template) -> None:
    found = {name.removeprefix("karman-dev-"): each["Timeout"] for name, each in functions(dev).items()}

    assert found["api"] == TIMEOUT_SECONDS == 30
    assert 300 <= found["sweeper"] <= 900
    (integration,) = dev.all("AWS::ApiGatewayV2::Integration").values()
    assert integration["TimeoutInMillis"] <= 30_000


@pytest.mark.parametrize("function", CONTROL)
def test_control_functions_are_told_what_they_read(dev: Template, prod: Template, function: str) -> None:
    settings = load_function_settings(dev.variables(f"karman-dev-{function}"))
    assert (settings.table_name, settings.prefix, settings.stage) == ("karman-dev", "karman-dev", "dev")
    assert settings.bucket == dev.only("AWS::S3::Bucket")["BucketName"]
    groups = {group["Name"] for group in dev.all("AWS::Scheduler::ScheduleGroup").values()}
    assert groups == {settings.timer_group, settings.schedule_group}
    assert settings.timer_group != settings.schedule_group
    assert settings.cron_target_arn.endswith(":function:karman-dev-cron")
    assert (settings.scheduler_dead_letter_arn or "").endswith(":karman-dev-undelivered")
    assert settings.event_bus == dev.only("AWS::Events::EventBus")["Name"]
    assert settings.webhooks_target_arn.endswith(":function:karman-dev-webhooks")
    assert not settings.publish_started
    assert not settings.webhook_loopback
    role = settings.scheduler_role_arn.rpartition("/")[2]
    assert dev.named("AWS::IAM::Role", "RoleName", role)
    assert settings.secrets_key_id is None

    other = load_function_settings(prod.variables(f"karman-prod-{function}"))
    assert other.secrets_key_id == "alias/karman-prod"
    assert (other.retention_days, other.log_level, other.tracing) == (60, "warning", "xray")


def test_node_functions_are_told_what_they_read(examples: Template, elsewhere: Template) -> None:
    settings = load_runtime_settings(examples.variables("karman-dev-default-digest"))
    assert (settings.namespace, settings.runtime) == ("default", "digest")
    assert settings.node_modules == ("document_digest.digest",)
    assert (settings.table, settings.stage, settings.log_level) == ("karman-dev", "dev", "info")

    variables = elsewhere.variables("karman-dev-team--a-functions")
    assert variables["HARVEST_URL"] == "https://example.com"
    assert load_runtime_settings(variables).namespace == "team-a"


@pytest.mark.parametrize(("stage", "key"), [("dev", None), ("prod", "alias/karman-prod")])
def test_commands_are_told_what_they_read(
    templates: dict[str, Template], stage: str, key: str | None
) -> None:
    """Secrets that a command sets are encrypted as those that the API sets."""
    outputs = templates[f"Karman-{stage}"].raw["Outputs"]
    (told,) = [rendered(each["Value"]) for name, each in outputs.items() if "Environment" in name]
    settings = load_runtime_settings(dict(each.split("=", 1) for each in told.split()))

    assert (settings.backend, settings.table, settings.prefix) == (
        "aws",
        f"karman-{stage}",
        f"karman-{stage}",
    )
    assert settings.secrets_key_id == key


def test_containers_are_told_what_they_read(elsewhere: Template) -> None:
    (container,) = elsewhere.only("AWS::ECS::TaskDefinition")["ContainerDefinitions"]
    settings = load_runtime_settings({each["Name"]: each["Value"] for each in container["Environment"]})

    assert (settings.backend, settings.namespace, settings.runtime) == ("aws", "team-a", "containers")
    assert settings.log_format == "json"
    assert container["Command"] == ["api_harvest.harvest"]
    assert settings.stop_seconds == container["StopTimeout"] == 120
    assert container["HealthCheck"]["Command"] == ["CMD", "python", "-m", "karman_runtime.health"]


def test_nothing_secret_is_in_an_environment(templates: dict[str, Template]) -> None:
    for template in templates.values():
        for function in functions(template).values():
            names = set(function["Environment"]["Variables"])
            assert not {name for name in names if "KEY" in name} - {"KARMAN_SECRETS_KEY_ID"}


def test_a_network_is_for_all_functions_of_a_stage(prod: Template, dev: Template) -> None:
    for function in functions(prod).values():
        assert function["VpcConfig"]["SubnetIds"] == ["subnet-0a1b2c3d", "subnet-1a1b2c3d"]
        assert function["VpcConfig"]["SecurityGroupIds"] == ["sg-0a1b2c3d"]
    for function in functions(dev).values():
        assert "VpcConfig" not in function


def test_concurrency_is_reserved_only_where_it_is_configured(dev: Template, prod: Template) -> None:
    assert all("ReservedConcurrentExecutions" not in each for each in functions(dev).values())
    reserved = {
        name: each["ReservedConcurrentExecutions"]
        for name, each in functions(prod).items()
        if "ReservedConcurrentExecutions" in each
    }
    assert reserved == {"karman-prod-api": 100}


def test_nodes_are_registered_after_each_change_of_their_code(examples: Template) -> None:
    triggers = examples.all("Custom::Trigger").values()

    assert len(triggers) == 3
    for trigger in triggers:
        assert "CurrentVersion" in trigger["HandlerArn"]  # a new version for new code, and so a new call
        assert (
            trigger["InvocationType"] == "RequestResponse"
        )  # a module that cannot be imported fails the deployment
        assert trigger["ExecuteOnHandlerChange"] is True


def test_functions_of_cdk_leave_no_logs_behind(dev: Template, examples: Template) -> None:
    for template in (dev, examples):
        names = [group["LogGroupName"] for group in template.all("AWS::Logs::LogGroup").values()]
        helpers = [
            logical
            for logical, each in template.all("AWS::Lambda::Function").items()
            if "FunctionName" not in each
        ]
        assert len(helpers) == 1
        assert f"/aws/lambda/<{helpers[0]}>" in names
