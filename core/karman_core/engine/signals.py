"""What a signal may be: checked when it is sent and when a node waits for one, because later nobody could be told."""

from __future__ import annotations

from karman_core.domain.definition import JSON
from karman_core.domain.errors import InvalidInput, InvalidRequest, PayloadTooLarge
from karman_core.domain.json_values import json_problems
from karman_core.domain.outcome import Awaiting, Effects, Errored, Outcome
from karman_core.engine.payloads import dumps

MAX_NAME = 128
"""Characters of a signal's name and of its id: both are parts of keys."""


def check_signal(name: str, payload: JSON, max_bytes: int, signal_id: str | None = None) -> int:
    """The bytes of the payload. Raises InvalidInput or PayloadTooLarge for a signal that could not be kept."""
    if not 1 <= len(name) <= MAX_NAME:
        raise InvalidInput(f"A signal's name has 1 to {MAX_NAME} characters, not {len(name)}.")
    if problems := json_problems([name, signal_id]):
        raise InvalidInput(f"A signal's name and id are text: {problems[0].message}")
    if signal_id is not None and not 1 <= len(signal_id) <= MAX_NAME:
        raise InvalidInput(f"A signal's id has 1 to {MAX_NAME} characters, not {len(signal_id)}.")
    size = len(dumps(payload).encode())
    if size > max_bytes:
        raise PayloadTooLarge(
            f"The payload of signal '{name}' takes {size:,} bytes; the limit is {max_bytes:,}. "
            "Pass a reference instead."
        )
    return size


def check_signals(outcome: Outcome, max_bytes: int) -> Outcome:
    """The outcome, or an error where it sends or awaits a signal that cannot be."""
    effects = getattr(outcome, "effects", None)
    try:
        if isinstance(outcome, Awaiting):
            check_signal(outcome.signal, None, max_bytes)
        if isinstance(effects, Effects):
            for signal in effects.signals:
                check_signal(signal.name, signal.payload, max_bytes)
    except InvalidRequest as error:
        return Errored(error.code, error.message, retry=False)
    return outcome
