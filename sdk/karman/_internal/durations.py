"""Durations as users write them: a timedelta, or a number of seconds."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TypeAlias

from karman.errors import InvalidInput

Duration: TypeAlias = timedelta | float
"""A timedelta, or a number of seconds."""


def to_seconds(duration: object, what: str) -> float:
    """The duration in seconds.

    Raises:
        InvalidInput: if it is no positive finite duration; `what` names it in the message.
    """
    if isinstance(duration, timedelta):
        seconds = duration.total_seconds()
    elif isinstance(duration, int | float) and not isinstance(duration, bool):
        seconds = float(duration)
    else:
        raise InvalidInput(f"{what} is a {type(duration).__name__}; give a timedelta or a number of seconds.")
    if not (math.isfinite(seconds) and seconds > 0):
        raise InvalidInput(f"{what} is {seconds:g} s; give a duration of more than 0 s.")
    return seconds


def to_milliseconds(duration: Duration, what: str) -> int:
    """The duration in whole milliseconds, rounded up so that nothing happens early.

    Raises:
        InvalidInput: if it is no positive finite duration.
    """
    return math.ceil(round(to_seconds(duration, what) * 1000, 3))
