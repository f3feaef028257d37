"""What the end-to-end test deploys: the examples, nodes of its own in Lambda, and a queue for a container."""

from pathlib import Path

import aws_cdk as cdk

from karman_infra import ExternalRuntime, NodeFunction
from karman_infra.app import build

ROOT = Path(__file__).resolve().parents[2]
OTHERS = ["flow.py", "measuring.py"]


def main() -> None:
    app = cdk.App()
    plane = build(app, ROOT / "examples")
    stack = cdk.Stack(app, "Own")
    folder = Path(app.node.get_context("nodes"))
    NodeFunction(
        stack,
        "Greetings",
        control_plane=plane,
        namespace="default",
        runtime="greetings",
        source=folder,
        modules=["greeting"],
        exclude=OTHERS,
    )
    faulty = NodeFunction(
        stack,
        "Faulty",
        control_plane=plane,
        namespace="default",
        runtime="faulty",
        source=folder,
        modules=["faults"],
        exclude=OTHERS,
        timeout_seconds=8,
    )
    # What a process that died was at is there again after this, not after a minute.
    faulty.function.add_environment("KARMAN_LEASE_SECONDS", "2")
    ExternalRuntime(stack, "Container", control_plane=plane, namespace="default", runtime="container")
    app.synth()


main()
