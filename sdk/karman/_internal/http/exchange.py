"""Making requests of calls: what does not depend on how they are sent."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from urllib.parse import quote, urlencode

import httpx

from karman._internal.http.calls import Call, T
from karman._internal.http.configuration import Configuration
from karman._internal.http.failures import Attempts, Backoff
from karman.errors import InvalidInput, StillRunning
from karman_core.backends.system import SystemEntropy
from karman_core.engine.views import RunView
from karman_core.ports.system import Entropy

DEFAULT_TIMEOUT_SECONDS = 30.0
LONGEST_WAIT_SECONDS = 20.0
"""Of a long poll, as the server has it."""

PROGRESS_SECONDS = 1.0
"""How often somebody who wants to see progress asks."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """What all requests of a client have in common."""

    configuration: Configuration
    timeout_seconds: float
    backoff: Backoff
    entropy: Entropy = field(default_factory=SystemEntropy)

    def request(self, call: Call[T]) -> httpx.Request:
        """The request that a call stands for. Raises InvalidInput for what is no JSON."""
        headers = {"accept": "application/json", "user-agent": _user_agent(), **call.headers}
        for name, value in call.headers.items():
            if not (value.isascii() and value.isprintable()):
                raise InvalidInput(f"The header {name} takes printable ASCII alone.")
        content: bytes | None = None
        if call.body is not None:
            content = _encoded(call)
            headers["content-type"] = "application/json"
        timeout = httpx.Timeout(self.timeout_seconds, read=self.timeout_seconds + call.wait_seconds)
        return httpx.Request(
            call.method,
            self.configuration.url + call.path + _query(call),
            headers=headers,
            content=content,
            extensions={"timeout": timeout.as_dict()},
        )

    def attempts(self, call: Call[T]) -> Attempts:
        """The tries of a call."""
        return Attempts(self.backoff, self.entropy, idempotent=call.idempotent)


class Watch:
    """Waiting for the end of a run: how long to ask next, and who is told of progress.

    The server answers a long poll when the run has ended; whoever wants to see progress asks more often.
    """

    def __init__(
        self, timeout_seconds: float | None, on_progress: Callable[[RunView], object] | None, now: float
    ) -> None:
        self._until = None if timeout_seconds is None else now + timeout_seconds
        self._timeout_seconds = timeout_seconds
        self._on_progress = on_progress
        self._seen: RunView | None = None
        self._ask_seconds = LONGEST_WAIT_SECONDS if on_progress is None else PROGRESS_SECONDS

    def seconds(self, now: float) -> float:
        """For the next poll; the first one, for progress, is answered at once."""
        if self._seen is None and self._on_progress is not None:
            return 0.0
        if self._until is None:
            return self._ask_seconds
        return round(max(0.0, min(self._ask_seconds, self._until - now)), 3)

    def ended(self, run: RunView, now: float) -> bool:
        """Take what a poll gave. Raises StillRunning when the time is over."""
        if self._on_progress is not None and run != self._seen:
            self._on_progress(run)
        self._seen = run
        if run.ended:
            return True
        if self._until is not None and now >= self._until:
            raise StillRunning(
                f"Run '{run.run_id}' is {run.status} after {self._timeout_seconds:g} s; it goes on.", run
            )
        return False


def _query(call: Call[T]) -> str:
    """Encoded as signatures want it: httpx would write a blank as a plus."""
    given = {name: value for name, value in call.query.items() if value is not None}
    return f"?{urlencode(given, doseq=True, quote_via=quote, safe='')}" if given else ""


@cache
def _user_agent() -> str:
    try:
        return f"karman/{version('karman')} httpx/{httpx.__version__}"
    except PackageNotFoundError:  # the sources without their installation
        return f"karman/0 httpx/{httpx.__version__}"


def _encoded(call: Call[T]) -> bytes:
    try:
        return json.dumps(call.body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        # The error of the encoder names a type or a place, not a value.
        raise InvalidInput(f"The request cannot be written as JSON: {type(error).__name__}.") from None
