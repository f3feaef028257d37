"""What every tier of tests shares: how Hypothesis searches."""

from hypothesis import HealthCheck, settings

# A hook: only this file is loaded by the process of pytest-xdist that prints the report.
from tests.contract.summary import pytest_terminal_summary  # noqa: F401

# The same examples each time: a change is judged by them, not by what happens to be drawn on that day. New ones are
# looked for with `make fuzz`. And no deadline: it measures the machine, not the code.
_SLOW = [HealthCheck.too_slow]
settings.register_profile("karman", deadline=None, derandomize=True, suppress_health_check=_SLOW)
settings.register_profile("explore", deadline=None, print_blob=True, suppress_health_check=_SLOW)
settings.load_profile("karman")  # what --hypothesis-profile says comes later, and counts
