"""From croniter's five fields to EventBridge Scheduler's cron expressions.

The two languages differ in how days are said: Scheduler numbers weekdays from 1 (Sunday), takes either a day of the
month or a weekday and puts `?` in the other place, and has no way to say that one *or* the other will do. So an
expression is expanded by croniter itself, which keeps its reading of every corner (`7` for Sunday, `sat-sun`, `5/10`),
and the sets that come out are written down in Scheduler's words.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple, cast

from karman_core.domain.errors import InvalidRequest

_MINUTES, _HOURS, _DAYS, _MONTHS, _WEEKDAYS = range(5)
_FIELDS = 5
_SHORTEST_RUN = 3
"""From here on a range (`1-3`) or a step (`0/15`) is shorter than the list."""

_NEAREST_WEEKDAYS = range(2, 28)
"""Days of which the nearest weekday is in the same month, whatever the month. At the edges the two languages may
differ: Scheduler does not say whether it crosses into the next month."""

_LEAP_YEAR = 2000
_WEEK = 7
_LONGEST_MONTH = 31
_ANY_DAY = ("*", "?")


class _Expanded(NamedTuple):
    """What croniter makes of an expression: values of each field, and the weekdays that carry `#n` or `L`."""

    fields: Sequence[Sequence[int | str]]
    nth: Mapping[int, set[int | str]]
    nearest: bool

    def is_any(self, field: int) -> bool:
        return "*" in self.fields[field]

    def numbers(self, field: int) -> list[int]:
        return [value for value in self.fields[field] if isinstance(value, int)]


def to_scheduler(expression: str) -> tuple[str, ...]:
    """The Scheduler expressions that together fire at exactly the minutes of a croniter expression.

    Mostly that is one. Where croniter joins alternatives with *or* (a day of the month or a weekday, `15,L`, `1#1,1#3`)
    it is one for each of them, and some minutes may belong to two. They still start one run: the id of a scheduled run
    is made from its trigger and the scheduled time, so the second firing finds the run of the first.

    Times are of the wall clock of the schedule's time zone, on both sides. Where a clock is put forward, croniter moves
    a time that does not exist to the next one that does, and Scheduler leaves it out.

    Args:
        expression: five fields as croniter reads them, or one of its names such as `@daily`.

    Raises:
        InvalidRequest: croniter cannot read it, it can never fire, it is random (`R`, `H`), or Scheduler cannot say it.
    """
    expanded = _expand(expression)
    minutes = _written(expanded, _MINUTES, 0, 59)
    hours = _written(expanded, _HOURS, 0, 23)
    months = _written(expanded, _MONTHS, 1, 12)
    days = tuple(_days(expression, expanded))
    if not days:
        raise InvalidRequest(f"`{expression}` never fires: none of its months has such a day")
    # The longest that can come out has 238 characters; Scheduler takes 256.
    return tuple(f"cron({minutes} {hours} {day} {months} {weekday} *)" for day, weekday in days)


def _expand(expression: str) -> _Expanded:
    # Importing croniter takes as long as a small Lambda's start, and only whoever writes schedules needs it.
    from croniter import croniter  # noqa: PLC0415

    columns = expression.lower().split()
    if any(column.startswith(("h", "r")) for column in columns):
        raise InvalidRequest(f"`{expression}` is drawn anew at each reading (H and R); write the values out")
    try:
        fields, nth = croniter.expand(expression)
    except ValueError as error:
        raise InvalidRequest(f"`{expression}` is not a cron expression: {error}") from error
    if len(fields) != _FIELDS:
        raise InvalidRequest(
            f"`{expression}` has {len(fields)} fields; five are wanted, without seconds and years"
        )
    # The stubs have the weekdays as strings.
    weekdays = cast("Mapping[int, set[int | str]]", nth)
    return _Expanded(fields, weekdays, nearest=len(columns) == _FIELDS and "w" in columns[_DAYS])


def _days(expression: str, expanded: _Expanded) -> Iterator[tuple[str, str]]:
    """Pairs of Scheduler's day of month and day of week; a day counts if any of them names it."""
    free_days, free_weekdays = expanded.is_any(_DAYS), expanded.is_any(_WEEKDAYS)
    if expanded.nearest or expanded.nth:
        yield from _special_days(expression, expanded)
    elif free_days == free_weekdays and (free_days or _names_every_day(expanded)):
        yield _ANY_DAY
    else:
        if not free_days:
            yield from _days_of_month(expanded)
        if not free_weekdays:
            yield "?", _weekdays(expanded)


def _special_days(expression: str, expanded: _Expanded) -> Iterator[tuple[str, str]]:
    """`15W`, `1#2` and `L5`: croniter means strange things by them together with the other day field."""
    if expanded.nearest:
        (day,) = expanded.numbers(_DAYS)
        if not expanded.is_any(_WEEKDAYS) or day not in _NEAREST_WEEKDAYS:
            raise InvalidRequest(
                f"`{expression}`: EventBridge Scheduler can take W only with a day from 2 to 27 and without a weekday"
            )
        yield f"{day}W", "?"
        return
    if not expanded.is_any(_DAYS):
        raise InvalidRequest(
            f"`{expression}`: # and L in the weekday cannot be joined with a day of the month"
        )
    for weekday, which in sorted(expanded.nth.items()):
        for n in sorted(which, key=str):
            yield "?", f"{weekday + 1}L" if n == "l" else f"{weekday + 1}#{n}"


def _names_every_day(expanded: _Expanded) -> bool:
    """Whether a day of the month *or* a weekday leaves no day out."""
    return len(expanded.numbers(_DAYS)) == _LONGEST_MONTH or len(expanded.numbers(_WEEKDAYS)) == _WEEK


def _days_of_month(expanded: _Expanded) -> Iterator[tuple[str, str]]:
    months = range(1, 13) if expanded.is_any(_MONTHS) else expanded.numbers(_MONTHS)
    longest = max(calendar.monthrange(_LEAP_YEAR, month)[1] for month in months)
    # A day that no month has would make an expression that never fires, which Scheduler may refuse.
    if days := [day for day in expanded.numbers(_DAYS) if day <= longest]:
        yield _values(days, 1, 31), "?"
    if "l" in expanded.fields[_DAYS]:
        yield "L", "?"


def _weekdays(expanded: _Expanded) -> str:
    """Scheduler's weekdays, 1 for Sunday; it knows no steps here."""
    numbers = sorted(weekday + 1 for weekday in expanded.numbers(_WEEKDAYS))
    return "*" if len(numbers) == _WEEK else _ranges(numbers)


def _written(expanded: _Expanded, field: int, low: int, high: int) -> str:
    return "*" if expanded.is_any(field) else _values(expanded.numbers(field), low, high)


def _values(numbers: Sequence[int], low: int, high: int) -> str:
    """Sorted numbers as `*`, as `first/step` where the step goes on to the end of the field, or as ranges."""
    if len(numbers) == high - low + 1:
        return "*"
    steps = {later - earlier for earlier, later in pairwise(numbers)}
    if len(numbers) >= _SHORTEST_RUN and len(steps) == 1:
        (step,) = steps
        if step > 1 and numbers[-1] + step > high:
            return f"{numbers[0]}/{step}"
    return _ranges(numbers)


def _ranges(numbers: Sequence[int]) -> str:
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ",".join(
        f"{run[0]}-{run[-1]}" if len(run) >= _SHORTEST_RUN else ",".join(map(str, run)) for run in runs
    )
