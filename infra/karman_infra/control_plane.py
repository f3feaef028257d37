"""The control plane of a stage."""

from __future__ import annotations

from typing import Final

from aws_cdk import Aws, CfnOutput, Tags
from aws_cdk import aws_events as events
from constructs import Construct

from karman_infra.alarms import AlarmTopic, ControlPlaneAlarms
from karman_infra.api import Api
from karman_infra.config import Config, load_config
from karman_infra.cron import Cron
from karman_infra.deployment import STAGE_TAG, Deployment
from karman_infra.functions import provider_logs
from karman_infra.guards import DeadLetters, Sweeper
from karman_infra.observability import Dashboard, SavedQueries
from karman_infra.runtime import Runtime
from karman_infra.storage import BlobBucket, EncryptionKey, StateTable
from karman_infra.webhooks import Webhooks

_EMPTYING: Final = "Custom::S3AutoDeleteObjectsCustomResourceProvider"


class ControlPlane(Construct):
    """Everything that runs graphs but the workers: table, API, cron, guards, alarms, dashboard.

    plane = ControlPlane(stack, "Karman")
    """

    def __init__(self, scope: Construct, construct_id: str, *, config: Config | None = None) -> None:
        """Make it.

        Args:
            config: None to read it from the context `karman`.

        Raises:
            InvalidRequest: the configuration cannot be deployed.
        """
        super().__init__(scope, construct_id)
        self.deployment = deployment = Deployment(config or load_config(self.node))
        Tags.of(self).add(STAGE_TAG, deployment.config.stage)
        key = EncryptionKey(self, "Key", deployment).key if deployment.config.customer_key else None
        self.table = StateTable(self, "State", deployment, key).table
        self.bucket = BlobBucket(self, "Blobs", deployment, key).bucket
        emptying = self.bucket.node.try_find_child("AutoDeleteObjectsCustomResource")
        group = provider_logs(self, deployment, _EMPTYING)
        if emptying is not None and group is not None:
            emptying.node.add_dependency(group)
        self.bus = events.EventBus(self, "Bus", event_bus_name=deployment.bus_name)
        self.topic = AlarmTopic(self, "Alarms", deployment).topic
        self.cron = Cron(self, "Cron", deployment)
        self.api = Api(self, "Api", deployment)
        self.dead_letters = DeadLetters(self, "DeadLetters", deployment)
        self.sweeper = Sweeper(self, "Sweeper", deployment)
        self.webhooks = Webhooks(
            self, "Webhooks", deployment, bus=self.bus, undelivered=self.cron.undelivered
        )
        api_id = self.api.http_api.api_id
        self.alarms = ControlPlaneAlarms(self, "ControlPlaneAlarms", deployment, api_id)
        self.dashboard = (
            Dashboard(self, "Dashboard", deployment, api_id) if deployment.config.has_dashboard else None
        )
        SavedQueries(self, "Queries", deployment)
        self._runtimes: list[Runtime] = []
        self._tell()

    def join(self, runtime: Runtime) -> None:
        """Let a runtime and those that were made before send to each other, where they work on the same runs."""
        for other in self._runtimes:
            if set(other.namespaces) & set(runtime.namespaces):
                other.may_send_to(runtime)
                runtime.may_send_to(other)
        self._runtimes.append(runtime)

    def _tell(self) -> None:
        """What the command line and workers elsewhere have to be told."""
        told = {**self.deployment.settings(), "table": self.deployment.table_name}
        told |= {
            "schedule_group": self.deployment.schedule_group,
            "cron_target_arn": self.deployment.function_arn("cron"),
            "webhooks_target_arn": self.deployment.function_arn("webhooks"),
            "region": Aws.REGION,
            **({"secrets_key_id": self.deployment.key_alias} if self.deployment.config.customer_key else {}),
        }
        usual = Deployment(Config()).settings()
        for field in ("table_name", "stage", "log_level"):
            del told[field]
        for field in ("fair_queues", "retention_days", "publish_started"):
            if told[field] == usual[field]:
                del told[field]
        variables = " ".join(f"KARMAN_{field.upper()}={value}" for field, value in sorted(told.items()))
        CfnOutput(
            self,
            "Environment",
            value=f"KARMAN_BACKEND=aws {variables}",
            description="Variables of `karman` commands and workers that work on this deployment with credentials",
        )
