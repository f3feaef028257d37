"""Nodes that run elsewhere: on a machine of one's own, in a cluster, or over HTTP with no AWS credentials at all."""

from __future__ import annotations

from typing import Unpack

from aws_cdk import CfnOutput
from aws_cdk import aws_iam as iam
from constructs import Construct

from karman_infra.acknowledged import acknowledge_wildcards
from karman_infra.queues import WORKER_VISIBILITY_SECONDS
from karman_infra.runtime import Runtime, RuntimeOptions


class ExternalRuntime(Runtime):
    """A runtime whose workers are somebody else's to run.

        ExternalRuntime(stack, "OnPremises", control_plane=plane, namespace="default", runtime="gpu",
                        principal=iam.ArnPrincipal("arn:aws:iam::123456789012:role/my-cluster"))

    A worker with AWS credentials takes messages from the queue: it assumes `role`, or its own role is given `policy`.
    One without them polls the HTTP API with a key of scope `worker`; the output `Key` has the command that makes one,
    since a key is shown once and never kept, so no template can hold it.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        principal: iam.IPrincipal | None = None,
        **options: Unpack[RuntimeOptions],
    ) -> None:
        """Make the queue and the permissions.

        Args:
            options: see RuntimeOptions.
            principal: who may assume the workers' role: another role, an OIDC provider, IAM Roles Anywhere; None for
                no role, only the policy.
        """
        super().__init__(
            scope,
            construct_id,
            visibility_seconds=WORKER_VISIBILITY_SECONDS,
            **options,
        )
        statements = self.permissions()
        self.policy = iam.ManagedPolicy(
            self,
            "Policy",
            description=f"Karman, stage {self.deployment.config.stage}: workers of {self.queue_name}",
            statements=statements,
        )
        acknowledge_wildcards(self.policy, statements)
        self.role = self._role(principal) if principal else None
        self.joins(self.policy)
        CfnOutput(
            self, "PolicyArn", value=self.policy.managed_policy_arn, description="For the workers' own role"
        )
        CfnOutput(
            self,
            "Key",
            value=f"karman keys create {self.runtime} --scope worker --namespace {self.namespace}",
            description="Makes a key for workers over HTTP",
        )

    def _role(self, principal: iam.IPrincipal) -> iam.Role:
        role = iam.Role(self, "Role", assumed_by=principal, managed_policies=[self.policy])
        CfnOutput(self, "RoleArn", value=role.role_arn, description="What workers assume")
        return role
