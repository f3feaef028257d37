"""Karman on AWS: constructs for a CDK app, and the app that deploys them (`cdk.json`).

`ControlPlane` is the engine's home: table, API, cron, guards, alarms. Nodes run in a `NodeFunction` (Lambda), in a
`ContainerRuntime` (ECS Fargate), or elsewhere, through an `ExternalRuntime`. All of them take a `Config`.
"""

from karman_infra.config import AlarmConfig, ApiConfig, Config, NetworkConfig, load_config
from karman_infra.container_runtime import ContainerRuntime
from karman_infra.control_plane import ControlPlane
from karman_infra.deployment import Deployment
from karman_infra.external_runtime import ExternalRuntime
from karman_infra.node_function import NodeFunction

__all__ = [
    "AlarmConfig",
    "ApiConfig",
    "Config",
    "ContainerRuntime",
    "ControlPlane",
    "Deployment",
    "ExternalRuntime",
    "NetworkConfig",
    "NodeFunction",
    "load_config",
]
