"""What one-time and cron schedules of EventBridge Scheduler have in common: make or replace, and remove."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypedDict

from karman_core.backends.aws.clients import AwsClients
from karman_core.backends.aws.settings import AwsSettings
from karman_core.domain.errors import (
    BackendError,
    Conflict,
    InvalidRequest,
    ItemTooLarge,
    NotFound,
    Unavailable,
)

if TYPE_CHECKING:
    from mypy_boto3_scheduler.literals import ActionAfterCompletionType, ScheduleStateType
    from mypy_boto3_scheduler.type_defs import TargetTypeDef

MAX_INPUT_BYTES = 256 * 1024
"""Scheduler: the input of a target."""

_KEYWORD = "<aws.scheduler."
"""Scheduler replaces keywords that begin so, wherever they stand in an input."""

_TRIES = 4


class Definition(TypedDict):
    """A schedule, in the words of both CreateSchedule and UpdateSchedule."""

    Name: str
    GroupName: str
    ScheduleExpression: str
    ScheduleExpressionTimezone: str
    ActionAfterCompletion: ActionAfterCompletionType
    Description: str
    State: ScheduleStateType
    Target: TargetTypeDef


def target_of(settings: AwsSettings, arn: str, text: str) -> TargetTypeDef:
    """What Scheduler calls, in which role and with what. Raises ItemTooLarge for a text that it does not carry."""
    if not (arn and settings.scheduler_role_arn):
        raise BackendError(
            "no target or no role is set for EventBridge Scheduler: deploy the stack, or name them in the settings"
        )
    check_size(text)
    target: TargetTypeDef = {"Arn": arn, "RoleArn": settings.scheduler_role_arn, "Input": text}
    if settings.scheduler_dead_letter_arn:
        target["DeadLetterConfig"] = {"Arn": settings.scheduler_dead_letter_arn}
    return target


async def put_schedule(clients: AwsClients, definition: Definition) -> None:
    """Make the schedule, or replace the one of its name. Raises NotFound for a group that does not exist."""
    scheduler = clients.scheduler
    for _ in range(_TRIES):
        try:
            await clients.call(scheduler.create_schedule, FlexibleTimeWindow={"Mode": "OFF"}, **definition)
        except Conflict:
            pass
        else:
            return
        try:
            await clients.call(scheduler.update_schedule, FlexibleTimeWindow={"Mode": "OFF"}, **definition)
        except (Conflict, NotFound):
            continue  # it is being written, or has fired and gone in between
        return
    raise Unavailable(f"the schedule {definition['Name']} is written by others all the time")


async def delete_schedule(clients: AwsClients, group: str, name: str) -> None:
    """Remove; no error when it does not exist."""
    for _ in range(_TRIES):
        try:
            await clients.call(clients.scheduler.delete_schedule, Name=name, GroupName=group)
        except NotFound:
            return
        except Conflict:
            continue  # it is being written
        return
    raise Unavailable(f"the schedule {name} is written by others all the time")


def literal(text: str) -> str:
    """Text that reaches a target as it is, or as the same JSON: keywords in it are not Scheduler's to replace."""
    if _KEYWORD in text:
        try:
            json.loads(text)
        except ValueError as error:
            raise InvalidRequest(f"a text with {_KEYWORD!r} can be scheduled only as JSON") from error
        # In JSON the character can stand in strings alone, where the escape means the same.
        text = text.replace("<", "\\u003c")
    return text


def check_size(text: str) -> None:
    """Raise ItemTooLarge for a text that no schedule can carry."""
    size = len(text.encode())
    if size > MAX_INPUT_BYTES:
        raise ItemTooLarge(f"a schedule would carry {size} bytes; it takes {MAX_INPUT_BYTES}")
