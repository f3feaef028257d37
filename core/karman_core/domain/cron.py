"""Cron triggers: five fields as croniter reads them, evaluated in the local time of a zone.

When clocks change: a firing whose local time is skipped does not happen, and one whose local time comes twice happens
once, at the first. EventBridge Scheduler documents the same rule, so both backends agree:
https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html. (croniter, given times with a zone, would
fire late in the first case and twice in the second; it is given local times without one.)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice, takewhile
from zoneinfo import ZoneInfo, available_timezones

from karman_core.domain.definition import CronTrigger
from karman_core.domain.errors import InvalidRequest, Problem

MAX_EXPRESSION_LENGTH = 256

_FIELDS = 5
_HASHED = re.compile(r"(?:^|\s|,)[hr](?:$|[\s,(/])", re.IGNORECASE)
_REFERENCE = datetime(2024, 1, 1)  # noqa: DTZ001  a local time; any does, to see whether an expression ever fires


def trigger_name(trigger: CronTrigger, position: int) -> str:
    """The name of a trigger, or the one it takes from its position (from 0) among the graph's triggers."""
    return trigger.name or f"cron-{position}"


def validate_cron(expression: str, timezone: str = "UTC") -> list[Problem]:
    """What is wrong with an expression (path `expression`) and a zone (path `timezone`)."""
    problems = []
    if reason := _fault(expression):
        problems.append(Problem("expression", "invalid_cron", reason))
    if timezone not in _zones():
        message = f"'{timezone[:64]}' is no IANA time zone; write for example 'UTC' or 'Europe/Berlin'."
        problems.append(Problem("timezone", "invalid_timezone", message))
    return problems


def next_firing(expression: str, timezone: str, after_ms: int) -> int:
    """The first firing after a time; both in epoch milliseconds.

    Raises:
        InvalidRequest: if the expression or the zone is not valid.
    """
    return next(_firings(expression, timezone, after_ms))


def firings(expression: str, timezone: str, after_ms: int, until_ms: int, limit: int) -> list[int]:
    """The firings after `after_ms` and not after `until_ms`, epoch milliseconds, at most `limit` of them.

    Raises:
        InvalidRequest: if the expression or the zone is not valid.
    """
    found = takewhile(lambda firing: firing <= until_ms, _firings(expression, timezone, after_ms))
    return list(islice(found, limit))


def _firings(expression: str, timezone: str, after_ms: int) -> Iterator[int]:
    from croniter import croniter  # noqa: PLC0415  35 ms that most functions must not pay at start

    zone = _zone(expression, timezone)
    # Local times in order, each taken as its first occurrence, are times in order. So all firings after a moment have
    # local times after the moment's, and those among them that are not after it belong to an hour that comes twice.
    times = croniter(expression, datetime.fromtimestamp(after_ms // 1000, zone).replace(tzinfo=None))
    while True:
        candidate = times.get_next(datetime)
        moment = candidate.replace(tzinfo=zone).astimezone(UTC)
        exists = moment.astimezone(zone).replace(tzinfo=None) == candidate
        firing = int(moment.timestamp()) * 1000
        if exists and firing > after_ms:
            yield firing


def _zone(expression: str, timezone: str) -> ZoneInfo:
    """The zone, if it and the expression are valid. The list of all zones costs 40 ms, so it is only for messages."""
    try:
        zone = ZoneInfo(timezone)
    except (KeyError, ValueError, OSError) as error:
        problems = validate_cron(expression, timezone)
        raise InvalidRequest("The cron trigger is not valid.", problems) from error
    if reason := _fault(expression):
        problem = Problem("expression", "invalid_cron", reason)
        raise InvalidRequest("The cron trigger is not valid.", [problem])
    return zone


def _fault(expression: str) -> str | None:
    from croniter import CroniterError, croniter  # noqa: PLC0415  (as above)

    if len(expression) > MAX_EXPRESSION_LENGTH:
        return f"A cron expression has at most {MAX_EXPRESSION_LENGTH} characters."
    count = len(expression.split())
    if count != _FIELDS:
        return (
            "A cron expression has five fields (minute, hour, day of month, month, day of week), "
            f"'{expression}' has {count}."
        )
    if _HASHED.search(expression):
        return "'H' and 'R' draw a number; write the number, so that everyone computes the same firings."
    try:
        croniter(expression, _REFERENCE).get_next(datetime)
    except CroniterError as error:
        return f"The cron expression cannot be read or never fires: {str(error).rstrip('.')}."
    return None


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    # Names that mean another zone, or none, on each machine.
    return frozenset(available_timezones()) - {"localtime", "Factory"}
