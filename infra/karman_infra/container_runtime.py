"""Nodes in containers: an ECS Fargate service that has as many workers as its queue needs, down to none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Unpack

from aws_cdk import Duration
from aws_cdk import aws_applicationautoscaling as scaling
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecr_assets as ecr_assets
from aws_cdk import aws_ecs as ecs
from constructs import Construct

from karman_core.domain.errors import InvalidRequest
from karman_infra.acknowledged import WILDCARDS, acknowledge, acknowledge_wildcards
from karman_infra.bundles import NodeSource
from karman_infra.bundles.context import image_context
from karman_infra.functions import is_packaged, log_group, network_vpc, security_groups
from karman_infra.queues import WORKER_VISIBILITY_SECONDS
from karman_infra.runtime import Runtime, RuntimeOptions, environment

STOP_SECONDS: Final = 120
"""Fargate's longest; a worker finishes what it is at, or gives it back."""

HEALTH_PORT: Final = 8_080
SIZES: Final[Mapping[int, Sequence[int]]] = {
    256: (512, 1_024, 2_048),
    512: range(1_024, 4_097, 1_024),
    1_024: range(2_048, 8_193, 1_024),
    2_048: range(4_096, 16_385, 1_024),
    4_096: range(8_192, 30_721, 1_024),
    8_192: range(16_384, 61_441, 4_096),
    16_384: range(32_768, 122_881, 8_192),
}
"""Fargate: CPU units, and the MB of memory that go with them."""

MAX_STEPS: Final = 20
"""Application Auto Scaling: of one policy."""

_FEW: Final = 3


class ContainerRuntime(Runtime):
    """A runtime whose nodes run in containers: longer than fifteen minutes, with more memory, or with other software.

        ContainerRuntime(stack, "Models", control_plane=plane, namespace="default", runtime="models",
                         source="nodes/models.py", max_workers=8)

    The image is made from the nodes' folder by Karman's Dockerfile when the stack is deployed, which takes Docker; or
    name an image that exists. Workers register their nodes when they start; with the service one does.
    """

    def __init__(  # noqa: PLR0913  what a runtime may choose
        self,
        scope: Construct,
        construct_id: str,
        *,
        source: str | Path,
        modules: Sequence[str] | None = None,
        image: ecs.ContainerImage | None = None,
        vpc: ec2.IVpc | None = None,
        cpu: int = 512,
        memory_mb: int = 1_024,
        worker_concurrency: int = 16,
        min_workers: int = 0,
        max_workers: int = 4,
        messages_a_worker: int = 100,
        spot: bool = False,
        exclude: Sequence[str] = (),
        variables: Mapping[str, str] | None = None,
        **options: Unpack[RuntimeOptions],
    ) -> None:
        """Make the service, its queue and its role.

        Args:
            options: see RuntimeOptions.
            source, modules, exclude, variables: see NodeFunction.
            image: one that has the nodes and `karman worker`; None to have it made.
            vpc: whose private subnets are taken, if it has any, else the public ones; None for the configured network;
                without one, a VPC of two public subnets that costs nothing is made.
            cpu, memory_mb: of a worker; 1,024 units are one CPU, and Fargate takes certain pairs alone.
            worker_concurrency: messages that one worker works on at once.
            min_workers, max_workers: how many there are.
            messages_a_worker: the backlog (waiting and in work) that one worker is there for.
            spot: on spare capacity, at about a third of the price; workers are told two minutes before it is taken.

        Raises:
            InvalidRequest: a value is out of its range.
        """
        if not 0 <= min_workers <= max_workers or max_workers < 1 or messages_a_worker < 1:
            raise InvalidRequest(
                "min_workers is 0 or more, max_workers at least 1 and not less; one message a worker."
            )
        _check_size(cpu, memory_mb)
        super().__init__(
            scope,
            construct_id,
            visibility_seconds=WORKER_VISIBILITY_SECONDS,
            **options,
        )
        nodes = NodeSource.of(source, modules, exclude)
        self._configured = None if vpc else self.deployment.config.network
        self._vpc = vpc or self._network()
        self.task = self._task(cpu, memory_mb)
        self._container(nodes, image or self._image(nodes), worker_concurrency, variables or {})
        self.service = self._service(spot=spot)
        self._scale(min_workers, max_workers, messages_a_worker)
        self.joins(self.task.task_role)

    def _network(self) -> ec2.IVpc:
        if self._configured is not None:
            return network_vpc(self, "Network", self._configured)
        vpc = ec2.Vpc(
            self,
            "Vpc",
            max_azs=2,
            nat_gateways=0,
            restrict_default_security_group=False,
            subnet_configuration=[ec2.SubnetConfiguration(name="public", subnet_type=ec2.SubnetType.PUBLIC)],
        )
        acknowledge(
            vpc,
            "VPC7",
            "Nothing listens in this VPC: workers open connections to AWS and take none. Flow logs would cost more "
            "than the workers; who wants them gives a VPC of their own.",
        )
        return vpc

    def _task(self, cpu: int, memory_mb: int) -> ecs.FargateTaskDefinition:
        arm = self.deployment.config.architecture == "arm64"
        task = ecs.FargateTaskDefinition(
            self,
            "Worker",
            cpu=cpu,
            memory_limit_mib=memory_mb,
            runtime_platform=ecs.RuntimePlatform(
                cpu_architecture=ecs.CpuArchitecture.ARM64 if arm else ecs.CpuArchitecture.X86_64,
                operating_system_family=ecs.OperatingSystemFamily.LINUX,
            ),
            volumes=[ecs.Volume(name="tmp")],
        )
        statements = self.permissions()
        for statement in statements:
            task.add_to_task_role_policy(statement)
        acknowledge_wildcards(task.task_role, statements)
        acknowledge(task, "ECS2", "The variables are names of the deployment's resources, and no secrets.")
        return task

    def _container(
        self, nodes: NodeSource, image: ecs.ContainerImage, concurrency: int, variables: Mapping[str, str]
    ) -> None:
        told = {
            **self.settings(),
            "backend": "aws",
            "concurrency": str(concurrency),
            "stop_seconds": str(STOP_SECONDS),
            "health_port": str(HEALTH_PORT),
            "log_format": "json",
            "metrics": "true",
        }
        container = self.task.add_container(
            "Container",
            image=image,
            command=list(nodes.modules),
            environment={**variables, **environment(told)},
            logging=ecs.LogDrivers.aws_logs(
                stream_prefix="worker",
                log_group=log_group(
                    self, "Logs", self.deployment, f"/karman/{self.deployment.queue_name(self.queue_name)}"
                ),
            ),
            stop_timeout=Duration.seconds(STOP_SECONDS),
            readonly_root_filesystem=True,
            health_check=ecs.HealthCheck(
                command=["CMD", "python", "-m", "karman_runtime.health"],
                interval=Duration.seconds(30),
                start_period=Duration.minutes(1),
            ),
        )
        if self.task.execution_role is not None:
            acknowledge(self.task.execution_role, "IAM5[Resource::*]", WILDCARDS["Registry"])
        container.add_mount_points(
            ecs.MountPoint(container_path="/tmp", source_volume="tmp", read_only=False)  # noqa: S108  the task's own
        )

    def _image(self, nodes: NodeSource) -> ecs.ContainerImage:
        """Docker makes it when the stack is deployed; here only the folder that it is made of is put together."""
        if not is_packaged(self):
            return ecs.ContainerImage.from_registry("karman/synthesized-without-bundling")
        arm = self.deployment.config.architecture == "arm64"
        platform = ecr_assets.Platform.LINUX_ARM64 if arm else ecr_assets.Platform.LINUX_AMD64
        return ecs.ContainerImage.from_asset(str(image_context(nodes)), platform=platform)

    def _service(self, *, spot: bool) -> ecs.FargateService:
        """How many workers there are is left to the scaling: a number here would be restored by each deployment.

        Without one a new service begins with one worker, which registers the nodes, and goes if there is nothing to do.
        """
        cluster = ecs.Cluster(
            self,
            "Cluster",
            vpc=self._vpc,
            container_insights_v2=ecs.ContainerInsights.DISABLED,
        )
        acknowledge(
            cluster,
            "ECS4",
            "Karman's own metrics and the queue's say how the workers do; Container Insights bills about eight "
            "metrics for each of them.",
        )
        network = self._configured
        service = ecs.FargateService(
            self,
            "Service",
            cluster=cluster,
            task_definition=self.task,
            min_healthy_percent=0,
            max_healthy_percent=200,
            assign_public_ip=not self._vpc.private_subnets,  # without one there is no way out of a public subnet
            security_groups=security_groups(self, "Service", network) if network else None,
            capacity_provider_strategies=[
                ecs.CapacityProviderStrategy(
                    capacity_provider="FARGATE_SPOT" if spot else "FARGATE", weight=1
                )
            ],
            circuit_breaker=ecs.DeploymentCircuitBreaker(rollback=True),
        )
        service.node.add_dependency(self._capacity(cluster))
        return service

    def _capacity(self, cluster: ecs.Cluster) -> ecs.CfnClusterCapacityProviderAssociations:
        """What the service's strategy names, to be there before the service is and until it is gone.

        CDK would have both made and deleted side by side, but ECS refuses a service whose provider its cluster does not
        have yet, and the end of a provider that a service has.
        """
        return ecs.CfnClusterCapacityProviderAssociations(
            self,
            "Capacity",
            cluster=cluster.cluster_name,
            capacity_providers=["FARGATE", "FARGATE_SPOT"],
            default_capacity_provider_strategy=[],
        )

    def _scale(self, least: int, most: int, messages_a_worker: int) -> None:
        """To an exact number by the backlog: that works from none and to none, where a target has nothing to divide."""
        target = self.service.auto_scale_task_count(min_capacity=least, max_capacity=most)
        target.scale_on_metric(
            "Backlog",
            metric=self._backlog(),
            adjustment_type=scaling.AdjustmentType.EXACT_CAPACITY,
            scaling_steps=[
                scaling.ScalingInterval(change=workers, lower=lower, upper=upper)
                for lower, upper, workers in scaling_steps(least, most, messages_a_worker)
            ],
            evaluation_periods=1,
            cooldown=Duration.minutes(1),
        )

    def _backlog(self) -> cloudwatch.MathExpression:
        """What waits and what is in work: there are workers as long as there is work.

        SQS tells how much is in work only while something is, so that without workers there would never be a sum. What
        waits is not filled up: its newest minute often comes late, and would have busy workers taken away.
        """
        name = self.deployment.queue_name(self.queue_name)

        def messages(metric_name: str) -> cloudwatch.Metric:
            return cloudwatch.Metric(
                namespace="AWS/SQS",
                metric_name=metric_name,
                dimensions_map={"QueueName": name},
                statistic="Maximum",
                period=Duration.minutes(1),
            )

        return cloudwatch.MathExpression(
            expression="waiting + FILL(working, 0)",
            using_metrics={
                "waiting": messages("ApproximateNumberOfMessagesVisible"),
                "working": messages("ApproximateNumberOfMessagesNotVisible"),
            },
            label="backlog",
            period=Duration.minutes(1),
        )


def _check_size(cpu: int, memory_mb: int) -> None:
    sizes = SIZES.get(cpu)
    if sizes is None:
        raise InvalidRequest(f"cpu is one of {', '.join(map(str, SIZES))} units, not {cpu}.")
    if memory_mb not in sizes:
        text = ", ".join(f"{size:,}" for size in sizes[:3])
        more = f" and so on to {sizes[-1]:,}" if len(sizes) > _FEW else ""
        raise InvalidRequest(f"With {cpu} units of CPU, memory_mb is one of {text}{more}, not {memory_mb:,}.")


def scaling_steps(least: int, most: int, messages_a_worker: int) -> list[tuple[float, float | None, int]]:
    """From which backlog, to below which, there are how many workers.

    One worker for each `messages_a_worker`, a part of them counting as all. With more workers than a policy has steps,
    several come at once, more at a time the more there are. The borders lie between numbers of messages, since it
    depends on the alarm's side whether a border belongs to what is above or below.
    """
    counts = list(range(most + 1))
    if len(counts) > MAX_STEPS:
        spread = {max(1, round(most ** (step / (MAX_STEPS - 2)))) for step in range(MAX_STEPS - 1)}
        counts = [0, *sorted(spread)]
    borders = [workers * messages_a_worker + 0.5 for workers in counts[:-1]]
    return [
        (lower, upper, max(least, workers))
        for lower, upper, workers in zip([0.0, *borders], [*borders, None], counts, strict=True)
    ]
