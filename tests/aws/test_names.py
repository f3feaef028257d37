"""Names of resources: within the services' limits, never shared, and readable where nothing stands against it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karman_core.backends.aws.names import (
    MAX_SCHEDULE_CHARACTERS,
    dead_letter_name,
    escaped,
    parameter_path,
    queue_name,
    schedule_name,
    schedule_prefix,
    unescaped,
)
from karman_core.domain.cron_translation import to_scheduler

# Few characters, so that names come close to one another; hyphens and dots because names are joined with them.
short = st.text("ab-_.d lq", min_size=1, max_size=12)
parts = short | st.sampled_from(["a" * 90, "a" * 91, "default", "my-team", "team", "team-dlq", "ä", "a..b"])
runtimes = parts | st.just("b/c")


@given(parts, runtimes, parts, runtimes)
def test_queues_never_share_a_name(namespace: str, runtime: str, other: str, other_runtime: str) -> None:
    names = {
        queue_name("karman", f"{namespace}/{runtime}"),
        dead_letter_name("karman", f"{namespace}/{runtime}"),
    }
    assert len(names) == 2
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,80}", name) for name in names)
    if (namespace, runtime) != (other, other_runtime):
        queue = f"{other}/{other_runtime}"
        assert not names & {queue_name("karman", queue), dead_letter_name("karman", queue)}


@pytest.mark.parametrize(
    ("queue", "name"),
    [
        ("default/python", "karman-default-python"),
        ("default/gpu-large", "karman-default-gpu-large"),
        ("my-team/python", "karman-my--team-python"),
        ("default/a-dlq", "karman_default-a-dlq-5nuwpypnv6npdte4muyf"),
        ("a b/ä", "karman_a-b-hpamwyevjovccfyiwoki"),
    ],
)
def test_names_of_queues(queue: str, name: str) -> None:
    assert queue_name("karman", queue) == name
    assert dead_letter_name("karman", queue) == f"{name}-dlq"


@pytest.mark.parametrize("queue", ["", "a", "a/", "/a"])
def test_what_names_no_queue(queue: str) -> None:
    with pytest.raises(ValueError, match="namespace/runtime"):
        queue_name("karman", queue)


triggers = st.tuples(parts, parts, parts)


@given(triggers, st.integers(0, 99), triggers, st.integers(0, 99))
def test_schedules_never_share_a_name(
    trigger: tuple[str, str, str], number: int, other: tuple[str, str, str], other_number: int
) -> None:
    name = schedule_name(*trigger, number)
    assert re.fullmatch(r"[0-9A-Za-z_.-]{1,64}", name)
    assert all(name.startswith(schedule_prefix(*trigger[:count])) for count in (1, 2, 3))
    if (trigger, number) != (other, other_number):
        assert name != schedule_name(*other, other_number)


def test_the_longest_name_of_a_schedule_is_no_longer_than_scheduler_takes() -> None:
    # Each n-th of each weekday, and the last ones, are alternatives that have a schedule each.
    most = len(to_scheduler("0 0 * * " + ",".join(f"{day}#{n}" for day in range(7) for n in range(1, 6))))
    assert most > 10
    assert len(schedule_name("n" * 64, "g" * 64, "t" * 64, most)) <= MAX_SCHEDULE_CHARACTERS


def test_names_of_schedules() -> None:
    assert schedule_name("default", "daily_report", "nightly", 0) == "default.daily_report.nightly.0"
    assert schedule_name("default", "g" * 30, "a.b", 1) == "default.ggg..4ofogp2u6jz2jd.a-b..ncsdmsziuootsm.1"


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_escaped_text_comes_back(text: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_.-]*", escaped(text))
    assert unescaped(escaped(text)) == text


def test_paths_of_parameters() -> None:
    assert parameter_path("karman", "default/my graph") == "/karman/default/my.20graph/"
    assert escaped("OPENAI_API_KEY") == "OPENAI_API_KEY"
    assert escaped("a.b/ä") == "a.2Eb.2F.C3.A4"
