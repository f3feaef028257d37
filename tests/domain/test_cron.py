from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from karman_core.domain.cron import firings, next_firing, trigger_name, validate_cron
from karman_core.domain.definition import CronTrigger, CronValue
from karman_core.domain.errors import InvalidRequest


def ms(text: str) -> int:
    """Epoch milliseconds of an ISO time with offset."""
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def local(firing: int, zone: str) -> str:
    return datetime.fromtimestamp(firing / 1000, ZoneInfo(zone)).isoformat(timespec="minutes")


def fired(expression: str, zone: str, after: str, limit: int) -> list[str]:
    return [
        local(firing, zone) for firing in firings(expression, zone, ms(after), ms("2100-01-01T00:00Z"), limit)
    ]


@pytest.mark.parametrize(
    ("expression", "after", "expected"),
    [
        ("*/20 * * * *", "2024-01-01T00:00Z", ["2024-01-01T00:20+00:00", "2024-01-01T00:40+00:00"]),
        ("0 0 29 2 *", "2024-03-01T00:00Z", ["2028-02-29T00:00+00:00", "2032-02-29T00:00+00:00"]),
        ("0 9 1 * mon", "2024-01-01T09:00Z", ["2024-01-08T09:00+00:00", "2024-01-15T09:00+00:00"]),
        ("0 0 L * *", "2024-02-01T00:00Z", ["2024-02-29T00:00+00:00", "2024-03-31T00:00+00:00"]),
        ("0 0 * * 5#2", "2024-02-01T00:00Z", ["2024-02-09T00:00+00:00", "2024-03-08T00:00+00:00"]),
        ("0 0 * * 7", "2024-02-01T00:00Z", ["2024-02-04T00:00+00:00", "2024-02-11T00:00+00:00"]),
    ],
)
def test_expressions_are_read_as_croniter_does(expression: str, after: str, expected: list[str]) -> None:
    assert fired(expression, "UTC", after, 2) == expected


def test_a_local_time_that_is_skipped_does_not_fire() -> None:
    # In New York 02:00 to 03:00 did not exist on 10 March 2024.
    assert fired("30 2 * * *", "America/New_York", "2024-03-09T12:00Z", 2) == [
        "2024-03-11T02:30-04:00",
        "2024-03-12T02:30-04:00",
    ]
    assert fired("30 * * * *", "America/New_York", "2024-03-10T05:45Z", 3) == [
        "2024-03-10T01:30-05:00",
        "2024-03-10T03:30-04:00",
        "2024-03-10T04:30-04:00",
    ]


def test_a_local_time_that_comes_twice_fires_once() -> None:
    # In New York 01:00 to 02:00 came twice on 3 November 2024.
    assert fired("30 1 * * *", "America/New_York", "2024-11-02T12:00Z", 2) == [
        "2024-11-03T01:30-04:00",
        "2024-11-04T01:30-05:00",
    ]
    assert fired("*/30 * * * *", "America/New_York", "2024-11-03T04:45Z", 3) == [
        "2024-11-03T01:00-04:00",
        "2024-11-03T01:30-04:00",
        "2024-11-03T02:00-05:00",
    ]


def test_asking_within_the_second_pass_does_not_fire_again() -> None:
    assert fired("45 1 * * *", "America/New_York", "2024-11-03T06:10Z", 1) == ["2024-11-04T01:45-05:00"]


class Simple(NamedTuple):
    """An expression of numbers, stars and steps, and how a second reader understands it."""

    minute: str
    hour: str
    day: str
    weekday: str

    def __str__(self) -> str:
        return f"{self.minute} {self.hour} {self.day} * {self.weekday}"

    def matches(self, moment: datetime) -> bool:
        day, weekday = self._has(self.day, moment.day), self._has(self.weekday, moment.isoweekday() % 7)
        either = self.day != "*" and self.weekday != "*"  # cron's rule for the two fields of days
        return (
            self._has(self.minute, moment.minute)
            and self._has(self.hour, moment.hour)
            and (day or weekday if either else day and weekday)
        )

    @staticmethod
    def _has(text: str, value: int) -> bool:
        if text.startswith("*/"):
            return value % int(text[2:]) == 0
        return text == "*" or str(value) in text.split(",")


def field(low: int, high: int, *, steps: bool) -> st.SearchStrategy[str]:
    numbers = st.lists(st.integers(low, high), min_size=1, max_size=3).map(
        lambda found: ",".join(map(str, found))
    )
    return st.just("*") | numbers | (st.integers(1, high).map(lambda step: f"*/{step}") if steps else numbers)


simple = st.builds(
    Simple,
    field(0, 59, steps=True),
    field(0, 3, steps=True),
    field(1, 31, steps=False),
    field(0, 6, steps=False),
)
# Three days around changes of the clock: by an hour, by half an hour, at midnight, and a day left out.
CHANGES = [
    ("Europe/Berlin", "2024-03-30T00:00Z"),
    ("Europe/Berlin", "2024-10-26T00:00Z"),
    ("Australia/Lord_Howe", "2024-04-05T12:00Z"),
    ("Australia/Lord_Howe", "2024-10-04T12:00Z"),
    ("America/Havana", "2024-03-09T05:00Z"),
    ("America/Havana", "2024-11-02T04:00Z"),
    ("Pacific/Apia", "2011-12-29T10:00Z"),
]


@settings(max_examples=60)
@given(simple, st.sampled_from(CHANGES), st.integers(0, 2 * 24 * 60 * 60_000))
def test_firings_are_the_minutes_that_match_when_they_come_first(
    expression: Simple, change: tuple[str, str], offset: int
) -> None:
    zone, start = change
    after = ms(start) + offset
    until = after + 24 * 60 * 60_000
    expected = []
    moment = datetime.fromtimestamp(after // 60_000 * 60, UTC)
    while (moment := moment + timedelta(minutes=1)).timestamp() * 1000 <= until:
        here = moment.astimezone(ZoneInfo(zone))
        if here.fold == 0 and expression.matches(here):
            expected.append(int(moment.timestamp()) * 1000)
    event(f"fires: {bool(expected)}")
    assert firings(str(expression), zone, after, until, 10_000) == expected
    if expected:
        assert next_firing(str(expression), zone, after) == expected[0]
        assert firings(str(expression), zone, after, until, 1) == expected[:1]
    assert firings(str(expression), zone, after, until, 0) == []


def test_a_firing_is_after_the_time_and_not_after_the_end() -> None:
    noon = ms("2024-01-01T12:00Z")
    assert next_firing("0 12 * * *", "UTC", noon - 1) == noon
    assert next_firing("0 12 * * *", "UTC", noon) == noon + 24 * 3600_000
    assert firings("0 12 * * *", "UTC", noon - 1, noon, 9) == [noon]
    assert firings("0 12 * * *", "UTC", noon - 1, noon - 1, 9) == []


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("* * * *", "has 4"),
        ("* * * * * *", "has 6"),
        ("@daily", "has 1"),
        ("", "has 0"),
        ("60 * * * *", "out of range"),
        ("a * * * *", "not acceptable"),
        ("0 0 30 2 *", "never fires"),
        ("H * * * *", "draw a number"),
        ("* 0,R(0-5) * * *", "draw a number"),
        ("*/0 * * * *", "step '0'"),
        (f"{'0,' * 124}0 * * * *", "at most 256"),
    ],
)
def test_a_wrong_expression_is_refused_with_the_reason(expression: str, words: str) -> None:
    (problem,) = validate_cron(expression)
    assert (problem.path, problem.code) == ("expression", "invalid_cron")
    assert words in problem.message
    with pytest.raises(InvalidRequest) as caught:
        next_firing(expression, "UTC", 0)
    assert caught.value.problems == (problem,)


@pytest.mark.parametrize(
    "zone", ["Europe/Atlantis", "", "../etc/passwd", "/etc/localtime", "Europe", "localtime", "a\0b"]
)
def test_a_zone_must_be_an_iana_zone(zone: str) -> None:
    (problem,) = validate_cron("* * * * *", zone)
    assert (problem.path, problem.code) == ("timezone", "invalid_timezone")


def test_an_unknown_zone_fires_never() -> None:
    with pytest.raises(InvalidRequest) as caught:
        next_firing("* * *", "Europe/Atlantis", 0)
    assert [problem.path for problem in caught.value.problems] == ["expression", "timezone"]


@pytest.mark.parametrize(
    "expression", ["* * * * *", "0 0 1,15 jan-mar MON", "5-1 22-4 * * fri", "0 0 ? * 1", "0 0 l * *"]
)
def test_a_valid_trigger_has_no_problems(expression: str) -> None:
    assert validate_cron(expression, "Europe/Berlin") == []


@given(st.text(st.sampled_from("0123456789*/,-# LWHRjan?\t\u00a0\u0663"), max_size=20) | st.text(max_size=12))
def test_any_text_is_judged(text: str) -> None:
    if not validate_cron(text):
        assert next_firing(text, "UTC", 0) > 0


def test_triggers_without_a_name_take_it_from_their_position() -> None:
    value = CronValue(expression="* * * * *")
    assert trigger_name(CronTrigger(value=value), 3) == "cron-3"
    assert trigger_name(CronTrigger(name="nightly", value=value), 3) == "nightly"
