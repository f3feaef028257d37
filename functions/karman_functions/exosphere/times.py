"""Times as Exosphere writes them: ISO 8601 without a zone. Here they are always UTC."""

from __future__ import annotations

from datetime import UTC, datetime


def naive_iso(epoch_ms: int) -> str:
    """2026-01-02T03:04:05.678 for epoch milliseconds."""
    moment = datetime.fromtimestamp(epoch_ms / 1000, UTC)
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds")
