"""The environment, read in one place into one frozen model. Nothing else in Karman knows `os.environ`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from karman_core.domain.definition import NAME_PATTERN
from karman_core.domain.errors import InvalidRequest, Problem

PREFIX = "KARMAN_"


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
        table: the DynamoDB table of a deployment; this and what follows are outputs of its stack, see AwsSettings.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    backend: Literal["embedded", "aws"] = "embedded"
    db: Path | None = None
    namespace: str = Field(default="default", pattern=NAME_PATTERN)
    runtime: str | None = Field(default=None, pattern=NAME_PATTERN)
    lease_seconds: int | None = Field(default=None, ge=1, le=43_200)
    debug: bool = False
    log_level: Literal["debug", "info", "warning", "error"] = "warning"
    host: str = "127.0.0.1"
    port: int = Field(default=8700, ge=0, le=65_535)
    api_key: SecretStr | None = None

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
    scheduler_dead_letter_arn: str | None = None
    secrets_key_id: str | None = None


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """The settings of this process. Empty variables count as unset. Raises InvalidRequest, naming the variables."""
    environment = os.environ if environment is None else environment
    names = {field: PREFIX + field.upper() for field in Settings.model_fields}
    given = {field: environment[name] for field, name in names.items() if environment.get(name)}
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
