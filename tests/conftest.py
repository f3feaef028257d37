"""What every tier of tests shares: how Hypothesis searches."""

from hypothesis import HealthCheck, settings

# A hook: only this file is loaded by the process of pytest-xdist that prints the report.
from tests.contract.summary import pytest_terminal_summary  # noqa: F401

# A deadline measures the machine, not the code; two workers on two cores would make it flake.
settings.register_profile("karman", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ci" if settings.get_current_profile_name() == "ci" else "karman")
