"""The HTTP API: one function behind API Gateway, which limits, logs and, if asked to, authorizes requests."""

from __future__ import annotations

import json
from typing import Final

from aws_cdk import CfnOutput, Duration, Stack
from aws_cdk import aws_apigatewayv2 as gateway
from aws_cdk import aws_apigatewayv2_authorizers as authorizers
from aws_cdk import aws_apigatewayv2_integrations as integrations
from aws_cdk import aws_certificatemanager as certificates
from aws_cdk import aws_iam as iam
from constructs import Construct

from karman_infra import permissions
from karman_infra.acknowledged import acknowledge
from karman_infra.deployment import Deployment
from karman_infra.functions import ControlFunction, log_group

TIMEOUT_SECONDS: Final = 30
"""As long as an HTTP API waits for a function. A request waits at most 20 s for work or for a run's end."""

_ALL: Final = "/{proxy+}"

_LOGGED: Final = {
    "requestId": "$context.requestId",
    "requestTime": "$context.requestTime",
    "sourceIp": "$context.identity.sourceIp",
    "method": "$context.httpMethod",
    "path": "$context.path",
    "status": "$context.status",
    "latencyMs": "$context.responseLatency",
    "functionMs": "$context.integrationLatency",
    "bytes": "$context.responseLength",
    "error": "$context.error.message",
    "functionError": "$context.integrationErrorMessage",
}


class Api(Construct):
    """The API and its function. `url` is where clients find it."""

    def __init__(self, scope: Construct, construct_id: str, deployment: Deployment) -> None:
        super().__init__(scope, construct_id)
        self._deployment = deployment
        self.function = ControlFunction(
            self,
            "Function",
            deployment,
            function="api",
            permissions=_permissions(deployment),
            timeout_seconds=TIMEOUT_SECONDS,
            description="the HTTP API",
            settings=_settings(deployment),
            concurrency=deployment.config.api_concurrency,
        )
        self.http_api = gateway.HttpApi(
            self,
            "HttpApi",
            api_name=deployment.prefix,
            description=f"Karman, stage {deployment.config.stage}",
            create_default_stage=False,
            disable_execute_api_endpoint=deployment.config.api.domain_name is not None,
        )
        self._add_routes()
        domain = self._domain()
        self.stage = self._stage(domain)
        own = deployment.config.api.domain_name
        self.url = f"https://{own}" if own else self.http_api.api_endpoint
        CfnOutput(self, "Url", value=self.url, description="KARMAN_URL: where clients find the API")

    def _add_routes(self) -> None:
        config = self._deployment.config.api
        signed = config.authorization == "iam"
        integration = integrations.HttpLambdaIntegration(
            "Integration", self.function, timeout=Duration.seconds(TIMEOUT_SECONDS - 1)
        )
        self.http_api.add_routes(
            path=_ALL,
            methods=[gateway.HttpMethod.ANY],
            integration=integration,
            authorizer=authorizers.HttpIamAuthorizer() if signed else None,
        )
        if signed and config.cors_origins:
            asking = self.http_api.add_routes(
                path=_ALL, methods=[gateway.HttpMethod.OPTIONS], integration=integration
            )
            for route in asking:
                acknowledge(
                    route,
                    "APIG4",
                    "Browsers ask whether they may, without a signature; the function answers with headers alone.",
                )
        if not signed:
            acknowledge(
                self.http_api,
                "APIG4",
                "The function asks for an API key: keys are checked against the table, by namespace and scope.",
            )

    def _stage(self, domain: gateway.DomainName | None) -> gateway.HttpStage:
        config = self._deployment.config.api
        stage = gateway.HttpStage(
            self,
            "Stage",
            http_api=self.http_api,
            stage_name="$default",
            auto_deploy=True,
            throttle=gateway.ThrottleSettings(
                rate_limit=config.requests_per_second, burst_limit=config.burst
            ),
            domain_mapping=gateway.DomainMappingOptions(domain_name=domain) if domain else None,
        )
        # Under this name CloudWatch needs no policy for each log group; there may be ten such policies in an account.
        name = f"/aws/vendedlogs/apigateway/{self._deployment.prefix}"
        group = log_group(self, "AccessLogs", self._deployment, name)
        child = stage.node.default_child
        if isinstance(child, gateway.CfnStage):
            child.access_log_settings = gateway.CfnStage.AccessLogSettingsProperty(
                destination_arn=group.log_group_arn, format=json.dumps(_LOGGED)
            )
        return stage

    def _domain(self) -> gateway.DomainName | None:
        config = self._deployment.config.api
        if config.domain_name is None or config.certificate_arn is None:
            return None
        certificate = certificates.Certificate.from_certificate_arn(
            self, "Certificate", config.certificate_arn
        )
        domain = gateway.DomainName(
            self,
            "Domain",
            domain_name=config.domain_name,
            certificate=certificate,
            security_policy=gateway.SecurityPolicy.TLS_1_2,
        )
        CfnOutput(
            self,
            "DomainTarget",
            value=domain.regional_domain_name,
            description=f"What the DNS record (CNAME, or an alias) of {config.domain_name} points to",
        )
        return domain

    def arn_for_execute_api(self) -> str:
        """For policies of clients that sign their requests (`execute-api:Invoke`)."""
        return Stack.of(self).format_arn(
            service="execute-api", resource=self.http_api.api_id, resource_name="*/*/*"
        )


def _settings(deployment: Deployment) -> dict[str, str]:
    config = deployment.config.api
    callers = [caller.model_dump(mode="json") for caller in config.iam_callers]
    return {
        "rate": str(config.key_requests_per_second),
        "burst": str(config.key_burst),
        **({"iam_callers": json.dumps(callers)} if callers else {}),
        **({"cors_origins": ",".join(config.cors_origins)} if config.cors_origins else {}),
    }


def _permissions(deployment: Deployment) -> list[iam.PolicyStatement]:
    creating = [permissions.creating_queues(deployment)] if deployment.config.create_queues else []
    return [
        *permissions.following(deployment),
        permissions.indexes(deployment, permissions.LISTS),
        permissions.receiving(deployment.task_queue_arns()),
        *permissions.schedules(deployment),
        *permissions.secrets(deployment, None, write=True),
        *creating,
    ]
