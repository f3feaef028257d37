"""What an inspection of a deployment or a database found, one line a thing looked at."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

SKEW_WARNING_MS: Final = 2_000
SKEW_PROBLEM_MS: Final = 60_000
"""Deadlines and timers shift by it; AWS refuses signatures that are five minutes off."""


class Level(StrEnum):
    """How much something matters."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: of the thing, such as `table` or `queue default/digest`.
        level: whether it is as it should be.
        text: what was found.
        advice: what to do; empty when all is well.
    """

    name: str
    level: Level
    text: str
    advice: str = ""


def ok(name: str, text: str) -> Check:
    """As it should be."""
    return Check(name, Level.OK, text)


def warning(name: str, text: str, advice: str) -> Check:
    """It works, but somebody should look at it."""
    return Check(name, Level.WARNING, text, advice)


def problem(name: str, text: str, advice: str) -> Check:
    """It does not work, or will not."""
    return Check(name, Level.PROBLEM, text, advice)


def clock_check(here_ms: int, there_ms: int, there: str) -> Check:
    """Of the clocks of this machine and another one, whose answer says whole seconds alone.

    Args:
        there: whose clock it is compared with.
    """
    apart = max(0, abs(here_ms - there_ms - 500) - 500)
    text = f"{apart / 1000:.1f} s apart from {there}"
    advice = "set this machine's clock by NTP: deadlines, timers and signatures go by it"
    if apart >= SKEW_PROBLEM_MS:
        return problem("clock", text, advice)
    return warning("clock", text, advice) if apart >= SKEW_WARNING_MS else ok("clock", text)
