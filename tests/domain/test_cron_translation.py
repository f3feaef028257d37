"""croniter's reading of an expression and Scheduler's reading of its translation name the same minutes.

The evaluator below knows Scheduler's language from its documentation alone and shares no code with the translation.
"""

import calendar
import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice

import pytest
from croniter import CroniterBadDateError, croniter
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from karman_core.domain.cron_translation import to_scheduler
from karman_core.domain.errors import InvalidRequest

NEW_YEAR = datetime(2024, 1, 1, tzinfo=UTC)
HORIZON_DAYS = 366 * 4 + 60
"""Both sides are asked about the same days; four years hold a leap day."""


# --- EventBridge Scheduler's cron language --------------------------------------------------------------------------


def parsed(expression: str) -> list[str]:
    assert len(expression) <= 256, "the service refuses longer ones"
    match = re.fullmatch(r"cron\((\S+) (\S+) (\S+) (\S+) (\S+) \*\)", expression)
    assert match, expression
    minute, hour, day, month, weekday = match.groups()
    assert (day == "?") != (weekday == "?"), "exactly one of the two day fields is `?`"
    return [minute, hour, day, month, weekday]


def numbers(field: str, low: int, high: int, *, steps: bool = True) -> set[int]:
    found: set[int] = set()
    for part in field.split(","):
        if part == "*":
            found |= set(range(low, high + 1))
        elif match := re.fullmatch(r"(\d+)/(\d+)", part):
            assert steps, "the day of the week takes no steps"
            found |= set(range(int(match[1]), high + 1, int(match[2])))
        elif match := re.fullmatch(r"(\d+)-(\d+)", part):
            assert int(match[1]) < int(match[2])
            found |= set(range(int(match[1]), int(match[2]) + 1))
        else:
            found.add(int(part))
    assert found
    assert low <= min(found) <= max(found) <= high
    return found


def sunday_first(day: date) -> int:
    return day.isoweekday() % 7 + 1


def length(day: date) -> int:
    return calendar.monthrange(day.year, day.month)[1]


def nearest_weekday(day: date, number: int) -> int:
    """The weekday nearest to a day of the month; only days for which that never leaves the month."""
    assert 2 <= number <= 27
    weekday = day.replace(day=number).isoweekday()
    return number + {6: -1, 7: 1}.get(weekday, 0)


def names_day_of_month(field: str, day: date) -> bool:
    if field == "L":
        return day.day == length(day)
    if match := re.fullmatch(r"(\d+)W", field):
        return day.day == nearest_weekday(day, int(match[1]))
    return day.day in numbers(field, 1, 31)


def names_weekday(field: str, day: date) -> bool:
    if match := re.fullmatch(r"([1-7])#([1-5])", field):
        return sunday_first(day) == int(match[1]) and (day.day - 1) // 7 + 1 == int(match[2])
    if match := re.fullmatch(r"([1-7])L", field):
        return sunday_first(day) == int(match[1]) and day.day + 7 > length(day)
    return sunday_first(day) in numbers(field, 1, 7, steps=False)


def scheduler_firings(expressions: tuple[str, ...], start: datetime) -> Iterator[datetime]:
    """The minutes after `start` at which any of the expressions fires, in order, each once."""
    rules = [parsed(expression) for expression in expressions]
    for offset in range(HORIZON_DAYS):
        day = start.date() + timedelta(days=offset)
        minutes: set[datetime] = set()
        for minute, hour, day_of_month, month, weekday in rules:
            if day.month not in numbers(month, 1, 12):
                continue
            if names_weekday(weekday, day) if day_of_month == "?" else names_day_of_month(day_of_month, day):
                minutes |= {
                    datetime.combine(day, time(h, m), UTC)
                    for h in numbers(hour, 0, 23)
                    for m in numbers(minute, 0, 59)
                }
        yield from sorted(each for each in minutes if each > start)


def croniter_firings(expression: str, start: datetime) -> Iterator[datetime]:
    firings = croniter(expression, start, ret_type=datetime)
    end = datetime.combine(start.date(), time(), UTC) + timedelta(days=HORIZON_DAYS)
    while True:
        try:
            firing = firings.get_next(datetime)
        except CroniterBadDateError:
            return
        if firing >= end:
            return
        yield firing


# --- croniter's language --------------------------------------------------------------------------------------------

MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
WEEKDAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]


def items(
    low: int, high: int, name: Callable[[int], str] = str, *more: st.SearchStrategy[str]
) -> st.SearchStrategy[str]:
    """One part of a field: a value, a range (also one that wraps), a step, a wildcard."""
    value = st.one_of(st.integers(low, high).map(str), st.integers(low, high).map(name))
    step = st.integers(1, high).map(str)
    choices = [
        value,
        st.tuples(value, value).map("-".join),
        st.tuples(st.tuples(value, value).map("-".join), step).map("/".join),
        st.tuples(value, step).map("/".join),
        st.tuples(st.just("*"), step).map("/".join),
        st.just("*"),
    ]
    return st.one_of(*choices, *more)


def fields(item: st.SearchStrategy[str], *alone: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(st.just("*"), *alone, st.lists(item, min_size=1, max_size=4).map(",".join))


def weekday_name(number: int) -> str:
    return WEEKDAYS[number % 7]


minute_fields = fields(items(0, 59))
hour_fields = fields(items(0, 23))
day_fields = fields(
    items(1, 31, str, st.just("L")), st.just("?"), st.integers(2, 27).map(lambda day: f"{day}W")
)
month_fields = fields(items(1, 12, lambda month: MONTHS[month - 1].upper()))
nth = st.tuples(st.integers(0, 7), st.integers(1, 5)).map(lambda pair: f"{pair[0]}#{pair[1]}")
last = st.integers(0, 6).map(lambda day: f"L{day}")
weekday_fields = fields(
    items(0, 7, weekday_name),
    st.just("?"),
    st.lists(st.one_of(nth, last), min_size=1, max_size=3).map(",".join),
)
expressions = st.tuples(minute_fields, hour_fields, day_fields, month_fields, weekday_fields).map(" ".join)
starts = st.integers(0, 8 * 366 * 24 * 60).map(lambda minutes: NEW_YEAR + timedelta(minutes=minutes))


@settings(max_examples=400)
@given(expressions, starts)
@example("0 0 1 * mon", NEW_YEAR)
@example("*/7 5/5 31 2,4-6 sat-sun", NEW_YEAR)
@example("5-5 0 * jan-jan 7", NEW_YEAR)
@example("0 0 */1 * 1", NEW_YEAR)
@example("0 0 15,L feb *", NEW_YEAR + timedelta(days=4 * 365))
@example("0 0 * * 5#5,L0", NEW_YEAR)
def test_a_translation_fires_at_the_same_minutes(expression: str, start: datetime) -> None:
    assume(croniter.is_valid(expression))
    try:
        translated = to_scheduler(expression)
    except InvalidRequest as refused:
        # Refused for a reason that is ours: it never fires, or Scheduler has no words for it.
        if "never fires" in refused.message:
            assert not list(islice(croniter_firings(expression, start), 1))
        return

    expected = list(islice(croniter_firings(expression, start), 40))
    assert list(islice(scheduler_firings(translated, start), len(expected) or 1)) == expected


@given(st.text(alphabet="0123456789*/-,?LW#lwhrRH abcdefnsuJFMASOND@\t", max_size=40) | st.text(max_size=20))
def test_whatever_is_written_is_translated_or_refused(expression: str) -> None:
    try:
        translated = to_scheduler(expression)
    except InvalidRequest:
        return

    assert all(parsed(each) for each in translated)


@pytest.mark.parametrize(
    ("expression", "translated"),
    [
        ("* * * * *", ["cron(* * * * ? *)"]),
        ("*/15 * * * *", ["cron(0/15 * * * ? *)"]),
        ("0,30 9-17 * * mon-fri", ["cron(0,30 9-17 ? * 2-6 *)"]),
        ("0 0 * * 0", ["cron(0 0 ? * 1 *)"]),
        ("0 0 * * 7", ["cron(0 0 ? * 1 *)"]),
        ("0 0 * * sat-sun", ["cron(0 0 ? * 1,7 *)"]),
        ("0 0 ? * 0-6", ["cron(0 0 ? * * *)"]),
        ("0 22-2 * nov-feb *", ["cron(0 0-2,22,23 * 1,2,11,12 ? *)"]),
        ("@hourly", ["cron(0 * * * ? *)"]),
        ("0 0 1 * mon", ["cron(0 0 1 * ? *)", "cron(0 0 ? * 2 *)"]),
        ("0 0 1-31 * mon", ["cron(0 0 * * ? *)"]),
        ("0 0 1 * 0-6", ["cron(0 0 * * ? *)"]),
        ("0 0 1-31 * ?", ["cron(0 0 * * ? *)"]),
        ("0 0 31 2 mon", ["cron(0 0 ? 2 2 *)"]),
        ("0 0 L * *", ["cron(0 0 L * ? *)"]),
        ("0 0 15,L * *", ["cron(0 0 15 * ? *)", "cron(0 0 L * ? *)"]),
        ("0 0 15W * *", ["cron(0 0 15W * ? *)"]),
        ("0 0 * * 5#3", ["cron(0 0 ? * 6#3 *)"]),
        ("0 0 * * 1#1,1#3", ["cron(0 0 ? * 2#1 *)", "cron(0 0 ? * 2#3 *)"]),
        ("0 0 * * L5", ["cron(0 0 ? * 6L *)"]),
        ("10-50/20 1-20/2 */10 */5 *", ["cron(10/20 1,3,5,7,9,11,13,15,17,19 1/10 1/5 ? *)"]),
    ],
)
def test_what_is_written(expression: str, translated: list[str]) -> None:
    assert list(to_scheduler(expression)) == translated


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("", "not a cron expression"),
        ("every minute", "not a cron expression"),
        ("61 * * * *", "not a cron expression"),
        ("0 0 * * * *", "has 6 fields"),
        ("0 0 31 2,4,6,9,11 *", "never fires"),
        ("R * * * *", "drawn anew"),
        ("0 H(1-3) * * *", "drawn anew"),
        ("0 0 1W * *", "day from 2 to 27"),
        ("0 0 31W * *", "day from 2 to 27"),
        ("0 0 15W * mon", "day from 2 to 27"),
        ("0 0 1 * 2#3", "cannot be joined"),
        ("0 0 13 * L5", "cannot be joined"),
    ],
)
def test_what_is_refused(expression: str, reason: str) -> None:
    with pytest.raises(InvalidRequest, match=re.escape(reason)):
        to_scheduler(expression)


def test_the_longest_expression_is_short_enough() -> None:
    def pairs(low: int, high: int) -> str:
        """Every third value left out: the form that no range and no step shortens."""
        return ",".join(str(value) for value in range(low, high + 1) if (value - low) % 3 != 2)

    (translated,) = to_scheduler(f"{pairs(0, 59)} {pairs(0, 23)} {pairs(1, 31)} {pairs(1, 12)} *")

    assert len(translated) == 238
