"""Exit codes of `karman`. Scripts rely on them; a number keeps its meaning for ever."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What an exit code says."""

    OK = 0
    """The command did what was asked; of a run: SUCCEEDED."""

    FAILED = 1
    """The run FAILED; of many runs, some were refused."""

    UNUSABLE = 2
    """Nothing was done: wrong usage, an invalid graph, missing input, an unknown file or run, or a conflict."""

    CANCELLED = 3
    """The run was CANCELLED."""

    TIMED_OUT = 4
    """The run TIMED_OUT."""

    UNREACHABLE = 69
    """The server cannot be reached, or what answered is no Karman server (EX_UNAVAILABLE of sysexits.h)."""

    INTERNAL = 70
    """Karman or its backend failed (EX_SOFTWARE)."""

    TRY_AGAIN = 75
    """No answer in time, too many requests, or a quota that is used up; the same may work later (EX_TEMPFAIL)."""

    DENIED = 77
    """The server does not know the API key, or the key does not allow this (EX_NOPERM)."""

    INTERRUPTED = 130
    """Ctrl-C (128 + SIGINT, as shells have it)."""


RUN_EXIT_CODES = {
    "SUCCEEDED": ExitCode.OK,
    "FAILED": ExitCode.FAILED,
    "CANCELLED": ExitCode.CANCELLED,
    "TIMED_OUT": ExitCode.TIMED_OUT,
}
"""By the final status of a run."""


ERROR_EXIT_CODES = {
    "unauthorized": ExitCode.DENIED,
    "forbidden": ExitCode.DENIED,
    "unreachable": ExitCode.UNREACHABLE,
    "unexpected_answer": ExitCode.UNREACHABLE,
    "timeout": ExitCode.TRY_AGAIN,
    "rate_limited": ExitCode.TRY_AGAIN,
    "quota_exceeded": ExitCode.TRY_AGAIN,
    "throttled": ExitCode.TRY_AGAIN,
    "newer_layout": ExitCode.TRY_AGAIN,
}
"""By the code of an error. Others are INTERNAL where the fault is Karman's or its backend's, else UNUSABLE."""


def error_exit_code(code: str, status: int) -> ExitCode:
    """Of an error with this code and HTTP status."""
    usual = ExitCode.INTERNAL if status >= 500 else ExitCode.UNUSABLE  # noqa: PLR2004  the server's fault
    return ERROR_EXIT_CODES.get(code, usual)
