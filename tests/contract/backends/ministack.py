"""All ports but the table on MiniStack, whose services really run: schedules fire, events arrive."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from tests.contract.backends import BackendPorts
from tests.contract.backends.aws_ports import open_aws
from tests.emulators import start_ministack, why_not_ministack

PORTS = frozenset({"queue", "timers", "schedules", "secrets", "blobs", "events"})

_SIZE = "messages of up to 256 KiB only, as SQS had it before August 2025"

GAPS: Mapping[str, str] = {
    "test_the_largest_message": _SIZE,
    "test_a_large_batch_of_large_messages": _SIZE,
    "test_a_lease_that_ended_cannot_be_extended": "a receipt stays good until the message is received again",
}

_SLACK_SECONDS = 60.0
"""MiniStack looks for due schedules every half second (see tests.emulators); a busy machine takes its time."""


def unavailable() -> str | None:
    return why_not_ministack()


@asynccontextmanager
async def open_ports(tmp_path: Path) -> AsyncIterator[BackendPorts]:
    async with open_aws("ministack", start_ministack(), PORTS) as opened:
        opened.ports.timer_slack_seconds = _SLACK_SECONDS
        yield opened.ports
