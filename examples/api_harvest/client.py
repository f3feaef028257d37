"""Asks an HTTP API for JSON, and tells apart what its refusals mean for whoever asks."""

import json
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

from karman import NonRetryable

TIMEOUT_SECONDS = 2.0
MAX_WAIT_SECONDS = 300.0


class Refused(NonRetryable):
    """The API will give the same answer again: the request is wrong, or not allowed."""


class Throttled(Exception):
    """The API asks to come back later.

    Attributes:
        seconds: when, from now.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(f"throttled for {seconds:g} s")
        self.seconds = seconds


def get_json(url: str) -> Any:  # noqa: ANN401 - the caller validates it
    """What the API answers.

    Raises:
        Throttled: it wants to be asked later (429).
        Refused: it will not answer (other 4xx), or the address is none of HTTP.
        OSError: it failed (5xx) or did not answer in time; worth another attempt.
    """
    if not url.startswith(("http://", "https://")):  # urlopen would read files as well
        raise Refused(f"{url} is no address of an HTTP API")
    try:
        with urlopen(url, timeout=TIMEOUT_SECONDS) as response:  # noqa: S310 - the scheme is checked above
            return json.load(response)
    except HTTPError as error:
        with error:
            if error.code == HTTPStatus.TOO_MANY_REQUESTS:
                raise Throttled(seconds_to_wait(error.headers.get("Retry-After"))) from error
            if error.code < HTTPStatus.INTERNAL_SERVER_ERROR:
                raise Refused(f"{url} was refused: {error.code} {error.reason}") from error
            raise


def seconds_to_wait(retry_after: str | None) -> float:
    """The meaning of Retry-After: seconds, or a date (RFC 9110, section 10.2.3); 1 s if it says nothing useful."""
    try:
        if retry_after is None or retry_after.strip().isdigit():
            seconds = float(retry_after or 1)
        else:
            seconds = (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds()
    except (TypeError, ValueError):
        seconds = 1.0
    # At least a little, for a date that has passed; not for ever, for a server that is wrong.
    return min(max(seconds, 0.1), MAX_WAIT_SECONDS)
