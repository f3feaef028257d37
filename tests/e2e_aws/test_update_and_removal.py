"""Last of all: what is deployed is changed, and then it goes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from karman import Client
from tests.e2e_aws.conftest import APP, LETTERS, Deployed
from tests.e2e_aws.deployment import CDK, SECONDS
from tests.e2e_aws.nodes.flow import graph as greeting
from tests.e2e_aws.nodes.flow import writes

pytestmark = pytest.mark.timeout(900)


def test_an_update_of_nodes_and_graph(
    deployed: Deployed, client: Client, container: subprocess.Popen[bytes]
) -> None:
    assert container.poll() is None
    module = deployed.nodes / "greeting.py"
    module.write_text(
        module.read_text(encoding="utf-8").replace('WORD = "Hello"', 'WORD = "Bye"'), encoding="utf-8"
    )
    deployed.cdk("deploy", "--all", "--require-approval", "never")
    definition = greeting.definition()
    changed = definition.model_copy(update={"triggers": ()})
    assert client.put_graph(changed).version == 2
    run = client.trigger("greeting", {"name": "Ada"}, wait=True, wait_timeout=SECONDS)

    assert run.result == {"told": "Bye, Ada! has 6 letters"}
    assert run.graph_version == 2
    schedules = deployed.boto("scheduler").list_schedules(GroupName="karman-e2e-cron")["Schedules"]
    assert schedules == []
    deployed.cdk("diff", "--all", "--fail")


def test_destroying_it_leaves_nothing(deployed: Deployed, client: Client, tmp_path: Path) -> None:
    """Last, by Karman's command: only what CDK's bootstrap made is left. Secrets and a queue are of no stack."""
    assert client.put_graph(writes, secrets={"letters": LETTERS}).valid
    for name in ("karman-e2e-default-later", "karman-e2e-default-later-dlq"):
        deployed.boto("sqs").create_queue(QueueName=name)
    said = destroy(deployed, tmp_path)
    assert "secrets that no stack knows of: 1" in said
    assert "karman-e2e-default-later-dlq" in said

    left = {
        "tables": deployed.boto("dynamodb").list_tables()["TableNames"],
        "queues": deployed.boto("sqs").list_queues().get("QueueUrls", []),
        "functions": names(deployed.boto("lambda").list_functions()["Functions"], "FunctionName"),
        "sources": names(deployed.boto("lambda").list_event_source_mappings()["EventSourceMappings"], "UUID"),
        "topics": deployed.boto("sns").list_topics()["Topics"],
        "apis": deployed.boto("apigatewayv2").get_apis()["Items"],
        "schedules": deployed.boto("scheduler").list_schedules()["Schedules"],
        "groups": names(deployed.boto("scheduler").list_schedule_groups()["ScheduleGroups"], "Name")
        - {"default"},
        "buses": names(deployed.boto("events").list_event_buses()["EventBuses"], "Name") - {"default"},
        "alarms": deployed.boto("cloudwatch").describe_alarms()["MetricAlarms"],
        "dashboards": deployed.boto("cloudwatch").list_dashboards()["DashboardEntries"],
        "buckets": of_karman(deployed.boto("s3").list_buckets()["Buckets"], "Name"),
        "roles": of_karman(deployed.boto("iam").list_roles()["Roles"], "RoleName"),
        "logs": of_karman(deployed.boto("logs").describe_log_groups()["logGroups"], "logGroupName"),
        "parameters": of_karman(deployed.boto("ssm").describe_parameters()["Parameters"], "Name"),
        "stacks": of_karman(
            deployed.boto("cloudformation").list_stacks(StackStatusFilter=["CREATE_COMPLETE"])[
                "StackSummaries"
            ],
            "StackName",
        ),
    }
    assert {name: found for name, found in left.items() if found} == {}


def destroy(deployed: Deployed, folder: Path) -> str:
    """`karman destroy`, as whoever has no clone calls it."""
    given = [
        word
        for name, value in deployed.context.items()
        for word in ("--context", f"{name}={value if isinstance(value, str) else json.dumps(value)}")
    ]
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("karman")),
            "destroy",
            "--yes",
            "--app",
            f"{sys.executable} {APP}",
            *given,
        ],
        cwd=folder,
        env={**deployed.environment, "PATH": f"{CDK.parent}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=480,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stderr


def names(items: list[dict[str, Any]], key: str) -> set[str]:
    return {item[key] for item in items}


def of_karman(items: list[dict[str, Any]], key: str) -> set[str]:
    return {name for name in names(items, key) if "karman" in name.lower()}
