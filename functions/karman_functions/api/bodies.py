"""Bodies of requests: bounded, UTF-8, strictly JSON, an object."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from karman_core.domain.definition import JSON
from karman_core.domain.errors import InvalidGraph, InvalidRequest, PayloadTooLarge, Problem
from karman_core.domain.parsing import load_text
from karman_functions.api.errors import MalformedRequest


def with_text_body(event: Mapping[str, Any], limit: int) -> dict[str, Any]:
    """The event with its body as text, or without one, and then without what its headers say of one.

    Raises:
        PayloadTooLarge: more bytes than the limit.
        MalformedRequest: not base64 although the event says so, or not UTF-8.
    """
    body = event.get("body") or ""
    encoded = bool(event.get("isBase64Encoded"))
    _check_size(len(body) * 3 // 4 - 2 if encoded else len(body), limit)
    try:
        data = base64.b64decode(body, validate=True) if encoded else body.encode()
        text = data.decode()
    except (binascii.Error, UnicodeError) as error:
        raise MalformedRequest("The body is not text in UTF-8.") from error
    _check_size(len(data), limit)
    return {**_bare(event, text), "body": text or None, "isBase64Encoded": False}


def parse_json(text: str) -> dict[str, JSON]:
    """The object in a body.

    Raises:
        MalformedRequest: not JSON, a key twice, or nested too deep.
        InvalidRequest: JSON, but no object, or with what cannot be stored.
    """
    try:
        value = load_text(text, "json")
    except InvalidGraph as error:
        malformed = any(problem.code in _SYNTAX for problem in error.problems)
        kind = MalformedRequest if malformed else InvalidRequest
        raise kind("The body is not JSON within the limits.", error.problems) from None
    if not isinstance(value, dict):
        raise InvalidRequest(
            "The request is not valid.", [Problem("", "wrong_type", "The body must be an object.")]
        )
    return value


def _bare(event: Mapping[str, Any], text: str) -> Mapping[str, Any]:
    """Some clients name a type where there is no body; Powertools would look for parts in it."""
    headers = event.get("headers") or {}
    if text or not any(name.lower() == "content-type" for name in headers):
        return event
    return {
        **event,
        "headers": {name: value for name, value in headers.items() if name.lower() != "content-type"},
    }


_SYNTAX = frozenset({"invalid_syntax", "duplicate_key"})


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise PayloadTooLarge(f"The body has more than {limit:,} bytes.")
