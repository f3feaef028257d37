"""Deployed as the documentation says, by `make test-aws` alone: it takes a minute."""

import pytest


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    """Only who names this folder means it."""
    named = any("e2e_docs" in each for each in config.invocation_params.args)
    return None if named else True
