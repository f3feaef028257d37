"""Nodes in Lambda."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Unpack

from aws_cdk import Duration
from aws_cdk import aws_lambda as lambda_
from aws_cdk.triggers import Trigger
from constructs import Construct

from karman_core.domain.errors import InvalidRequest
from karman_infra.bundles import NodeSource, node_bundle
from karman_infra.deployment import Deployment
from karman_infra.functions import (
    SKIPPED,
    Code,
    KarmanFunction,
    code_of,
    is_packaged,
    provider_logs,
    target_of,
)
from karman_infra.guards import event_source
from karman_infra.queues import visibility_seconds
from karman_infra.runtime import Runtime, RuntimeOptions, environment

HANDLER: Final = "karman_runtime.lambda_entry.handler"
MAX_TIMEOUT_SECONDS: Final = 900
_MAX_NAME: Final = 64
_TRIGGERS: Final = "AWSCDK.TriggerCustomResourceProviderCustomResourceProvider"
_PREFIX: Final = "KARMAN_"


class NodeFunction(Runtime):
    """A runtime whose nodes run in a Lambda function.

        NodeFunction(stack, "Digest", control_plane=plane, namespace="default", runtime="digest",
                     source="nodes/digest.py")

    The nodes are registered when the function is deployed. A `requirements.txt` beside the nodes is installed too.
    """

    def __init__(  # noqa: PLR0913  what a runtime may choose
        self,
        scope: Construct,
        construct_id: str,
        *,
        source: str | Path,
        modules: Sequence[str] | None = None,
        timeout_seconds: int = 300,
        memory_mb: int = 1_024,
        concurrency: int | None = None,
        services: Sequence[str] = (),
        exclude: Sequence[str] = (),
        variables: Mapping[str, str] | None = None,
        **options: Unpack[RuntimeOptions],
    ) -> None:
        """Make the function, its queue and its role.

        Args:
            options: see RuntimeOptions.
            source: a Python file with nodes, or a folder; then `modules` names those in it that have nodes.
            timeout_seconds: of a batch. A node's own time-out has to be some ten seconds below it.
            memory_mb: of an instance, which works on up to ten messages at once. 1,769 MB is one whole CPU.
            concurrency: batches at a time, at least 2; None for the configuration's.
            services: AWS services that nodes call through boto3 (`bedrock-runtime`), beside Karman's own. What they
                may do there is granted as usual: `table.grant_read_data(runtime.function)`.
            exclude: patterns of names that are not packaged.
            variables: for the nodes' environment. Secrets belong into Karman's, not here.

        Raises:
            InvalidRequest: a value is out of its range, or the nodes cannot be packaged.
        """
        _check(timeout_seconds, variables or {})
        super().__init__(
            scope, construct_id, visibility_seconds=visibility_seconds(timeout_seconds), **options
        )
        nodes = NodeSource.of(source, modules, exclude)
        told = {**self.settings(), "nodes": ",".join(nodes.modules)}
        runs = Code(
            name=_function_name(self.deployment, self.queue_name),
            handler=HANDLER,
            code=self._code(nodes, services),
            environment={**(variables or {}), **environment(told)},
            timeout_seconds=timeout_seconds,
            memory_mb=memory_mb,
            description=f"nodes of {self.queue_name}",
        )
        self.function = KarmanFunction(self, "Function", self.deployment, runs, self.permissions())
        self.joins(self.function)
        limit = concurrency or self.deployment.config.node_concurrency
        self._source = event_source(
            self, "Source", self.function.function_name, self.task_queue.queue, concurrency=limit
        )
        self._source.node.add_dependency(self.function.role)
        self.alarms.of_function(self.function.name)
        self._register()

    def _code(self, nodes: NodeSource, services: Sequence[str]) -> lambda_.Code:
        if not is_packaged(self):
            return lambda_.InlineCode(SKIPPED)
        return code_of(node_bundle(target_of(self.deployment.config), nodes, services))

    def _register(self) -> None:
        """Once after each change of the code: the function is called without a batch, and registers its nodes."""
        trigger = Trigger(
            self,
            "Registration",
            handler=self.function,
            timeout=Duration.minutes(2),
            execute_after=[self.task_queue],
        )
        if self.function.role is not None:
            trigger.node.add_dependency(self.function.role)  # and with it on what the role may do
        group = provider_logs(self, self.deployment, _TRIGGERS)
        if group is not None:
            trigger.node.add_dependency(group)


def _check(timeout_seconds: int, variables: Mapping[str, str]) -> None:
    if not 1 <= timeout_seconds <= MAX_TIMEOUT_SECONDS:
        raise InvalidRequest(
            f"timeout_seconds is 1 to {MAX_TIMEOUT_SECONDS}, not {timeout_seconds}: for nodes that take longer use a "
            "ContainerRuntime."
        )
    own = sorted(name for name in variables if name.startswith(_PREFIX))
    if own:
        raise InvalidRequest(f"Variables that begin with {_PREFIX} are Karman's own: {', '.join(own)}.")


def _function_name(deployment: Deployment, queue: str) -> str:
    """The queue's name, as far as it fits."""
    name = deployment.queue_name(queue)
    if len(name) <= _MAX_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:12]
    return f"{name[: _MAX_NAME - 13]}_{digest}"
