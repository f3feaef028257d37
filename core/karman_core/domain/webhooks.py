"""Webhooks as values: where they may go, how they are signed, and when a delivery is tried again.

Signatures are those of Standard Webhooks 1.0.0 (https://www.standardwebhooks.com), symmetric: HMAC-SHA256 over the id,
the time of the attempt and the body. Receivers verify them with a library of that name in their language, or with
`karman.webhooks`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from karman_core.domain.errors import InvalidRequest, Problem
from karman_core.domain.events import EventKind

SECRET_PREFIX: Final = "whsec_"  # noqa: S105  what all begin with
ID_HEADER: Final = "webhook-id"
TIMESTAMP_HEADER: Final = "webhook-timestamp"
SIGNATURE_HEADER: Final = "webhook-signature"
TOLERANCE_SECONDS: Final = 300
"""How far a timestamp may be from the receiver's clock: older ones may be replayed."""

MAX_URL_CHARACTERS: Final = 2_048
TEST_KIND: Final = "webhook.test"
"""Of the event that only tries a webhook out."""

DELAYS_MS: Final = (5_000, 60_000, 300_000, 1_800_000, 7_200_000, 21_600_000, 86_400_000)
"""Before the second attempt, the third, and so on; each up to a fifth longer. A day and a half in all."""

MAX_ATTEMPTS: Final = len(DELAYS_MS) + 1
_JITTER: Final = 0.2
_VERSION: Final = "v1"
_OK: Final = range(200, 300)
_GONE: Final = 410
_PORTS: Final = {"https": 443, "http": 80}

URL_PATTERN: Final = (
    r"^(https?)://([A-Za-z0-9][A-Za-z0-9._-]{0,252}|\[[0-9A-Fa-f:.]{2,45}\])"
    r"(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?"
    r"([/?][!$-;=?-Z\[\]_a-z~%]*)?$"
)
"""Stricter than any parser, so that no two parsers read one URL differently. Groups: scheme, host, (port), path."""

_URL: Final = re.compile(URL_PATTERN.removesuffix("$"))


class DeliveryStatus(StrEnum):
    """How a delivery stands. PENDING goes on; FAILED has used all attempts; DROPPED: its webhook is gone or off."""

    PENDING = "PENDING"
    DELIVERED = "DELIVERED"
    FAILED = "FAILED"
    DROPPED = "DROPPED"


@dataclass(frozen=True, slots=True)
class Target:
    """Where a webhook's requests go.

    Attributes:
        host: a name, or an address as it stands between brackets.
        path: with the query, at least `/`.
    """

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """The `Host` header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a request.

    Attributes:
        status: of HTTP; None when there was no answer.
        error: why not, without anything that the receiver said.
        retry_after_seconds: when the receiver wants to be asked again.
    """

    status: int | None = None
    error: str | None = None
    retry_after_seconds: int | None = None

    @property
    def delivered(self) -> bool:
        """Whether the receiver has it."""
        return self.status is not None and self.status in _OK

    @property
    def gone(self) -> bool:
        """Whether the receiver wants no more of this webhook."""
        return self.status == _GONE

    @property
    def problem(self) -> str | None:
        """Why the receiver does not have it."""
        if self.delivered:
            return None
        return self.error or f"The receiver answered with status {self.status}."


def parse_url(url: str) -> Target:
    """Where a URL leads, as far as it says so itself.

    Raises:
        InvalidRequest: it is none that a webhook can have.
    """
    found = _URL.fullmatch(url) if len(url) <= MAX_URL_CHARACTERS else None
    if found is None:
        message = (
            "A webhook's URL is https://HOST[:PORT]/PATH, of ASCII alone (hosts in Punycode), without user name, "
            f"password and fragment, and has at most {MAX_URL_CHARACTERS} characters."
        )
        raise InvalidRequest(message, [Problem("url", "invalid_url", message)])
    scheme, host, _, port, path = found.groups()
    path = path or "/"
    return Target(
        scheme, host.strip("[]"), int(port or _PORTS[scheme]), path if path[0] == "/" else f"/{path}"
    )


def new_secret(first: str, second: str) -> str:
    """A secret of two tokens of chance (52 bytes with 260 random bits; the standard asks for 24 to 64 bytes)."""
    return SECRET_PREFIX + base64.b64encode(f"{first}{second}".encode()).decode()


def payload(kind: str, at_ms: int, detail: Mapping[str, Any]) -> bytes:
    """The body of every attempt: `type`, `timestamp` (of the event) and `data`."""
    at = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    body = {"type": kind, "timestamp": at, "data": dict(detail)}
    return json.dumps(body, separators=(",", ":"), allow_nan=False).encode()


def headers(secrets: Sequence[str], event_id: str, at_seconds: int, body: bytes) -> dict[str, str]:
    """The headers of an attempt, signed with each secret: after a rotation the one before counts for a while."""
    signatures = [sign(secret, event_id, str(at_seconds), body) for secret in secrets]
    return {
        ID_HEADER: event_id,
        TIMESTAMP_HEADER: str(at_seconds),
        SIGNATURE_HEADER: " ".join(signatures),
    }


def sign(secret: str, event_id: str, timestamp: str, body: bytes) -> str:
    """One signature. Raises InvalidRequest for a secret that is none."""
    signed = b".".join([event_id.encode(errors="replace"), timestamp.encode(), body])
    digest = hmac.new(_key(secret), signed, hashlib.sha256).digest()
    return f"{_VERSION},{base64.b64encode(digest).decode()}"


def mismatch(
    secrets: Sequence[str],
    given: Mapping[str, str],
    body: bytes,
    now_seconds: float,
    tolerance_seconds: float = TOLERANCE_SECONDS,
) -> str | None:
    """Why a request is not to be believed; None when one of its signatures is of one of the secrets.

    Args:
        given: the request's headers, by names in whatever case.
        body: as it came, byte for byte.
    """
    found = {name.lower(): value for name, value in given.items()}
    event_id, timestamp, signatures = (
        found.get(name) for name in (ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER)
    )
    if not event_id or not timestamp or not signatures:
        return f"The headers {ID_HEADER}, {TIMESTAMP_HEADER} and {SIGNATURE_HEADER} are not all there."
    if not re.fullmatch(r"[0-9]{1,12}", timestamp):
        return f"The header {TIMESTAMP_HEADER} is no time."
    if abs(now_seconds - int(timestamp)) > tolerance_seconds:
        return "The request is too old, or from the future: compare the clocks."
    expected = [sign(secret, event_id, timestamp, body).encode() for secret in secrets]
    offered = [each.encode(errors="replace") for each in signatures.split(" ")]
    # Each with each, so that how long it takes says nothing.
    matches = [hmac.compare_digest(one, other) for one in expected for other in offered]
    return None if any(matches) else "No signature of the request is of this webhook's secret."


def retry_delay_ms(attempts: int, uniform: float, retry_after_seconds: int | None = None) -> int | None:
    """How long to wait after so many attempts in vain; None when that was the last.

    Args:
        uniform: drawn from [0, 1).
        retry_after_seconds: as the receiver asked, which may make it later, by a day at most.
    """
    if attempts >= MAX_ATTEMPTS:
        return None
    usual = int(DELAYS_MS[attempts - 1] * (1 + _JITTER * uniform))
    return max(usual, min((retry_after_seconds or 0) * 1000, DELAYS_MS[-1]))


def wants(kinds: Sequence[str], graphs: Sequence[str], kind: str, graph: str) -> bool:
    """Whether a webhook for these kinds, and these graphs (all if none is named), takes an event."""
    return kind in kinds and (not graphs or graph in graphs)


def kinds_of(given: Sequence[str]) -> tuple[EventKind, ...]:
    """Kinds by their names, in their own order. Raises InvalidRequest."""
    known = {kind.value for kind in EventKind}
    unknown = sorted(set(given) - known)
    if unknown:
        names = ", ".join(known_kind.value for known_kind in EventKind)
        raise InvalidRequest(f"There are no events {', '.join(unknown)}; there are {names}.")
    return tuple(kind for kind in EventKind if kind.value in given)


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key:
        raise InvalidRequest(f"A webhook's secret is '{SECRET_PREFIX}' and base64.")
    return key
