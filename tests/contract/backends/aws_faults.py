"""Faults of AWS, injected through botocore's events: above the network, below everything that Karman wrote.

A throttled or cancelled call is answered before it is sent. Of a batch, entries are taken out of the request and put
into the answer as if the service had left them, so that what is sent again is what the adapter made of the answer.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from typing import Any

from boto3 import Session
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders

Parameters = dict[str, Any]
Answer = dict[str, Any]

ANSWERED = "X-Karman-Answered"
"""The header of a request that was answered here and is not to be carried out."""

_LEFT = "karman_left"
_BATCHES_OF_QUEUE = frozenset({"SendMessageBatch", "DeleteMessageBatch", "ChangeMessageVisibilityBatch"})
_THROTTLING = {
    "dynamodb": "ProvisionedThroughputExceededException",
    "sqs": "RequestThrottled",
}
_SLOW_DOWN = b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Please slow down.</Message></Error>"


class InjectedFaults:
    """What is to go wrong next. Calls come from threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._throttled = 0
        self._conflicts = 0
        self._unprocessed = 0
        self._failed = 0

    def throttle_next(self, calls: int) -> None:
        self._throttled = calls

    def leave_unprocessed(self, entries: int) -> None:
        self._unprocessed = entries

    def fail_batch_entries(self, entries: int) -> None:
        self._failed = entries

    def conflict_next(self, transactions: int) -> None:
        self._conflicts = transactions

    def answer(self, service: str, operation: str, request: Any) -> AWSResponse | None:
        """An answer in place of the service's, or None to ask it."""
        with self._lock:
            if self._throttled:
                self._throttled -= 1
                return _throttled(service, request)
            if operation == "TransactWriteItems" and self._conflicts:
                self._conflicts -= 1
                return _conflict(request)
        return None

    def take(self, operation: str, size: int) -> int:
        """How many entries of a batch of this size to leave out."""
        with self._lock:
            if operation in {"BatchGetItem", "BatchWriteItem"}:
                taken, self._unprocessed = min(self._unprocessed, size), 0
            elif operation in _BATCHES_OF_QUEUE or operation == "PutEvents":
                taken, self._failed = min(self._failed, size), 0
            else:
                taken = 0
        return taken


class _Raw(BytesIO):
    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self.read()


def _respond(request: Any, status: int, headers: Mapping[str, str], body: bytes) -> AWSResponse:
    return AWSResponse(request.url, status, HTTPHeaders.from_dict(dict(headers)), _Raw(body))


def _error(request: Any, code: str, status: int = 400, **more: Any) -> AWSResponse:
    body = json.dumps(
        {"__type": f"com.amazonaws#{code}", "message": "injected", "Message": "injected", **more}
    )
    return _respond(request, status, {"x-amzn-errortype": code}, body.encode())


def _throttled(service: str, request: Any) -> AWSResponse:
    if service == "s3":
        return _respond(request, 503, {"content-type": "application/xml"}, _SLOW_DOWN)
    return _error(request, _THROTTLING.get(service, "ThrottlingException"))


def _conflict(request: Any) -> AWSResponse:
    _first, *others = json.loads(request.body)["TransactItems"]
    reasons = [{"Code": "TransactionConflict", "Message": "Transaction is ongoing for the item"}]
    return _error(
        request,
        "TransactionCanceledException",
        CancellationReasons=[*reasons, *({"Code": "None"} for _ in others)],
    )


# --- batches ----------------------------------------------------------------------------------------------------------


def _without_entries(
    faults: InjectedFaults, operation: str, parameters: Parameters, context: Any
) -> Parameters:
    """The parameters without the entries that are to fail; those go into the context of the call."""
    entries = _entries(operation, parameters)
    taken = faults.take(operation, len(entries))
    if not taken:
        return parameters
    left, kept = entries[:taken], entries[taken:]
    context[_LEFT] = (left, not kept)
    # A request without entries is refused before it comes to `before_call`, so it keeps what will not be sent.
    return _with_entries(operation, parameters, kept or left)


def _entries(operation: str, parameters: Parameters) -> list[Any]:
    if operation not in {"BatchGetItem", "BatchWriteItem"}:
        return list(parameters["Entries"])
    (requests,) = parameters["RequestItems"].values()
    return list(requests["Keys"] if operation == "BatchGetItem" else requests)


def _with_entries(operation: str, parameters: Parameters, entries: list[Any]) -> Parameters:
    if operation not in {"BatchGetItem", "BatchWriteItem"}:
        return {**parameters, "Entries": entries}
    ((table, requests),) = parameters["RequestItems"].items()
    kept = {**requests, "Keys": entries} if operation == "BatchGetItem" else entries
    return {**parameters, "RequestItems": {table: kept}}


def _with_failures(operation: str, left: list[Any], parameters: Parameters, answer: Answer) -> None:
    if operation == "BatchGetItem":
        ((table, requests),) = parameters["RequestItems"].items()
        answer["UnprocessedKeys"] = {table: {**requests, "Keys": left}}
    elif operation == "BatchWriteItem":
        (table,) = parameters["RequestItems"]
        answer["UnprocessedItems"] = {table: left}
    elif operation == "PutEvents":
        failed = [{"ErrorCode": "InternalFailure", "ErrorMessage": "injected"} for _ in left]
        answer["FailedEntryCount"] = len(left)
        answer["Entries"] = failed + answer["Entries"]
    else:
        answer["Failed"] = answer.get("Failed", []) + [
            {"Id": entry["Id"], "Code": "InternalError", "Message": "injected", "SenderFault": False}
            for entry in left
        ]


def _empty(operation: str) -> Answer:
    if operation == "BatchGetItem":
        return {"Responses": {}}
    return {"Entries": []} if operation == "PutEvents" else {}


# --- wiring -----------------------------------------------------------------------------------------------------------


def install(session: Session, current: Callable[[], InjectedFaults | None]) -> None:
    """Let the faults that are current at the time of a call happen to the clients of the session."""

    def operation_of(event_name: str) -> tuple[str, str]:
        _, service, operation = event_name.split(".")
        return service, operation

    def before_parameters(params: Parameters, event_name: str, context: Any, **_: Any) -> Parameters | None:
        faults = current()
        operation = operation_of(event_name)[1]
        if faults is None or not ("RequestItems" in params or "Entries" in params):
            return None
        context["karman_parameters"] = params
        return _without_entries(faults, operation, params, context)

    def before_call(event_name: str, context: Any, **_: Any) -> tuple[Any, Answer] | None:
        if not context.get(_LEFT, ([], False))[1]:
            return None
        # Nothing of the batch is left to be sent.
        answer = {**_empty(operation_of(event_name)[1]), "ResponseMetadata": {"HTTPStatusCode": 200}}
        return AWSResponse("", 200, HTTPHeaders(), _Raw(b"")), answer

    def after_call(event_name: str, parsed: Answer, context: Any, **_: Any) -> None:
        if _LEFT in context and "Error" not in parsed:
            left, _all = context.pop(_LEFT)
            _with_failures(operation_of(event_name)[1], left, context["karman_parameters"], parsed)

    def before_send(request: Any, event_name: str, **_: Any) -> AWSResponse | None:
        faults = current()
        answer = None if faults is None else faults.answer(*operation_of(event_name), request)
        if answer is not None:
            request.headers[ANSWERED] = "yes"
        return answer

    hooks: Any = session.events  # typed as if no hook returned anything
    hooks.register("provide-client-params.*.*", before_parameters)
    hooks.register("before-call.*.*", before_call)
    hooks.register("after-call.*.*", after_call)
    hooks.register_first("before-send.*.*", before_send)
