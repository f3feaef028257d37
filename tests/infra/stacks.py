"""Every construct in every shape that matters, as one app: `python stacks.py FOLDER` synthesizes it with cdk-nag.

Stages side by side in one account: `dev` as it comes, `live` as it comes for production, and `prod` with all that
can be configured.
"""

import sys
from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from cdk_nag import AwsSolutionsChecks

from karman_infra import Config, ContainerRuntime, ControlPlane, ExternalRuntime, NodeFunction
from karman_infra.app import build

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"

LIVE = {"stage": "live", "alarms": {"emails": ["ops@example.com"]}}
PROD = {
    "stage": "prod",
    "alarms": {"emails": ["ops@example.com"], "queue_age_seconds": 300},
    "api": {
        "authorization": "iam",
        "iam_callers": [
            {
                "arn": "arn:aws:sts::123456789012:assumed-role/ci/*",
                "namespace": "team-a",
                "scopes": ["trigger"],
            }
        ],
        "domain_name": "karman.example.com",
        "certificate_arn": "arn:aws:acm:eu-central-1:123456789012:certificate/1a2b3c",
        "cors_origins": ["https://example.com"],
    },
    "network": {
        "vpc_id": "vpc-0a1b2c3d",
        "subnet_ids": ["subnet-0a1b2c3d", "subnet-1a1b2c3d"],
        "availability_zones": ["eu-central-1a", "eu-central-1b"],
        "security_group_ids": ["sg-0a1b2c3d"],
    },
    "api_concurrency": 100,
    "retention_days": 60,
    "log_retention_days": 90,
    "log_level": "warning",
    "customer_key": True,
    "create_queues": True,
    "tracing": True,
}


def main(folder: str) -> None:
    app = cdk.App(outdir=folder, context={"karman": {"stage": "dev"}}, analytics_reporting=False)
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    plane = build(app, EXAMPLES)
    stack = cdk.Stack(app, "Karman-dev-Elsewhere")
    runtimes(stack, plane)
    live = cdk.Stack(app, "Karman-live")
    production = ControlPlane(live, "Karman", config=Config.model_validate(LIVE))
    nodes = cdk.Stack(app, "Karman-live-Nodes")
    file = EXAMPLES / "api_harvest" / "harvest.py"
    NodeFunction(
        nodes, "Harvest", control_plane=production, namespace="default", runtime="harvest", source=file
    )
    prod = cdk.Stack(app, "Karman-prod")
    runtimes(prod, ControlPlane(prod, "Karman", config=Config.model_validate(PROD)))
    app.synth()


def runtimes(stack: cdk.Stack, plane: ControlPlane) -> None:
    """One of each kind, in two namespaces."""
    harvest = EXAMPLES / "api_harvest" / "harvest.py"
    NodeFunction(
        stack,
        "Functions",
        control_plane=plane,
        namespace="team-a",
        runtime="functions",
        source=harvest,
        serves=["shared"],
        sends_to=["team-b/elsewhere"],
        timeout_seconds=900,
        concurrency=7,
        variables={"HARVEST_URL": "https://example.com"},
    )
    ContainerRuntime(
        stack,
        "Containers",
        control_plane=plane,
        namespace="team-a",
        runtime="containers",
        source=harvest,
        max_workers=3,
        spot=True,
    )
    ExternalRuntime(
        stack,
        "External",
        control_plane=plane,
        namespace="lonely",
        runtime="external",
        principal=iam.ArnPrincipal("arn:aws:iam::123456789012:role/cluster"),
    )


if __name__ == "__main__":
    main(sys.argv[1])
