"""Names of AWS resources made from names of Karman's: injective, readable where they can be, within each limit.

Two different things never share a name. Where a name would need characters that the service does not take, or is too
long, its end is a hash of the whole.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re

MAX_QUEUE_CHARACTERS = 80
MAX_SCHEDULE_CHARACTERS = 64
DEAD_LETTER_SUFFIX = "-dlq"

_DIGEST_CHARACTERS = 20
_SCHEDULE_PART_CHARACTERS = 19
_SCHEDULE_DIGEST_CHARACTERS = 14
_PLAIN_NAMESPACE = re.compile(r"[A-Za-z0-9_-]+")
_PLAIN_RUNTIME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")
_OUTSIDE = re.compile(r"[^A-Za-z0-9]+")


def deployment_prefix(stage: str) -> str:
    """What the names of everything begin with that belongs to a stage; no stage has a hyphen."""
    return f"karman-{stage}"


def schedule_group(prefix: str) -> str:
    """The group of a deployment's cron triggers."""
    return f"{prefix}-cron"


def queue_name(prefix: str, queue: str) -> str:
    """The SQS name of the queue `{namespace}/{runtime}`: `{prefix}-{namespace}-{runtime}`.

    A hyphen in the namespace is doubled, so that the first single one is the separator. Raises ValueError for a queue
    that is not named so.
    """
    namespace, separator, runtime = queue.partition("/")
    if not (namespace and separator and runtime):
        raise ValueError(f"a queue is named namespace/runtime, not {queue!r}")
    name = f"{prefix}-{namespace.replace('-', '--')}-{runtime}"
    longest = MAX_QUEUE_CHARACTERS - len(DEAD_LETTER_SUFFIX)
    if (
        _PLAIN_NAMESPACE.fullmatch(namespace)
        and _PLAIN_RUNTIME.fullmatch(runtime)
        and not runtime.endswith(DEAD_LETTER_SUFFIX)
        and len(name) <= longest
    ):
        return name
    # The underscore after the prefix is where plain names have a hyphen.
    readable = _OUTSIDE.sub("-", queue)[: longest - len(prefix) - _DIGEST_CHARACTERS - 2].strip("-")
    return f"{prefix}_{readable}-{_digest(_DIGEST_CHARACTERS, namespace, runtime)}"


def dead_letter_name(prefix: str, queue: str) -> str:
    """The SQS name of the queue's dead-letter queue."""
    return queue_name(prefix, queue) + DEAD_LETTER_SUFFIX


def schedule_prefix(namespace: str, graph: str | None = None, trigger: str | None = None) -> str:
    """What the names of all schedules of a namespace, a graph or a trigger begin with.

    Others' may begin so too: a hashed part begins like the plain one that it was made of. Look at the schedule itself.
    """
    parts = [part for part in (namespace, graph, trigger) if part is not None]
    return "".join(f"{_schedule_part(part)}." for part in parts)


def schedule_name(namespace: str, graph: str, trigger: str, number: int) -> str:
    """The name of one of the Scheduler schedules that a trigger is made of."""
    return f"{schedule_prefix(namespace, graph, trigger)}{number}"


def parameter_path(prefix: str, scope: str) -> str:
    """The path of a scope's parameters, with a slash at its end."""
    return "/".join(["", prefix, *(escaped(part) for part in scope.split("/")), ""])


def escaped(text: str) -> str:
    """Text in letters, digits, `_`, `-` and `.`: every other character, and the dot, as `.XX` of its bytes in UTF-8."""
    return "".join(
        character
        if character.isascii() and (character.isalnum() or character in "_-")
        else _hexadecimal(character)
        for character in text
    )


def unescaped(text: str) -> str:
    """What `escaped` was given."""
    parts = text.split(".")
    data = parts[0].encode() + b"".join(bytes.fromhex(part[:2]) + part[2:].encode() for part in parts[1:])
    return data.decode()


def _schedule_part(part: str) -> str:
    """A part of a schedule's name. Plain ones hold no dot, hashed ones hold two in a row."""
    if len(part) <= _SCHEDULE_PART_CHARACTERS and _PLAIN_NAMESPACE.fullmatch(part):
        return part
    readable = _OUTSIDE.sub("-", part)[: _SCHEDULE_PART_CHARACTERS - _SCHEDULE_DIGEST_CHARACTERS - 2]
    return f"{readable}..{_digest(_SCHEDULE_DIGEST_CHARACTERS, part)}"


def _hexadecimal(character: str) -> str:
    return "".join(f".{byte:02X}" for byte in character.encode())


def _digest(characters: int, *parts: str) -> str:
    digest = hashlib.sha256(json.dumps(parts).encode()).digest()
    return base64.b32encode(digest).decode("ascii").lower()[:characters]
