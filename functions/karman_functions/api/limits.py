"""What one client may take: sizes, and a rate by key."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass

from karman_core.domain.errors import RateLimited
from karman_core.ports.system import Clock

MAX_PAGE = 1_000
MAX_TAG_FILTERS = 10
MAX_WAIT_SECONDS = 20
MAX_LEASE_SECONDS = 3_600
MAX_NODES = 200
MAX_WORK = 10
MAX_DELAY_MS = 366 * 86_400_000
"""Runs end within a year; nothing waits for longer."""

_TRACKED = 10_000


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one process. A fleet of Lambda instances takes as many times the rates as there are instances.

    Attributes:
        body_bytes: of a request. Lambda takes events of 6 MB, in which a body may be in base64, a third larger.
        requests_per_second, burst: of one key; a rate of None means no limit.
        failures_per_second, failure_burst: of one address, of requests whose key is not known; None as above.
        compress_bytes: answers from this size on are compressed for clients that take gzip; smaller ones fit a packet.
        answer_bytes: of an answer's body as it is sent, a text in JSON; None for no limit. What is larger is refused.
    """

    body_bytes: int = 4_194_304
    requests_per_second: float | None = 100.0
    burst: int = 200
    failures_per_second: float | None = 5.0
    failure_burst: int = 100
    compress_bytes: int = 1_400
    answer_bytes: int | None = None


class _Bucket:
    __slots__ = ("at_ms", "tokens")

    def __init__(self, tokens: float, at_ms: int) -> None:
        self.tokens = tokens
        self.at_ms = at_ms


class Limiter:
    """Token buckets, by key and by address. The least recently used is forgotten when there are too many."""

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self._limits = limits
        self._clock = clock
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, key: str) -> None:
        """One request of a key. Raises RateLimited."""
        limits = self._limits
        self._take(f"key:{key}", limits.requests_per_second, limits.burst, spend=True)

    def check_failures(self, source: str) -> None:
        """Before a key is looked at. Raises RateLimited when too many of this address were wrong."""
        limits = self._limits
        self._take(f"source:{source}", limits.failures_per_second, limits.failure_burst, spend=False)

    def note_failure(self, source: str) -> None:
        """A key of this address was not known."""
        limits = self._limits
        self._take(f"source:{source}", limits.failures_per_second, limits.failure_burst, spend=True)

    def _take(self, name: str, rate: float | None, burst: int, *, spend: bool) -> None:
        if rate is None:
            return
        now = self._clock.now_ms()
        bucket = self._buckets.pop(name, None) or _Bucket(burst, now)
        self._buckets[name] = bucket
        if len(self._buckets) > _TRACKED:
            self._buckets.popitem(last=False)
        bucket.tokens = min(burst, bucket.tokens + max(0, now - bucket.at_ms) / 1000 * rate)
        bucket.at_ms = now
        if bucket.tokens < 1:
            wait = math.ceil((1 - bucket.tokens) / rate * 1000) / 1000
            raise RateLimited("Too many requests; wait and send the request again.", wait)
        bucket.tokens -= int(spend)
