"""For receivers of webhooks: whether a request is Karman's, and what it says.

    event = karman.webhooks.verify(body, headers, secret)
    if event.type == "run.failed":
        print(event.run.graph, event.run.run_id)

Signatures are those of Standard Webhooks (https://www.standardwebhooks.com), so the libraries of that name in other
languages verify them too. `event.id` is the same each time an event comes, and it may come more than once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from karman._internal.durations import Duration, to_seconds
from karman.errors import InvalidSignature
from karman_core.backends.system import SystemClock
from karman_core.domain.errors import InvalidInput
from karman_core.domain.events import EventKind, EventTotals, RunEvent
from karman_core.domain.webhooks import ID_HEADER, TOLERANCE_SECONDS, mismatch
from karman_core.ports.system import Clock

__all__ = ["Event", "EventKind", "EventTotals", "RunEvent", "verify"]


@dataclass(frozen=True, slots=True)
class Event:
    """What a request tells.

    Attributes:
        id: of the event, the same for each request that tells of it: take each id once.
        type: its kind, such as `run.failed`; `webhook.test` of one that only tries the webhook out.
        timestamp: when it happened.
        data: all that it says; of events of runs, `run` is the same, typed.
    """

    id: str
    type: str
    timestamp: datetime
    data: Mapping[str, Any]

    @property
    def run(self) -> RunEvent:
        """What happened to which run. Raises InvalidInput for an event that is about none."""
        try:
            return RunEvent.model_validate(self.data)
        except ValidationError as error:
            raise InvalidInput(f"An event '{self.type}' is about no run.") from error


class _Payload(BaseModel):
    model_config = ConfigDict(extra="ignore")

    type: str
    timestamp: AwareDatetime
    data: dict[str, Any]


def verify(
    body: bytes | str,
    headers: Mapping[str, str],
    secret: str | Sequence[str],
    *,
    tolerance: Duration = TOLERANCE_SECONDS,
    clock: Clock | None = None,
) -> Event:
    """The event of a request, if the request is to be believed. Compares in constant time.

    Args:
        body: of the request as it came, not parsed and written again.
        headers: of the request, names in any case.
        secret: `whsec_...`, as the webhook was made with it; several while it is changed.
        tolerance: how far the request's time may be from this machine's, a timedelta or seconds.
        clock: instead of the system's.

    Raises:
        InvalidSignature: the request is to be answered with 401 and forgotten.
    """
    data = body.encode() if isinstance(body, str) else body
    secrets = [secret] if isinstance(secret, str) else list(secret)
    now = (clock or SystemClock()).now_ms() / 1000
    problem = mismatch(secrets, headers, data, now, to_seconds(tolerance, "The tolerance"))
    if problem is not None:
        raise InvalidSignature(problem)
    try:
        found = _Payload.model_validate_json(data)
    except ValidationError as error:
        raise InvalidSignature("The request is signed, but is no event of Karman's.") from error
    event_id = next(value for name, value in headers.items() if name.lower() == ID_HEADER)
    return Event(event_id, found.type, found.timestamp, found.data)
