"""How what went wrong in a node becomes an Errored outcome: bounded, without Karman's frames and without secrets."""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from pathlib import Path

import pydantic
from pydantic import ValidationError

from karman._internal.outcomes import Cancelled
from karman.errors import NodeFailure, NonRetryable
from karman_core.domain.outcome import Errored
from karman_core.domain.paths import spell
from karman_core.domain.redaction import redacted

MAX_MESSAGE_CHARACTERS = 2_000
MAX_TRACEBACK_BYTES = 4_096

_FOREIGN_FRAMES = (str(Path(__file__).parent), str(Path(pydantic.__file__).parent))
"""Frames that say nothing to who wrote the node."""

_MAX_FIELDS = 20


def errored(
    error: BaseException, secrets: Iterable[str], non_retryable: tuple[type[BaseException], ...] = ()
) -> Errored:
    """The outcome for whatever a node raised.

    Args:
        error: what was raised.
        secrets: values that must not appear in the outcome.
        non_retryable: classes that are never tried again, beside NonRetryable.
    """
    if isinstance(error, Cancelled):
        return Errored("cancelled", "The node stopped because its execution was cancelled.", retry=False)
    bases: tuple[str, ...]
    if isinstance(error, NodeFailure):
        kind, retry, bases = error.kind, error.retry, ()
    else:
        kind, retry = type(error).__name__, not isinstance(error, (NonRetryable, *non_retryable))
        bases = tuple(base.__name__ for base in type(error).__mro__[1:-1])
    values = tuple(secrets)
    return Errored(
        kind=kind,
        message=_shorten(redacted(_text_of(error), values)),
        traceback=_tail(redacted(_format(error), values)),
        retry=retry,
        bases=bases,
    )


def describe_validation(error: ValidationError) -> str:
    """The fields and what is wrong with each, without the values, which may be private or long."""
    details = error.errors(include_url=False, include_input=False, include_context=False)
    lines = [f"{spell(detail['loc']) or 'the whole'}: {detail['msg']}" for detail in details[:_MAX_FIELDS]]
    if len(details) > _MAX_FIELDS:
        lines.append(f"and {len(details) - _MAX_FIELDS} more")
    return "; ".join(lines)


def _text_of(error: BaseException) -> str:
    try:
        return str(error) or f"{type(error).__name__} was raised without a message."
    except Exception as second:  # noqa: BLE001 - a user's __str__ may raise anything
        return f"{type(error).__name__} was raised; its message is lost, as str() raised {type(second).__name__}."


def _format(error: BaseException) -> str:
    told = traceback.TracebackException.from_exception(error)
    if not _keep_user_frames(told, set()):
        return ""
    return "".join(told.format())


def _keep_user_frames(told: traceback.TracebackException | None, seen: set[int]) -> bool:
    """Drop Karman's and pydantic's frames from an error, its causes and its parts; whether any frame is left."""
    if told is None or id(told) in seen:
        return False
    seen.add(id(told))
    kept = [frame for frame in told.stack if not frame.filename.startswith(_FOREIGN_FRAMES)]
    told.stack = traceback.StackSummary.from_list(kept)
    parts = [told.__cause__, told.__context__, *(told.exceptions or ())]
    inner = [_keep_user_frames(part, seen) for part in parts]
    return bool(kept) or any(inner)


def _shorten(text: str) -> str:
    if len(text) <= MAX_MESSAGE_CHARACTERS:
        return text
    return text[: MAX_MESSAGE_CHARACTERS - 3] + "..."


def _tail(text: str) -> str:
    data = text.encode("utf-8", errors="replace")
    if len(data) <= MAX_TRACEBACK_BYTES:
        return data.decode()
    return "...\n" + data[-MAX_TRACEBACK_BYTES + 4 :].decode(errors="ignore")
