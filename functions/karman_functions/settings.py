"""The environment of a function, read in one place into one frozen model. Its stack takes the names from here too."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Json, SecretStr, ValidationError

from karman_core.backends.aws.settings import AwsSettings
from karman_core.domain.definition import NAME_PATTERN
from karman_core.domain.errors import InvalidRequest, Problem
from karman_core.engine import EngineSettings
from karman_functions.api.callers import IamCaller

PREFIX = "KARMAN_"

SHORTEST_RETENTION_DAYS = 15
"""SQS keeps a message for up to 14 days; what it refers to has to outlive it."""

Level = Annotated[
    Literal["debug", "info", "warning", "error"], BeforeValidator(lambda text: str(text).lower())
]


class Settings(BaseModel):
    """What a deployment tells its functions; the variable of each field is `KARMAN_` and its name in capitals.

    Attributes:
        api_key: the admin key, which serves all namespaces; None for keys in the table alone.
        rate: requests a second of one key, on one instance; 0 for no limit.
        burst: requests of one key at once.
        body_bytes: the largest body.
        cors_origins: separated by commas; empty for none.
        iam_callers: what AWS identities may do, in JSON; see IamCaller. Nothing by default.
        stage: of the deployment; a dimension of its metrics.
        log_level: of log lines, which are JSON.
        metrics: write metrics to stdout, in CloudWatch's embedded metric format.
        tracing: `xray` to take the trace of a run whose trigger names none from X-Ray, where it is active.
        retention_days: how long items of a run are kept after its end.
        publish_started: publish `run.started` too, an event more a run.
        webhook_loopback: webhooks may go to this machine too, also by plain HTTP; for tests of a deployment on one.
        table_name: the DynamoDB table; this and what follows are AwsSettings'.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    api_key: SecretStr | None = None
    rate: float = Field(default=100.0, ge=0)
    burst: int = Field(default=200, ge=1)
    body_bytes: int = Field(default=4_194_304, ge=1_024, le=4_500_000)
    cors_origins: str = ""
    iam_callers: Json[tuple[IamCaller, ...]] = ()

    stage: str = Field(default="default", pattern=NAME_PATTERN)
    log_level: Level = "info"
    metrics: bool = True
    tracing: Literal["off", "xray"] = "off"
    retention_days: int = Field(default=30, ge=SHORTEST_RETENTION_DAYS, le=3_650)
    publish_started: bool = False
    webhook_loopback: bool = False

    table_name: str
    prefix: str = "karman"
    region: str | None = None
    endpoint: str | None = None
    bucket: str = ""
    event_bus: str = "default"
    timer_group: str = "default"
    schedule_group: str = "default"
    scheduler_role_arn: str = ""
    cron_target_arn: str = ""
    webhooks_target_arn: str = ""
    scheduler_dead_letter_arn: str | None = None
    secrets_key_id: str | None = None
    fair_queues: bool = True

    def aws(self) -> AwsSettings:
        """What the AWS backend is told."""
        named = {field.name for field in fields(AwsSettings)}
        return AwsSettings(**self.model_dump(include=named))

    def engine(self) -> EngineSettings:
        """What the engine is told."""
        return EngineSettings(
            retention_seconds=self.retention_days * 86_400, publish_started=self.publish_started
        )


def variable(field: str) -> str:
    """The variable of a field; the table's is the one that commands on other machines read too."""
    return PREFIX + {"table_name": "TABLE"}.get(field, field.upper())


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """The settings of this process. Empty variables count as unset. Raises InvalidRequest, naming the variables."""
    environment = os.environ if environment is None else environment
    names = {field: variable(field) for field in Settings.model_fields}
    given = {field: environment[name] for field, name in names.items() if environment.get(name)}
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        problems = [
            Problem(names[str(each["loc"][0])], "invalid_setting", f"{each['msg']}.")
            for each in error.errors(include_input=False)
        ]
        raise InvalidRequest("The environment has settings that cannot be used.", problems) from None


def x_ray_header() -> str | None:
    """The trace of the current invocation, as Lambda tells it where X-Ray is active."""
    return os.environ.get("_X_AMZN_TRACE_ID")
