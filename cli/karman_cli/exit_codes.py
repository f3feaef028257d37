"""Exit codes of `karman`. Scripts rely on them; a number keeps its meaning for ever."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What an exit code says."""

    OK = 0
    """The command did what was asked; of a run: SUCCEEDED."""

    FAILED = 1
    """The run FAILED."""

    UNUSABLE = 2
    """Nothing was done: wrong usage, an invalid graph, missing input, an unknown file or run, or a conflict."""

    CANCELLED = 3
    """The run was CANCELLED."""

    TIMED_OUT = 4
    """The run TIMED_OUT."""

    INTERNAL = 70
    """Karman or its backend failed (EX_SOFTWARE of sysexits.h)."""

    INTERRUPTED = 130
    """Ctrl-C (128 + SIGINT, as shells have it)."""


RUN_EXIT_CODES = {
    "SUCCEEDED": ExitCode.OK,
    "FAILED": ExitCode.FAILED,
    "CANCELLED": ExitCode.CANCELLED,
    "TIMED_OUT": ExitCode.TIMED_OUT,
}
"""By the final status of a run."""
