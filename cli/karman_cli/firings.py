"""The next firings of cron triggers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from karman_core.backends.system import SystemClock
from karman_core.domain.cron import next_firing

if TYPE_CHECKING:
    from karman.client import Firings


def next_of(trigger: Firings, count: int) -> Firings:
    """The trigger with so many of its next firings; none for a disabled one."""
    found: list[int] = list(trigger.next_ms[:count])
    while trigger.enabled and len(found) < count:
        after_ms = found[-1] if found else SystemClock().now_ms()
        found.append(next_firing(trigger.cron, trigger.timezone, after_ms))
    return replace(trigger, next_ms=tuple(found))
