"""AWS's errors become Karman's: which class, with what to do about it, and never an error of something else."""

import contextlib
from typing import Any

import pytest
from botocore import exceptions as sdk
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError

from karman_core.backends.aws.errors import entry_error, translate
from karman_core.domain.errors import (
    BackendError,
    ConditionFailed,
    Conflict,
    ItemTooLarge,
    NotFound,
    Throttled,
    TransactionConflict,
    TransactionFailed,
    Unavailable,
)

OLD = {"pk": {"S": "p"}, "sk": {"S": "s"}, "n": {"N": "1"}}


def of_service(code: str, message: str = "", status: int = 400, **more: Any) -> ClientError:
    response: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
        **more,
    }
    return ClientError(response, "SomeOperation")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (of_service("ProvisionedThroughputExceededException"), Throttled),
        (of_service("ThrottlingException"), Throttled),
        (of_service("RequestThrottled"), Throttled),
        (of_service("OverLimit"), Throttled),
        (of_service("SlowDown", status=503), Throttled),
        (of_service("ServiceQuotaExceededException"), Throttled),
        (of_service("Whatever", status=429), Throttled),
        (of_service("InternalServerError", status=500), Unavailable),
        (of_service("Whatever", status=502), Unavailable),
        (of_service("RequestTimeout"), Unavailable),
        (of_service("TransactionInProgressException"), Unavailable),
        (of_service("AWS.SimpleQueueService.QueueDeletedRecently"), Unavailable),
        (of_service("ResourceNotFoundException"), NotFound),
        (of_service("AWS.SimpleQueueService.NonExistentQueue"), NotFound),
        (of_service("QueueDoesNotExist"), NotFound),
        (of_service("NoSuchKey", status=404), NotFound),
        (of_service("ConflictException"), Conflict),
        (of_service("QueueAlreadyExists"), Conflict),
        (of_service("TransactionConflictException"), TransactionConflict),
        (of_service("ValidationException", "Item size has exceeded the maximum allowed size"), ItemTooLarge),
        (of_service("ValidationException", "Item size to update has exceeded the maximum"), ItemTooLarge),
        (of_service("ValidationException", "Transaction payload size cannot exceed 4MB."), ItemTooLarge),
        (of_service("InvalidParameterValue", "Message must be shorter than 1048576 bytes."), ItemTooLarge),
        (of_service("AWS.SimpleQueueService.BatchRequestTooLong"), ItemTooLarge),
        (of_service("Whatever", status=413), ItemTooLarge),
        (of_service("ValidationException", "something else"), BackendError),
        (of_service("AccessDeniedException"), BackendError),
        (of_service("ExpiredTokenException"), BackendError),
        (sdk.EndpointConnectionError(endpoint_url="x"), Unavailable),
        (sdk.ReadTimeoutError(endpoint_url="x"), Unavailable),
        (sdk.ConnectTimeoutError(endpoint_url="x"), Unavailable),
        (sdk.ConnectionClosedError(endpoint_url="x"), Unavailable),
        (sdk.ResponseStreamingError(error="x"), Unavailable),
        (sdk.IncompleteReadError(actual_bytes=1, expected_bytes=2), Unavailable),
        (ResponseParserError("x"), Unavailable),
        (sdk.NoCredentialsError(), BackendError),
        (sdk.NoRegionError(), BackendError),
        (sdk.ParamValidationError(report="x"), BackendError),
    ],
    ids=lambda value: getattr(value, "__name__", None) or f"{type(value).__name__}: {value}"[:90],
)
def test_kinds(error: Exception, kind: type[Exception]) -> None:
    assert type(translate(error)) is kind


@pytest.mark.parametrize("error", [KeyError("x"), TypeError("x"), OSError("x"), RuntimeError("x")])
def test_other_errors_stay_as_they_are(error: Exception) -> None:
    assert translate(error) is None


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (sdk.NoRegionError(), "AWS_REGION"),
        (sdk.NoCredentialsError(), "sign in"),
        (of_service("UnrecognizedClientException"), "does not take the credentials"),
        (of_service("AccessDenied", "not authorized to perform sqs:SendMessage"), "allow the action"),
        (of_service("NoSuchBucket"), "deploy the stack"),
        (of_service("QueueDoesNotExist"), "deploy the runtime"),
    ],
)
def test_messages_say_what_to_do(error: Exception, advice: str) -> None:
    assert advice in str(translate(error))


def test_the_operation_and_the_code_are_named() -> None:
    assert str(translate(of_service("Odd", "so it is"))) == "SomeOperation: so it is [Odd]"


@pytest.mark.parametrize(("item", "old"), [(OLD, {"pk": "p", "sk": "s", "n": 1}), (None, None)])
def test_a_lost_condition_brings_the_old_item(item: Any, old: Any) -> None:
    more = {"Item": item} if item else {}
    error = translate(of_service("ConditionalCheckFailedException", **more))

    assert isinstance(error, ConditionFailed)
    assert error.old == old


def cancelled(*reasons: dict[str, Any], message: str = "cancelled") -> Any:
    return translate(of_service("TransactionCanceledException", message, CancellationReasons=list(reasons)))


def test_a_transaction_that_lost_its_conditions() -> None:
    error = cancelled(
        {"Code": "None"}, {"Code": "ConditionalCheckFailed", "Item": OLD}, {"Code": "ConditionalCheckFailed"}
    )

    assert isinstance(error, TransactionFailed)
    assert error.failed == (1, 2)
    assert error.old == (None, {"pk": "p", "sk": "s", "n": 1}, None)


@pytest.mark.parametrize(
    ("reasons", "kind"),
    [
        ([{"Code": "TransactionConflict"}, {"Code": "None"}], TransactionConflict),
        ([{"Code": "ConditionalCheckFailed"}, {"Code": "TransactionConflict"}], TransactionConflict),
        ([{"Code": "ThrottlingError"}, {"Code": "None"}], Throttled),
        ([{"Code": "ProvisionedThroughputExceeded"}, {"Code": "ConditionalCheckFailed"}], Throttled),
        (
            [
                {
                    "Code": "ValidationError",
                    "Message": "Item size to update has exceeded the maximum allowed size",
                }
            ],
            ItemTooLarge,
        ),
        ([{"Code": "ValidationError", "Message": "wrong type"}], BackendError),
        ([], BackendError),
    ],
)
def test_why_a_transaction_was_cancelled(reasons: list[dict[str, Any]], kind: type[Exception]) -> None:
    assert type(cancelled(*reasons)) is kind


@pytest.mark.parametrize(
    ("code", "our_fault", "kind"),
    [
        ("InternalError", False, Unavailable),
        ("ServiceUnavailable", False, Unavailable),
        ("Odd", False, Unavailable),
        ("RequestThrottled", True, Throttled),
        ("InvalidMessageContents", True, BackendError),
    ],
)
def test_entries_of_batches(code: str, our_fault: bool, kind: type[Exception]) -> None:  # noqa: FBT001
    assert type(entry_error("SendMessageBatch", code, "", our_fault=our_fault)) is kind


def test_an_error_of_aws_is_the_cause() -> None:
    original = of_service("Odd")
    with contextlib.suppress(BackendError):
        raise translate(original) or AssertionError from original
