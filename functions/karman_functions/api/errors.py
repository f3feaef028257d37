"""What HTTP alone can get wrong, and the one map from errors to answers (RFC 9457, `application/problem+json`).

InvalidRequest
├── MalformedRequest      400  no JSON, no UTF-8
├── MethodNotAllowed      405  the route exists, this method of it does not
└── UnsupportedMediaType  415  a body that does not say it is JSON
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.exceptions import (
    RequestUnsupportedContentType,
    RequestValidationError,
)

from karman_core.domain.errors import (
    InvalidRequest,
    KarmanError,
    NewerLayout,
    NotFound,
    Problem,
    QuotaExceeded,
    RateLimited,
)
from karman_core.domain.json_values import MAX_PROBLEMS
from karman_core.domain.paths import place
from karman_core.domain.shape_problems import shape_problem
from karman_core.engine.payloads import dumps
from karman_functions.api.context import exchange

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

PROBLEM = "application/problem+json"

logger = logging.getLogger("karman.api")


class MalformedRequest(InvalidRequest):
    """The request is not what HTTP and JSON say it must be."""

    code = "malformed_request"
    status = 400


class MethodNotAllowed(InvalidRequest):
    """The route exists, but not with this method."""

    code = "method_not_allowed"
    status = 405

    def __init__(self, message: str, allowed: Sequence[str]) -> None:
        super().__init__(message)
        self.allowed = tuple(allowed)


class UnsupportedMediaType(InvalidRequest):
    """A body that is not JSON."""

    code = "unsupported_media_type"
    status = 415


def answer(error: Exception) -> Response[str]:
    """The answer to a request that failed."""
    known = translated(error)
    if known.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        level = logging.WARNING if known.retryable else logging.ERROR
        fields = {"request_id": exchange.get().request_id, "code": known.code, "error": str(error)}
        # What passes by itself says all in its message; during an outage tracebacks would bury it.
        logger.log(level, "request failed", extra=fields, exc_info=None if known.retryable else error)
    return described(known)


def described(known: KarmanError) -> Response[str]:
    """The answer that an error stands for; nothing is logged.

    What is wrong may be a text that has no encoding, and the problem names it.
    """
    return Response(
        status_code=known.status,
        content_type=PROBLEM,
        body=dumps(problem(known, exchange.get().request_id)),
        headers=_headers(known),
    )


def translated(error: Exception) -> KarmanError:
    """One of Karman's errors for any that was raised."""
    if isinstance(error, KarmanError):
        return error
    if isinstance(error, RequestUnsupportedContentType):
        return UnsupportedMediaType("The body's content type is not application/json.")
    if isinstance(error, RequestValidationError):
        details: list[ErrorDetails] = list(error.errors())[:MAX_PROBLEMS]
        where = {detail["loc"][0] for detail in details if detail["loc"]}
        if where <= {"path"}:
            return NotFound("There is no such thing: its id or name is none that Karman gives.")
        if where != {"response"}:
            return InvalidRequest("The request is not valid.", [_problem(detail) for detail in details])
    return KarmanError("Something went wrong here; the request id helps to find out what.")


def problem(error: KarmanError, request_id: str) -> dict[str, Any]:
    """The body of the answer. Of what went wrong inside, nothing is told."""
    problems = error.problems if isinstance(error, InvalidRequest) else ()
    inside = error.status >= HTTPStatus.INTERNAL_SERVER_ERROR and not isinstance(error, NewerLayout)
    return {
        "type": "about:blank",
        "title": HTTPStatus(error.status).phrase,
        "status": error.status,
        "detail": _inside(error) if inside else error.message,
        "code": error.code,
        "request_id": request_id,
        "problems": [{"path": each.path, "code": each.code, "message": each.message} for each in problems],
    }


def _inside(error: KarmanError) -> str:
    if error.retryable:
        return "A service that Karman needs did not answer; send the request again."
    return "Something went wrong here; the request id helps to find out what."


def _headers(error: KarmanError) -> dict[str, str | list[str]]:
    wait = error.retry_after_seconds if isinstance(error, RateLimited | QuotaExceeded) else None
    if wait is not None:
        return {"retry-after": str(max(1, math.ceil(wait)))}
    if isinstance(error, MethodNotAllowed):
        return {"allow": ", ".join(error.allowed)}
    if error.status == HTTPStatus.UNAUTHORIZED:
        return {"www-authenticate": 'ApiKey header="x-api-key"'}
    if error.status == HTTPStatus.SERVICE_UNAVAILABLE:
        return {"retry-after": "1"}
    return {}


def _problem(detail: ErrorDetails) -> Problem:
    where, *inside = detail["loc"]
    loc = tuple(inside) if where == "body" else tuple(detail["loc"])
    if detail["type"] == "missing":
        message = f"The field '{loc[-1]}' is required." if loc else "The request needs a body."
        return Problem(place(loc), "missing_field", message)
    if detail["type"] == "extra_forbidden":
        return Problem(place(loc), "unknown_field", f"There is no field '{place(loc[-1:])}' here.")
    shaped = shape_problem(detail)
    return Problem(place(loc), shaped.code, shaped.message)
