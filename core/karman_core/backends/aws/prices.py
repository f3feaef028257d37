"""What a run costs, about: for the metric that shows which graphs and days are expensive, not for an invoice."""

from __future__ import annotations

from karman_core.domain.totals import Totals

WRITE_UNIT_MICRODOLLARS = 0.625
"""DynamoDB on demand, us-east-1: $0.625 per million write units. https://aws.amazon.com/dynamodb/pricing/on-demand/"""

GIGABYTE_SECOND_MICRODOLLARS = 13.3334
"""Lambda on arm64, us-east-1. https://aws.amazon.com/lambda/pricing/"""

WRITE_UNITS_OF_A_RUN = 10
"""Header, status and indexes."""


def run_microdollars(totals: Totals, memory_mb: int | None) -> float:
    """The table's writes and the time of the nodes.

    It leaves out what no total counts: queue requests, arrivals at joins, reads, and that nodes which wait side by side
    in one invocation share its time.

    Args:
        memory_mb: of the function that asks, taken for that of all; None where no time is paid by use.
    """
    writes = (WRITE_UNITS_OF_A_RUN + totals.write_units) * WRITE_UNIT_MICRODOLLARS
    gigabyte_seconds = (memory_mb or 0) / 1024 * totals.busy_ms / 1000
    return writes + gigabyte_seconds * GIGABYTE_SECOND_MICRODOLLARS
