"""Runs, states, times and commands as people read them."""

from __future__ import annotations

import re
import shlex
from datetime import UTC, datetime

from karman_core.engine.views import RunView, StateView

FRAME = re.compile(r'^\s*File "(?P<file>[^"]+)", line (?P<line>\d+), in (?P<where>.+)$', re.MULTILINE)

STYLES = {
    "SUCCEEDED": "green",
    "FAILED": "red",
    "TIMED_OUT": "red",
    "CANCELLED": "yellow",
    "PAUSED": "yellow",
    "WAITING": "yellow",
    "RETRYING": "yellow",
    "PRUNED": "dim",
    "RUNNING": "cyan",
}


def when(ms: int | None) -> str:
    """A time, local."""
    if ms is None:
        return "-"
    return datetime.fromtimestamp(ms / 1000, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def lasted(start_ms: int | None, end_ms: int | None) -> str:
    """A duration; empty while there is none."""
    if start_ms is None or end_ms is None:
        return ""
    seconds = max(0, end_ms - start_ms) / 1000
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:  # noqa: PLR2004  a minute
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def summary(run: RunView) -> str:
    """A run in one line."""
    totals = run.totals
    counts = ((totals.succeeded, "succeeded"), (totals.failed, "failed"), (totals.pruned, "pruned"))
    states = ", ".join(f"{count:,} {what}" for count, what in counts if count) or "no states yet"
    took = lasted(run.starts_ms, run.ended_ms)
    return f"{run.status} {run.graph} {run.run_id}: {states}{f' in {took}' if took else ''}"


def failure_place(state: StateView) -> str:
    """Where in the user's code the last attempt failed: file and line; empty where the traceback does not say."""
    traceback = state.attempts[-1].traceback if state.attempts else None
    frames = list(FRAME.finditer(traceback or ""))
    users = [frame for frame in frames if "site-packages" not in frame["file"]]
    if not users:
        return ""
    return f"{users[-1]['file']}, line {users[-1]['line']}, in {users[-1]['where']}"


def command_line(*words: object) -> str:
    """A command as it can be pasted into a shell."""
    return shlex.join(["karman", *map(str, words)])
