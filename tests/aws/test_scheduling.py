"""Schedules are made or replaced whatever others do meanwhile, and carry what they were given."""

import json
from typing import Any

import pytest

from karman_core.backends.aws import AwsSettings
from karman_core.backends.aws.scheduling import (
    MAX_INPUT_BYTES,
    Definition,
    delete_schedule,
    literal,
    put_schedule,
    target_of,
)
from karman_core.domain.errors import (
    BackendError,
    Conflict,
    InvalidRequest,
    ItemTooLarge,
    NotFound,
    Unavailable,
)

SETTINGS = AwsSettings(table_name="t", scheduler_role_arn="role")


class Scheduler:
    """Answers in turn, an error or nothing; after the last, nothing."""

    def __init__(self, *answers: Exception | None) -> None:
        self._answers = list(answers)
        self.called: list[str] = []

    @property
    def scheduler(self) -> Any:
        return self

    def create_schedule(self, **_: Any) -> None:
        self._answer("create")

    def update_schedule(self, **_: Any) -> None:
        self._answer("update")

    def delete_schedule(self, **_: Any) -> None:
        self._answer("delete")

    async def call(self, function: Any, **arguments: Any) -> None:
        function(**arguments)

    def _answer(self, operation: str) -> None:
        self.called.append(operation)
        answer = self._answers.pop(0) if self._answers else None
        if answer is not None:
            raise answer


DEFINITION: Definition = {
    "Name": "name",
    "GroupName": "group",
    "ScheduleExpression": "at(2026-01-01T00:00:00)",
    "ScheduleExpressionTimezone": "UTC",
    "ActionAfterCompletion": "DELETE",
    "Description": "",
    "State": "ENABLED",
    "Target": target_of(SETTINGS, "arn", "{}"),
}


@pytest.mark.parametrize(
    ("answers", "called"),
    [
        ([], ["create"]),
        ([Conflict("there")], ["create", "update"]),
        ([Conflict("there"), NotFound("fired")], ["create", "update", "create"]),
        ([Conflict("there"), Conflict("busy"), Conflict("there")], ["create", "update", "create", "update"]),
    ],
)
async def test_putting(answers: list[Exception], called: list[str]) -> None:
    scheduler: Any = Scheduler(*answers)

    await put_schedule(scheduler, DEFINITION)

    assert scheduler.called == called


async def test_a_group_that_is_missing_is_an_error() -> None:
    scheduler: Any = Scheduler(NotFound("no group"))

    with pytest.raises(NotFound):
        await put_schedule(scheduler, DEFINITION)


async def test_it_does_not_try_for_ever() -> None:
    scheduler: Any = Scheduler(*[Conflict("busy")] * 20)

    with pytest.raises(Unavailable):
        await put_schedule(scheduler, DEFINITION)
    with pytest.raises(Unavailable):
        await delete_schedule(scheduler, "group", "name")


@pytest.mark.parametrize("answers", [[], [NotFound("gone")], [Conflict("busy"), None]])
async def test_deleting(answers: list[Exception | None]) -> None:
    scheduler: Any = Scheduler(*answers)

    await delete_schedule(scheduler, "group", "name")

    assert scheduler.called == ["delete"] * max(1, len(answers))


@pytest.mark.parametrize("text", ["ring", '{"a": "<b>"}', "not json <aws.other>"])
def test_text_without_keywords_stays_as_it_is(text: str) -> None:
    assert literal(text) == text


def test_keywords_in_json_are_not_schedulers() -> None:
    text = json.dumps({"<aws.scheduler.x>": ["say <aws.scheduler.scheduled-time>", "a < b"]})

    assert "<aws.scheduler" not in literal(text)
    assert json.loads(literal(text)) == json.loads(text)


def test_keywords_in_other_text_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="JSON"):
        literal("say <aws.scheduler.scheduled-time>")


def test_a_target() -> None:
    assert target_of(SETTINGS, "arn", "{}") == {"Arn": "arn", "RoleArn": "role", "Input": "{}"}
    kept = AwsSettings(table_name="t", scheduler_role_arn="role", scheduler_dead_letter_arn="dead")
    assert target_of(kept, "arn", "{}").get("DeadLetterConfig") == {"Arn": "dead"}


def test_what_a_target_needs() -> None:
    with pytest.raises(BackendError, match="deploy the stack"):
        target_of(AwsSettings(table_name="t"), "arn", "{}")
    with pytest.raises(BackendError, match="deploy the stack"):
        target_of(SETTINGS, "", "{}")
    with pytest.raises(ItemTooLarge):
        target_of(SETTINGS, "arn", "ä" * (MAX_INPUT_BYTES // 2 + 1))
