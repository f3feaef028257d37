"""Filters of runs, as they are typed."""

from __future__ import annotations

from collections.abc import Sequence

from typer import BadParameter

from karman_cli.values import moment_ms, pairs
from karman_core.backends.system import SystemClock
from karman_core.domain.transitions import RunStatus
from karman_core.engine.listing import RunFilter


def run_filter(
    graph: str | None = None,
    status: str | None = None,
    since: str | None = None,
    until: str | None = None,
    tags: Sequence[str] | None = None,
) -> RunFilter:
    """What the options say. Raises BadParameter."""
    now_ms = SystemClock().now_ms()
    return RunFilter(
        graph=graph,
        status=None if status is None else _status(status),
        since_ms=None if since is None else moment_ms(since, "--since", now_ms),
        until_ms=None if until is None else moment_ms(until, "--until", now_ms),
        tags=pairs(tags, "--tag"),
    )


def _status(text: str) -> str:
    try:
        return RunStatus(text.upper().replace("-", "_")).value
    except ValueError:
        raise BadParameter(f"--status is one of {', '.join(RunStatus)}, not {text!r}") from None
