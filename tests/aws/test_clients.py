"""Clients are made late and once, with time-outs that fit their services, and calls keep the caller's context."""

import asyncio
import contextvars
import subprocess
import sys
import threading
from typing import Any

import pytest
from boto3 import Session
from botocore.exceptions import ClientError

from karman_core.backends.aws import AwsSettings
from karman_core.backends.aws.clients import _PATIENCE, LONG_POLL_SECONDS, AwsClients
from karman_core.domain.errors import BackendError, Throttled
from tests.contract.backends.aws_ports import clean_environment


def clients(**settings: Any) -> AwsClients:
    session = Session(aws_access_key_id="a", aws_secret_access_key="b")
    return AwsClients(AwsSettings(**({"table_name": "t", "region": "us-east-1"} | settings)), session)


def test_importing_the_backend_imports_no_sdk() -> None:
    code = (
        "import sys, karman_core.backends.aws;"
        "print([name for name in ('boto3', 'botocore', 'croniter') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert done.stdout.strip() == "[]"


def test_a_client_is_made_once() -> None:
    made = clients()

    assert made.sqs is made.sqs
    made.close()


def test_a_receive_may_last_as_long_as_a_poll() -> None:
    made = clients()

    sqs: Any = made.sqs.meta.config
    dynamodb: Any = made.dynamodb.meta.config

    assert sqs.read_timeout > LONG_POLL_SECONDS
    assert dynamodb.read_timeout < LONG_POLL_SECONDS
    assert dynamodb.max_pool_connections == 32
    assert "karman" in dynamodb.user_agent
    made.close()


@pytest.mark.parametrize(
    ("settings", "dynamodb", "sqs"),
    [
        ({}, "https://dynamodb.us-east-1.amazonaws.com", "https://sqs.us-east-1.amazonaws.com"),
        ({"endpoint": "http://all"}, "http://all", "http://all"),
        ({"endpoint": "http://all", "endpoints": {"sqs": "http://one"}}, "http://all", "http://one"),
    ],
)
def test_endpoints(settings: dict[str, object], dynamodb: str, sqs: str) -> None:
    with clean_environment():
        made = clients(**settings)

        assert made.dynamodb.meta.endpoint_url == dynamodb
        assert made.sqs.meta.endpoint_url == sqs
        made.close()


def test_endpoints_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with clean_environment():
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://localhost:4566")
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", "http://localhost:8000")
        made = clients()

        assert made.dynamodb.meta.endpoint_url == "http://localhost:8000"
        assert made.s3.meta.endpoint_url == "http://localhost:4566"
        # Nothing resolves `bucket.localhost`.
        url = made.s3.generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": "key"})
        assert url.startswith("http://localhost:4566/bucket/key")
        made.close()


SERVICES = tuple(_PATIENCE)
"""All of which there are clients."""


@pytest.mark.parametrize("service", SERVICES)
def test_every_client_goes_where_the_environment_says(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with clean_environment():
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")
        made = clients()
        assert made.untyped(service).meta.endpoint_url == "http://127.0.0.1:4566"
        made.close()
        # Which goes before it: KARMAN_ENDPOINT, then what is said for one service.
        told = clients(endpoint="http://127.0.0.1:1111")
        assert told.untyped(service).meta.endpoint_url == "http://127.0.0.1:1111"
        told.close()


def test_buckets_of_emulators_are_in_the_path() -> None:
    with clean_environment():
        made = clients(endpoint="http://127.0.0.1:4566")
        url = made.s3.generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": "key"})
        assert url.startswith("http://127.0.0.1:4566/bucket/key")
        made.close()
        on_aws = clients()
        url = on_aws.s3.generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": "key"})
        assert url.startswith("https://bucket.s3.")
        on_aws.close()


def test_without_a_region_the_message_says_what_to_set() -> None:
    with clean_environment():
        made = clients(region=None)

        with pytest.raises(BackendError, match="AWS_REGION"):
            _ = made.dynamodb
        made.close()


async def test_calls_run_in_threads_with_the_callers_context() -> None:
    made = clients()
    trace: contextvars.ContextVar[str] = contextvars.ContextVar("trace")
    trace.set("here")

    assert await made.call(lambda: (trace.get(), threading.current_thread() is threading.main_thread())) == (
        "here",
        False,
    )
    made.close()


async def test_errors_of_aws_are_translated_and_others_are_not() -> None:
    made = clients()
    throttled = ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow"}}, "Operation")

    def fail(error: Exception) -> None:
        raise error

    with pytest.raises(Throttled) as caught:
        await made.call(fail, throttled)
    assert caught.value.__cause__ is throttled
    with pytest.raises(KeyError):
        await made.call(fail, KeyError("x"))
    made.close()


async def test_a_call_leaves_the_event_loop_free() -> None:
    made = clients()
    release = threading.Event()
    waiting = asyncio.create_task(made.call(release.wait, 90))
    await asyncio.sleep(0)
    release.set()

    assert await waiting
    made.close()
