"""What S3 says of an object that is not there to whoever may not list the bucket: that it is forbidden."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.stub import Stubber

from karman_core.backends.aws import AwsBackend, AwsSettings
from karman_core.backends.system import SystemClock, SystemEntropy
from karman_core.domain.errors import BackendError, NotFound
from tests.deployments import shared_session

BUCKET = "karman-blobs"
NAME = "ns/run/state/digest/0"
KEY = f"runs/{NAME}"


@contextmanager
def stubbed() -> Iterator[tuple[AwsBackend, Stubber]]:
    """A backend whose S3 says what a test has it say, call by call."""
    backend = AwsBackend.open(
        AwsSettings("t", bucket=BUCKET, region="us-east-1"),
        clock=SystemClock(),
        entropy=SystemEntropy(),
        session=shared_session(),
    )
    with Stubber(backend.clients.s3) as stubber:
        stubber.add_client_error(
            "get_object",
            "AccessDenied",
            "Access Denied",
            403,
            expected_params={"Bucket": BUCKET, "Key": KEY},
        )
        yield backend, stubber
        stubber.assert_no_pending_responses()
    backend.close()


def listed(stubber: Stubber, *keys: str) -> None:
    answer: dict[str, Any] = {"Contents": [{"Key": key} for key in keys]} if keys else {}
    stubber.add_response("list_objects_v2", answer, {"Bucket": BUCKET, "Prefix": KEY, "MaxKeys": 1})


@pytest.mark.parametrize("keys", [(), (f"{KEY}0",)])
async def test_what_is_refused_and_not_there_is_not_found(keys: tuple[str, ...]) -> None:
    with stubbed() as (backend, stubber):
        listed(stubber, *keys)
        with pytest.raises(NotFound, match=f"there is no blob '{NAME}': it expired") as missing:
            await backend.blobs.get(NAME)

    assert missing.value.status == 404


async def test_what_is_refused_and_there_is_a_fault_of_the_role() -> None:
    with stubbed() as (backend, stubber):
        listed(stubber, KEY)
        with pytest.raises(BackendError, match=r"GetObject: .*the role may not do this"):
            await backend.blobs.get(NAME)


async def test_a_role_that_may_not_list_either_is_told_so() -> None:
    with stubbed() as (backend, stubber):
        stubber.add_client_error("list_objects_v2", "AccessDenied", "Access Denied", 403)
        with pytest.raises(BackendError, match=r"ListObjectsV2: .*the role may not do this"):
            await backend.blobs.get(NAME)
