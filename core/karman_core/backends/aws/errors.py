"""From the SDK's errors to Karman's, each with what to do about it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from karman_core.backends.aws.values import from_attributes
from karman_core.domain.errors import (
    BackendError,
    ConditionFailed,
    Conflict,
    ItemTooLarge,
    KarmanError,
    NotFound,
    Throttled,
    TransactionConflict,
    TransactionFailed,
    Unavailable,
)

if TYPE_CHECKING:
    from botocore.exceptions import BotoCoreError, ClientError

_THROTTLING = frozenset(
    {
        "BandwidthLimitExceeded",
        "KMS.ThrottlingException",
        "KmsThrottled",
        "LimitExceededException",
        "OverLimit",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceeded",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "ServiceQuotaExceededException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingError",
        "ThrottlingException",
        "TooManyRequestsException",
        "TooManyUpdates",
    }
)
_MISSING = {
    "AWS.SimpleQueueService.NonExistentQueue": "the queue does not exist; create it, or deploy the runtime",
    "QueueDoesNotExist": "the queue does not exist; create it, or deploy the runtime",
    "NoSuchBucket": "the bucket of blobs does not exist; deploy the stack",
    "NoSuchKey": "there is no such blob",
    "ParameterNotFound": "there is no such parameter",
    "ResourceNotFoundException": "deploy the stack, or check the region and the name",
}
_EXISTING = frozenset(
    {"ConflictException", "QueueAlreadyExists", "QueueNameExists", "ResourceInUseException"}
)
_REFUSED_CREDENTIALS = frozenset(
    {
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_FORBIDDEN = frozenset({"AccessDenied", "AccessDeniedException", "KmsAccessDenied", "UnauthorizedOperation"})
_FAILURES = frozenset(
    {
        "AWS.SimpleQueueService.QueueDeletedRecently",
        "InternalError",
        "InternalException",
        "InternalFailure",
        "InternalServerError",
        "InternalServerException",
        "QueueDeletedRecently",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "TransactionInProgressException",
    }
)
_TOO_LARGE = re.compile(
    r"item size.* has exceeded|must be shorter than|size of the entries in the request is over"
    r"|transaction.*(size|4 ?MB)|request size",
    re.IGNORECASE,
)
_BATCH_TOO_LARGE = frozenset(
    {"AWS.SimpleQueueService.BatchRequestTooLong", "BatchRequestTooLong", "EntityTooLarge", "RequestTooLarge"}
)
_TOO_LARGE_STATUS = 413
_TOO_MANY_STATUS = 429
_SERVER_ERROR_STATUS = 500


def translate(error: BaseException) -> KarmanError | None:
    """Karman's error for one that a call to AWS raised; None for errors that are not AWS's."""
    # By now boto3 is loaded; before the first call nothing of it need be.
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415
    from botocore.parsers import ResponseParserError  # noqa: PLC0415

    if isinstance(error, ClientError):
        return _of_service(error)
    if isinstance(error, BotoCoreError):
        return _of_sdk(error)
    if isinstance(error, ResponseParserError):
        return Unavailable(f"an answer of AWS could not be read: {error}")
    return None


def is_refusal(error: KarmanError) -> bool:
    """Whether a service knew who called, and did not allow it."""
    from botocore.exceptions import ClientError  # noqa: PLC0415 - see translate

    cause = error.__cause__
    return isinstance(cause, ClientError) and cause.response.get("Error", {}).get("Code") in _FORBIDDEN


def entry_error(operation: str, code: str, message: str, *, our_fault: bool) -> KarmanError:
    """The error of one entry of a batch, by the same rules."""
    status = 400 if our_fault else _SERVER_ERROR_STATUS
    return _by_code(operation, code, message, status)


def _of_service(error: ClientError) -> KarmanError:
    response: Mapping[str, Any] = error.response
    code = str(response.get("Error", {}).get("Code", ""))
    message = str(response.get("Error", {}).get("Message", ""))
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code == "ConditionalCheckFailedException":
        return ConditionFailed("the condition of the write does not hold", _old(response))
    if code == "TransactionCanceledException":
        return _cancelled(response.get("CancellationReasons", ()), message)
    if code in {"TransactionConflictException", "ReplicatedWriteConflictException"}:
        return TransactionConflict("another writer was at the item at the same moment")
    return _by_code(error.operation_name, code, message, status)


def _by_code(operation: str, code: str, message: str, status: int) -> KarmanError:
    said = f"{operation}: {message or 'no message'} [{code}]"
    if code in _THROTTLING or status == _TOO_MANY_STATUS:
        return Throttled(said)
    if code in _MISSING:
        return NotFound(f"{said}: {_MISSING[code]}")
    if code in _EXISTING:
        return Conflict(said)
    if status == _TOO_LARGE_STATUS or code in _BATCH_TOO_LARGE or _TOO_LARGE.search(message):
        return ItemTooLarge(said)
    if code in _REFUSED_CREDENTIALS:
        return BackendError(f"{said}: AWS does not take the credentials; renew them, and check the clock")
    if code in _FORBIDDEN:
        return BackendError(f"{said}: the role may not do this; allow the action, or deploy the stack again")
    if code in _FAILURES or status >= _SERVER_ERROR_STATUS:
        return Unavailable(said)
    return BackendError(said)


def _cancelled(reasons: Any, message: str) -> KarmanError:  # noqa: ANN401 - a part of a response
    """Why a transaction was cancelled. What may pass goes before what will not: a retry gives the definite answer."""
    codes = [str(reason.get("Code", "None")) for reason in reasons]
    failed = [index for index, code in enumerate(codes) if code == "ConditionalCheckFailed"]
    if "TransactionConflict" in codes:
        return TransactionConflict("another writer was at an item of the transaction at the same moment")
    if _THROTTLING.intersection(codes):
        return Throttled(f"the transaction was throttled: {message}")
    if failed:
        old = [_old(reason) if index in failed else None for index, reason in enumerate(reasons)]
        return TransactionFailed(
            f"the conditions of {len(failed)} of {len(codes)} writes do not hold", failed, old
        )
    messages = " ".join(str(reason.get("Message", "")) for reason in reasons)
    return _by_code("TransactWriteItems", "ValidationException", f"{message} {messages}".strip(), 400)


def _old(answer: Mapping[str, Any]) -> dict[str, Any] | None:
    item = answer.get("Item")
    return from_attributes(item) if item else None


def _of_sdk(error: BotoCoreError) -> KarmanError:
    from botocore import exceptions as sdk  # noqa: PLC0415 - see translate

    if isinstance(error, sdk.NoRegionError):
        return BackendError("no AWS region is set: set AWS_REGION, or a region in the profile")
    if isinstance(
        error,
        sdk.NoCredentialsError | sdk.PartialCredentialsError | sdk.CredentialRetrievalError | sdk.SSOError,
    ):
        return BackendError(
            f"no usable AWS credentials: sign in, or set the variables or a profile ({error})"
        )
    if isinstance(error, sdk.HTTPClientError | sdk.ConnectionError | sdk.IncompleteReadError):
        return Unavailable(f"AWS did not answer: {error}")
    return BackendError(f"the AWS SDK refused the call: {error}")
