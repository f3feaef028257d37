"""What a deployment may choose, in one model, read from the CDK context `karman`.

    cdk deploy -c karman='{"stage": "prod", "alarms": {"emails": ["ops@example.com"]}}'

or in `cdk.json`, under `context`. Times are in the unit that a name ends with, sizes in MB.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from karman_core.backends.aws.names import deployment_prefix
from karman_core.domain.errors import InvalidRequest, Problem
from karman_functions.api.callers import IamCaller

if TYPE_CHECKING:
    from constructs import Node

CONTEXT = "karman"

LogRetention = Literal[1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 3653]
"""CloudWatch Logs takes these numbers of days."""

Email = Annotated[str, StringConstraints(pattern=r"^[^@\s,;]+@[^@\s,;]+\.[^@\s,;]+$", max_length=254)]
Arn = Annotated[str, StringConstraints(pattern=r"^arn:aws[a-z-]*:[a-z0-9-]+:[a-z0-9-]*:[0-9]*:.+$")]

_PRODUCTION = frozenset({"prod", "production", "live"})


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ApiConfig(_Part):
    """The HTTP API.

    Attributes:
        authorization: `keys` for Karman's API keys; `iam` to have the gateway ask for SigV4.
        iam_callers: with `iam`, what AWS identities may do that send no key; see docs/http-api.md.
        requests_per_second, burst: of all clients together; the gateway answers 429 beyond.
        key_requests_per_second, key_burst: of one key, on one instance.
        cors_origins: whose pages may call it from a browser.
        domain_name, certificate_arn: a domain of one's own and its certificate in this region; both or none. The
            stack's output says where the domain's DNS record has to point.
    """

    authorization: Literal["keys", "iam"] = "keys"
    iam_callers: tuple[IamCaller, ...] = ()
    requests_per_second: int = Field(default=200, ge=1, le=10_000)
    burst: int = Field(default=400, ge=1, le=5_000)
    key_requests_per_second: float = Field(default=100.0, ge=0)
    key_burst: int = Field(default=200, ge=1)
    cors_origins: tuple[str, ...] = ()
    domain_name: str | None = None
    certificate_arn: Arn | None = None

    @model_validator(mode="after")
    def _callers_sign(self) -> Self:
        if self.iam_callers and self.authorization != "iam":
            raise ValueError("iam_callers say what signed requests may do; set authorization to iam")
        return self

    @model_validator(mode="after")
    def _whole_domain(self) -> Self:
        if (self.domain_name is None) != (self.certificate_arn is None):
            raise ValueError("domain_name and certificate_arn go together; give both or none")
        return self


class AlarmConfig(_Part):
    """Alarms.

    Attributes:
        emails: who is told; each has to confirm a message of SNS once.
        enabled: whether there are any, at $0.10 a month each; None for in production, or with somebody to tell.
        queue_age_seconds: how long the oldest message of a task queue may wait.
        api_5xx: answers of the API with a 5xx status in five minutes.
    """

    emails: tuple[Email, ...] = ()
    enabled: bool | None = None
    queue_age_seconds: int = Field(default=900, ge=60)
    api_5xx: int = Field(default=5, ge=1)


class NetworkConfig(_Part):
    """A VPC to run in. Functions in one reach AWS through endpoints or a NAT that it has already.

    Attributes:
        vpc_id: of the VPC.
        subnet_ids: private subnets, each in the availability zone of the same place in the list.
        availability_zones: of the subnets.
        security_group_ids: of functions and containers; at least one, with a way out to port 443.
    """

    vpc_id: Annotated[str, StringConstraints(pattern=r"^vpc-[0-9a-f]+$")]
    subnet_ids: tuple[Annotated[str, StringConstraints(pattern=r"^subnet-[0-9a-f]+$")], ...] = Field(
        min_length=1
    )
    availability_zones: tuple[str, ...] = Field(min_length=1)
    security_group_ids: tuple[Annotated[str, StringConstraints(pattern=r"^sg-[0-9a-f]+$")], ...] = Field(
        min_length=1
    )

    @model_validator(mode="after")
    def _a_zone_a_subnet(self) -> Self:
        if len(self.subnet_ids) != len(self.availability_zones):
            raise ValueError("availability_zones names the zone of each subnet, in the same order")
        return self


class Config(_Part):
    """A deployment: one stage in one account and region.

    Attributes:
        stage: tells deployments of an account apart; begins the names of all their resources. No hyphens, so that no
            stage's names can be those of another one.
        production: the table, the blobs and the logs outlive the stack, and the table refuses to be deleted. By default
            for stages named prod, production or live.
        retention_days: how long items of a run are kept after its end.
        log_retention_days: of log groups.
        log_level: of all functions and workers.
        alarms, api, network: see there; `network` None for functions outside of any VPC.
        dashboard: whether there is one, at $3 a month; None for in production alone.
        dead_letters_minutes: how often dead letters are taken.
        memory_mb: of the control plane's functions. 1,769 MB is one whole CPU.
        api_concurrency: at most so many requests at a time, taken from the account's concurrency; None for no limit.
        node_concurrency: of one NodeFunction, if it says nothing: at most so many batches at a time.
        customer_key: encrypt with a KMS key of the deployment (about $1 a month, and a fee a request) instead of
            keys that AWS owns and that cost nothing.
        create_queues: workers over HTTP may register runtimes that no stack has; the API makes their queues.
            CloudFormation does not know such queues: `karman destroy` takes them away.
        fair_queues: keeps one wide run from delaying the others; SQS bills a quarter more a request.
        publish_started: events say when runs begin too, not only when they end, pause and go on: an event more a run.
        tracing: X-Ray on all functions, the API's among them.
        architecture: of all functions and containers.
        bundle_for: `lambda`, or `host` to package for the machine that synthesizes: an emulator on it runs functions
            with its own Python.
    """

    stage: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]{0,11}$")] = "dev"
    production: bool = False
    retention_days: int = Field(default=30, ge=15, le=3_650)
    log_retention_days: LogRetention = 30
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    alarms: AlarmConfig = AlarmConfig()
    dashboard: bool | None = None
    dead_letters_minutes: int = Field(default=5, ge=1, le=60)
    api: ApiConfig = ApiConfig()
    network: NetworkConfig | None = None
    memory_mb: int = Field(default=1_024, ge=256, le=10_240)
    api_concurrency: int | None = Field(default=None, ge=1)
    node_concurrency: int = Field(default=50, ge=2, le=1_000)
    customer_key: bool = False
    create_queues: bool = False
    fair_queues: bool = True
    publish_started: bool = False
    tracing: bool = False
    architecture: Literal["arm64", "x86_64"] = "arm64"
    bundle_for: Literal["lambda", "host"] = "lambda"

    @model_validator(mode="before")
    @classmethod
    def _production_by_name(cls, given: Any) -> Any:  # noqa: ANN401  whatever was given
        if isinstance(given, Mapping) and "production" not in given:
            return {**given, "production": given.get("stage") in _PRODUCTION}
        return given

    @property
    def has_alarms(self) -> bool:
        """Alarms that nobody hears of cost as much as others."""
        wanted = self.alarms.enabled
        return (self.production or bool(self.alarms.emails)) if wanted is None else wanted

    @property
    def has_dashboard(self) -> bool:
        """Whether one is made."""
        return self.production if self.dashboard is None else self.dashboard

    @property
    def prefix(self) -> str:
        """Begins the names of everything that is deployed."""
        return deployment_prefix(self.stage)


def parse_config(given: object) -> Config:
    """A configuration from JSON's values, or from JSON text (`-c` gives text).

    Raises:
        InvalidRequest: with a line for each problem.
    """
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except ValueError as error:
            problem = Problem(f"context.{CONTEXT}", "invalid_json", f"{error}.")
            raise InvalidRequest("The configuration is not JSON.", [problem]) from None
    try:
        return Config.model_validate({} if given is None else given)
    except ValidationError as error:
        raise InvalidRequest("The configuration cannot be deployed:", _problems(error)) from None


def load_config(node: Node) -> Config:
    """The configuration in the context of an app, a stack or any construct. Raises InvalidRequest."""
    return parse_config(node.try_get_context(CONTEXT))


def _problems(error: ValidationError) -> Sequence[Problem]:
    return [
        Problem(
            ".".join([f"context.{CONTEXT}", *map(str, each["loc"])]),
            "invalid_setting",
            f"{each['msg'].removeprefix('Value error, ')} (given: {each['input']!r})",
        )
        for each in error.errors()
    ]
