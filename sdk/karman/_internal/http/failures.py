"""What can go wrong between client and server, as Karman's errors, and when to try again.

The server's answers say which error it was (`code`), and the same class is made again here. Answers that are none of
Karman's, such as a proxy's, are told apart by their status.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from typing import Any

import httpx
from pydantic import ValidationError

from karman import errors
from karman._internal.http.calls import Call, T
from karman.errors import (
    ConditionFailed,
    Conflict,
    Forbidden,
    InvalidRequest,
    KarmanError,
    NodeFailure,
    NotFound,
    PayloadTooLarge,
    Problem,
    QuotaExceeded,
    RateLimited,
    StillRunning,
    TransactionFailed,
    Unauthorized,
    Unavailable,
    UnexpectedAnswer,
)
from karman_core.ports.system import Entropy

_AGAIN = frozenset({429, 500, 502, 503, 504})
_BY_STATUS: dict[int, type[KarmanError]] = {
    400: InvalidRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    405: InvalidRequest,
    409: Conflict,
    413: PayloadTooLarge,
    415: InvalidRequest,
    422: InvalidRequest,
    429: RateLimited,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}
_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Failed:
    """A request that failed.

    Attributes:
        again: another try may help.
        undone: the server did nothing, so that even what is not idempotent may be sent again.
        retry_after_seconds: what the server asked for.
    """

    error: KarmanError
    again: bool
    undone: bool = False
    retry_after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Backoff:
    """How often and when failed requests are sent again: pauses double, and are drawn at random below that.

    Attributes:
        retries: of one request; 0 for none.
        first_seconds: at most so long is the first pause.
        longest_seconds: at most so long is any.
        patience_seconds: a server that asks for more (`Retry-After`) is not waited for.
    """

    retries: int = 4
    first_seconds: float = 0.25
    longest_seconds: float = 10.0
    patience_seconds: float = 60.0

    def pause(self, failures: int, drawn: float) -> float:
        """Seconds after so many failures in a row, from 1; `drawn` is a number in [0, 1)."""
        return drawn * min(self.longest_seconds, self.first_seconds * 2.0 ** min(failures - 1, 60))


class Attempts:
    """The tries of one request."""

    def __init__(self, backoff: Backoff, entropy: Entropy, *, idempotent: bool) -> None:
        self._backoff = backoff
        self._entropy = entropy
        self._idempotent = idempotent
        self._failures = 0

    def pause_after(self, failed: Failed) -> float:
        """Seconds until the next try. Raises the error when there is none."""
        self._failures += 1
        asked = failed.retry_after_seconds or 0.0
        hopeless = not failed.again or self._failures > self._backoff.retries
        if hopeless or asked > self._backoff.patience_seconds or not (self._idempotent or failed.undone):
            raise failed.error
        return asked + self._backoff.pause(self._failures, self._entropy.uniform())


def unreachable(error: httpx.RequestError) -> Failed:
    """No answer came."""
    unsent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
    where = error.request.url.copy_with(path="/", query=None, userinfo=b"")
    told = Unavailable(f"No answer from {where}: {type(error).__name__}: {error}.")
    told.__cause__ = error
    return Failed(told, again=isinstance(error, httpx.TransportError), undone=unsent)


def refused(response: httpx.Response) -> Failed:
    """An answer that says no; its body has been read."""
    status = response.status_code
    wait = _retry_after(response)
    problem = _problem(response)
    code = str(problem.get("code", ""))
    kind = _by_code().get(code) or _by_status(status)
    message = str(problem.get("detail") or problem.get("message") or _described(response))
    error = _made(kind, message, problem.get("problems"), wait)
    # What this version has no class for keeps its code and status all the same.
    vars(error).update({"code": code or error.code, "status": status})
    request_id = problem.get("request_id") or response.headers.get("x-request-id")
    if request_id:
        error.add_note(f"request id: {request_id}")
    # What a quota refuses is the caller's to know; whether time helps, and how much, the error says.
    helps = status in _AGAIN and not isinstance(error, QuotaExceeded)
    return Failed(error, helps, undone=status == HTTPStatus.TOO_MANY_REQUESTS, retry_after_seconds=wait)


def result_of(call: Call[T], response: httpx.Response) -> T:
    """What the answer says. Raises UnexpectedAnswer for what is none of Karman's."""
    try:
        return call.read(response.json() if response.content else None)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        # Not `from error`: pydantic's shows what came, which may be a secret.
        raise UnexpectedAnswer(
            f"The answer to {call.method} {call.path} is not as Karman's API has it ({_described(response)}; "
            f"{_unread(error)}); is the URL that of a Karman server, of a version that this client knows?"
        ) from None


def _made(kind: type[KarmanError], message: str, problems: object, wait: float | None) -> KarmanError:
    if issubclass(kind, InvalidRequest):
        return kind(message, _problems(problems))
    if issubclass(kind, RateLimited):
        return kind(message, 1.0 if wait is None else wait)
    if issubclass(kind, QuotaExceeded):
        return kind(message, wait)
    if issubclass(kind, ConditionFailed):
        return kind(message, None)
    if issubclass(kind, TransactionFailed):
        return kind(message, (), ())
    if issubclass(kind, NodeFailure):
        return kind(kind.code, message)
    return kind(message)


def _problem(response: httpx.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _problems(given: object) -> list[Problem]:
    found = [each for each in given if isinstance(each, dict)] if isinstance(given, list) else []
    return [Problem(*(str(each.get(name, "")) for name in ("path", "code", "message"))) for each in found]


def _retry_after(response: httpx.Response) -> float | None:
    try:
        seconds = float(response.headers.get("retry-after", ""))
    except ValueError:
        return None  # a date: Karman sends none
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _by_status(status: int) -> type[KarmanError]:
    if status in _BY_STATUS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _BY_STATUS.get(status, KarmanError)
    return UnexpectedAnswer


@cache
def _by_code() -> dict[str, type[KarmanError]]:
    found = [vars(errors)[name] for name in errors.__all__]
    return {
        cls.code: cls
        for cls in found
        if issubclass(cls, KarmanError) and "code" in vars(cls) and cls is not StillRunning
    }


def _unread(error: Exception) -> str:
    """What was wrong, without what came."""
    if not isinstance(error, ValidationError):
        return type(error).__name__
    return ", ".join(f"{'.'.join(map(str, each['loc']))}: {each['type']}" for each in error.errors()[:5])


def _described(response: httpx.Response) -> str:
    """The answer in one line, without its body, which may hold anything."""
    kind = response.headers.get("content-type", "no content type")
    return f"HTTP {response.status_code} {response.reason_phrase}, {kind[:_SHOWN]}"
