"""What every tier of tests shares: how Hypothesis searches."""

from hypothesis import HealthCheck, settings

# A deadline measures the machine, not the code; two workers on two cores would make it flake.
settings.register_profile("karman", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ci" if settings.get_current_profile_name() == "ci" else "karman")
