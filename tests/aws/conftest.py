"""What the tests of the adapters share."""

import pytest

from tests import emulators


@pytest.fixture(scope="module")
def endpoint() -> str:
    """DynamoDB Local's."""
    reason = emulators.why_not_dynamodb_local()
    if reason:
        pytest.skip(reason)
    return emulators.start_dynamodb_local()
