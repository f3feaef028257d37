"""One application a test."""

from collections.abc import Iterator

import pytest

from tests.api.client import Api


@pytest.fixture
def api() -> Iterator[Api]:
    made = Api()
    yield made
    made.backend.close()
