"""The environment, read in one place into one frozen model. Nothing else in Karman knows `os.environ`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from karman_core.domain.definition import NAME_PATTERN
from karman_core.domain.errors import InvalidRequest, Problem

PREFIX = "KARMAN_"

SHORTEST_RETENTION_DAYS = 15
"""SQS keeps a message for up to 14 days; what it refers to has to outlive it."""

Level = Annotated[
    Literal["debug", "info", "warning", "error"], BeforeValidator(lambda text: str(text).lower())
]


class Settings(BaseModel):
    """What may be set from outside; the variable of each field is `KARMAN_` and its name in capitals.

    Attributes:
        backend: `embedded` for a database file on this machine, `aws` for a deployment.
        db: the embedded backend's database file.
        namespace: whose graphs and runs commands work on.
        runtime: the name under which local workers register nodes; by default one for each module.
        lease_seconds: how long work of a worker that was killed waits for the next one; None for the backend's usual.
        debug: show tracebacks of errors that are normally one line.
        log_level: of Karman's and the nodes' log lines on stderr.
        host, port: where `karman dev` serves the HTTP API; port 0 for any that is free.
        api_key: the admin key of that API; None to have one made at each start.
        stage: of the deployment; a dimension of its metrics.
        log_format: `json` for log lines that CloudWatch can search by field.
        metrics: write metrics to stdout, in CloudWatch's embedded metric format; None for where nobody looks at
            stdout: on in Lambda, off elsewhere.
        nodes: the modules with the nodes that a Lambda function runs, separated by commas.
        concurrency: messages that a container worker works on at once.
        stop_seconds: from SIGTERM to the end of a container worker; the platform's stop time-out.
        health_host, health_port: where a container worker answers GET /health; port 0 for any that is free.
        health_seconds: a container worker that has not reached its queue for so long is not healthy.
        handover_seconds: so long before its time-out a Lambda function begins no further state and stops its nodes.
        retention_days: how long items of a run are kept after its end.
        publish_started: publish `run.started` too, an event more a run.
        webhook_loopback: `karman dev` delivers webhooks to this machine too, also by plain HTTP.
        fair_queues: see AwsSettings.
        table: the DynamoDB table of a deployment; this and what follows are outputs of its stack, see AwsSettings.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    backend: Literal["embedded", "aws"] = "embedded"
    db: Path | None = None
    namespace: str = Field(default="default", pattern=NAME_PATTERN)
    runtime: str | None = Field(default=None, pattern=NAME_PATTERN)
    lease_seconds: int | None = Field(default=None, ge=1, le=43_200)
    debug: bool = False
    log_level: Level = "warning"
    host: str = "127.0.0.1"
    port: int = Field(default=8700, ge=0, le=65_535)
    api_key: SecretStr | None = None

    stage: str = Field(default="default", pattern=NAME_PATTERN)
    log_format: Literal["text", "json"] = "text"
    metrics: bool | None = None
    nodes: str = ""
    concurrency: int = Field(default=16, ge=1, le=10_000)
    stop_seconds: float = Field(default=30.0, ge=0, le=3_600, allow_inf_nan=False)
    health_host: str = "127.0.0.1"
    health_port: int = Field(default=8_080, ge=0, le=65_535)
    health_seconds: float = Field(default=120.0, gt=0, allow_inf_nan=False)
    handover_seconds: float = Field(default=10.0, gt=0, le=300, allow_inf_nan=False)
    retention_days: int = Field(default=30, ge=SHORTEST_RETENTION_DAYS, le=3_650)
    publish_started: bool = False
    webhook_loopback: bool = False

    table: str | None = None
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

    @property
    def node_modules(self) -> tuple[str, ...]:
        """The modules of `nodes`."""
        return tuple(name.strip() for name in self.nodes.split(",") if name.strip())


_REGION: Final = "AWS_REGION"
"""What CDK and most SDKs read; boto3 does not."""


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """The settings of this process. Empty variables count as unset. Raises InvalidRequest, naming the variables."""
    environment = os.environ if environment is None else environment
    names = {field: PREFIX + field.upper() for field in Settings.model_fields}
    given = {field: environment[name] for field, name in names.items() if environment.get(name)}
    if environment.get(_REGION):
        given.setdefault("region", environment[_REGION])
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        problems = [
            Problem(names[str(each["loc"][0])], "invalid_setting", f"{each['msg']}.")
            for each in error.errors()
        ]
        raise InvalidRequest("The environment has settings that cannot be used.", problems) from None


def environment_variable(name: str) -> str | None:
    """One variable that the user named, for example to take a secret's value from it."""
    return os.environ.get(name)
