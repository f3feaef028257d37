"""Karman's own app: a stack with the control plane, and one with the examples as node functions."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import aws_cdk as cdk

from karman_core.domain.errors import InvalidRequest
from karman_infra.config import load_config
from karman_infra.control_plane import ControlPlane
from karman_infra.node_function import NodeFunction

EXAMPLES: Final = {
    "digest": ("document_digest/digest.py", ()),
    "harvest": ("api_harvest/harvest.py", ()),
    "agent": ("agent_loop/agent.py", ("bedrock-runtime",)),
}
"""Runtimes: where their nodes are, and which services they call."""

NAMESPACE: Final = "default"


def build(app: cdk.App, examples: Path | None = None) -> ControlPlane:
    """Put the stacks into an app.

    Args:
        app: with the context `karman`; see Config.
        examples: the folder of the examples; None for the control plane alone.

    Raises:
        InvalidRequest: the configuration cannot be deployed.
    """
    config = load_config(app.node)
    name = f"Karman-{config.stage}"
    stack = cdk.Stack(app, name, description=f"Karman, stage {config.stage}: the control plane")
    plane = ControlPlane(stack, "Karman", config=config)
    if examples is not None:
        nodes = cdk.Stack(
            app, f"{name}-Examples", description=f"Karman, stage {config.stage}: the examples' nodes"
        )
        for runtime, (file, services) in EXAMPLES.items():
            NodeFunction(
                nodes,
                runtime.capitalize(),
                control_plane=plane,
                namespace=NAMESPACE,
                runtime=runtime,
                source=examples / file,
                services=services,
            )
    return plane


def main() -> None:
    """The app as the CDK command line starts it. Problems of the configuration are lines, no traceback."""
    app = cdk.App()
    wanted = str(app.node.try_get_context("examples") or "false").lower() in {"1", "true", "yes"}
    try:
        build(app, Path("examples") if wanted else None)
    except InvalidRequest as error:
        sys.exit(f"\n{error}\n")
    app.synth()
