"""What the end-to-end test deploys: the examples, nodes of its own in Lambda, and a queue for a container."""

from pathlib import Path

import aws_cdk as cdk

from karman_infra import ExternalRuntime, NodeFunction
from karman_infra.app import build

ROOT = Path(__file__).resolve().parents[2]


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
        exclude=["flow.py", "measuring.py"],
    )
    ExternalRuntime(stack, "Container", control_plane=plane, namespace="default", runtime="container")
    app.synth()


main()
