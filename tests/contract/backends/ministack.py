"""All ports but the table on MiniStack, whose services really run: schedules fire, events arrive."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from tests.contract.backends import BackendPorts
from tests.contract.backends.aws_ports import open_aws
from tests.emulators import start_ministack, why_not_ministack

PORTS = frozenset({"queue", "timers", "schedules", "secrets", "blobs", "events"})
GAPS: Mapping[str, str] = {}

_SWEEP_SECONDS = 10.0
"""MiniStack looks for due schedules so often."""


def unavailable() -> str | None:
    return why_not_ministack()


@asynccontextmanager
async def open_ports(tmp_path: Path) -> AsyncIterator[BackendPorts]:
    async with open_aws("ministack", start_ministack(), PORTS) as opened:
        opened.ports.timer_slack_seconds = _SWEEP_SECONDS + 2
        yield opened.ports
