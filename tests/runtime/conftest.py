"""What the tests of the runtime share."""

from collections.abc import Iterator

import pytest

from tests.runtime.workers import Bench


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.backend.close()
