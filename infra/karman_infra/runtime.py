"""What runtimes have in common, wherever their workers run: a task queue, its guard, its alarms, its permissions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Required, TypedDict, Unpack

from aws_cdk import Tags
from aws_cdk import aws_iam as iam
from constructs import Construct

from karman_core.domain.definition import NAME_PATTERN
from karman_core.domain.errors import InvalidRequest
from karman_core.engine.registry import queue_name
from karman_infra import permissions
from karman_infra.alarms import RuntimeAlarms
from karman_infra.deployment import STAGE_TAG, Deployment
from karman_infra.queues import TaskQueue
from karman_runtime.settings import PREFIX

if TYPE_CHECKING:
    from karman_infra.control_plane import ControlPlane


class RuntimeOptions(TypedDict, total=False):
    """What every runtime is told.

    Attributes:
        namespace: whose nodes the runtime has.
        runtime: its name.
        control_plane: of the same app; None for one that is deployed already. Runtimes that are given the same one,
            and work on runs of one namespace, may send to each other.
        serves: other namespaces, whose graphs use nodes of this one.
        sends_to: task queues (`namespace/runtime`) that are in other apps, and that graphs go on in; those too in which
            graphs begin that limit concurrency.
    """

    namespace: Required[str]
    runtime: Required[str]
    control_plane: ControlPlane | None
    serves: Sequence[str]
    sends_to: Sequence[str]


class Runtime(Construct):
    """A named pool of workers for a set of nodes.

    Attributes:
        queue_name: `namespace/runtime`, by which the engine knows its task queue.
        namespaces: whose runs its workers work on.
        task_queue: the queue and its dead letters.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        visibility_seconds: int,
        **options: Unpack[RuntimeOptions],
    ) -> None:
        """Make the queue. Raises InvalidRequest for names that no namespace or runtime can have."""
        super().__init__(scope, construct_id)
        namespace, runtime = options["namespace"], options["runtime"]
        control_plane, serves = options.get("control_plane"), options.get("serves", ())
        for name in (namespace, runtime, *serves):
            _check_name(name)
        self.deployment = control_plane.deployment if control_plane else Deployment.of(self)
        Tags.of(self).add(STAGE_TAG, self.deployment.config.stage)
        self.namespace, self.runtime = namespace, runtime
        self.namespaces = tuple(dict.fromkeys([namespace, *serves]))
        self.queue_name = queue_name(namespace, runtime)
        self.task_queue = TaskQueue(
            self, "Task", self.deployment, queue=self.queue_name, visibility_seconds=visibility_seconds
        )
        self._sends_to = tuple(options.get("sends_to", ()))
        self._control_plane = control_plane
        self._grantee: iam.IGrantable | None = None
        self._neighbours: iam.PolicyStatement | None = None
        self.alarms = RuntimeAlarms(self, "Alarms", self.deployment, self.task_queue)
        if control_plane is not None:
            self.node.add_dependency(control_plane)

    def permissions(self) -> list[iam.PolicyStatement]:
        """What a worker of this runtime may do."""
        return permissions.working(
            self.deployment, queue=self.queue_name, namespaces=self.namespaces, sends_to=self._sends_to
        )

    def settings(self) -> dict[str, str]:
        """What a worker of this runtime is told: fields of `karman_runtime.settings`, by name."""
        told = self.deployment.settings()
        told["table"] = told.pop("table_name")
        return {**told, "namespace": self.namespace, "runtime": self.runtime}

    def joins(self, grantee: iam.IGrantable) -> None:
        """To be called once the workers' role is there: lets it and its neighbours send to each other."""
        self._grantee = grantee
        if self._control_plane is not None:
            self._control_plane.join(self)

    def may_send_to(self, other: Runtime) -> None:
        """Let a run go on there."""
        if self._grantee is None or other is self:
            return
        arn = self.deployment.queue_arn(other.queue_name)
        if self._neighbours is not None:
            self._neighbours.add_resources(arn)  # a policy has room for few statements
            return
        self._neighbours = permissions.sending([arn])
        self._neighbours.sid = None  # another one has it
        self._grantee.grant_principal.add_to_principal_policy(self._neighbours)


def environment(settings: dict[str, str]) -> dict[str, str]:
    """Variables of a worker's settings."""
    return {f"{PREFIX}{field.upper()}": value for field, value in settings.items()}


def _check_name(name: str) -> None:
    if not re.fullmatch(NAME_PATTERN.rstrip("$"), name):
        raise InvalidRequest(
            f"'{name}' is no name of a namespace or a runtime: letters, digits, underscores and hyphens, "
            "beginning with a letter or an underscore, at most 128 characters."
        )
