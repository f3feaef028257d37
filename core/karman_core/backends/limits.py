"""What the ports of queues, timers and blobs accept, on every backend the same: the narrowest of what services take."""

from __future__ import annotations

import re
from collections.abc import Iterable

from karman_core.domain.errors import ItemTooLarge
from karman_core.ports.queue import MAX_DELAY_SECONDS, MAX_MESSAGE_BYTES, Outgoing

MAX_RECEIVE = 10
MAX_WAIT_SECONDS = 20.0
MAX_LEASE_SECONDS = 43_200
"""SQS: twelve hours."""

MAX_BLOB_NAME = 512

_REFUSED_BY_SQS = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""SQS takes only what XML 1.0 can write."""

_TIMER_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_BLOB_NAME = re.compile(r"[A-Za-z0-9_.=-]+(/[A-Za-z0-9_.=-]+)*")
_BLOB_PREFIX = re.compile(r"[A-Za-z0-9_.=/-]+")
_DOTS = frozenset({".", ".."})
"""Parts of a path that URLs and file systems resolve."""


def check_messages(messages: Iterable[Outgoing]) -> None:
    """Raise ValueError or ItemTooLarge for a message that a queue does not take."""
    for message in messages:
        if not message.body or _REFUSED_BY_SQS.search(message.body):
            raise ValueError(
                "a message is not empty and has no control characters; write it as JSON in ASCII"
            )
        size = len(message.body) if message.body.isascii() else len(message.body.encode())
        if size > MAX_MESSAGE_BYTES:
            raise ItemTooLarge(f"a message of {size} bytes; a queue takes {MAX_MESSAGE_BYTES}")
        if not 0 <= message.delay_seconds <= MAX_DELAY_SECONDS:
            raise ValueError(f"a message can be delayed by 0 to {MAX_DELAY_SECONDS} seconds; use a timer")


def check_receive(limit: int, wait_seconds: float) -> None:
    """Raise ValueError for a receive that no service takes."""
    if not (1 <= limit <= MAX_RECEIVE and 0 <= wait_seconds <= MAX_WAIT_SECONDS):
        raise ValueError(
            f"receive takes a limit of 1 to {MAX_RECEIVE} and waits 0 to {MAX_WAIT_SECONDS} seconds"
        )


def check_lease(lease_seconds: int) -> None:
    """Raise ValueError for a lease that no service takes."""
    if not 0 <= lease_seconds <= MAX_LEASE_SECONDS:
        raise ValueError(f"a lease lasts 0 to {MAX_LEASE_SECONDS} seconds")


def check_timer_name(name: str) -> None:
    """Raise ValueError for a name that no timer can have."""
    if not _TIMER_NAME.fullmatch(name):
        raise ValueError(f"a timer's name has 1 to 64 characters of [A-Za-z0-9_.-]: {name!r}")


def check_blob_name(name: str) -> None:
    """Raise ValueError for a name that no blob can have."""
    if len(name) > MAX_BLOB_NAME or not _BLOB_NAME.fullmatch(name) or _DOTS.intersection(name.split("/")):
        raise ValueError(
            f"a blob's name has at most {MAX_BLOB_NAME} characters, in parts of [A-Za-z0-9_.=-] between slashes,"
            f" none of them `.` or `..`: {name!r}"
        )


def check_blob_prefix(prefix: str) -> None:
    """Raise ValueError for a prefix of blobs that is empty, so means all, or that no blob can have."""
    if not _BLOB_PREFIX.fullmatch(prefix):
        raise ValueError(f"a prefix has at least one character of [A-Za-z0-9_.=/-]: {prefix!r}")
