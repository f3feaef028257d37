"""Names in paths, each with what is said when it is none."""

from __future__ import annotations

import hashlib
import re

from karman_core.domain.definition import NAME_PATTERN
from karman_functions.exosphere.errors import Failed, unprocessable

_NAME = re.compile(NAME_PATTERN.rstrip("$"))
_STATE = re.compile(r"([a-z0-9]{1,64}-[0-9._]{0,512}-[0-9]{1,9})(?:~([1-9][0-9]{0,8}))?", re.ASCII)
_RUN = re.compile(r"[a-z0-9]{1,64}", re.ASCII)
_MAX_RUNTIME = 100


def is_name(text: str) -> bool:
    """Whether a namespace or graph may be called so."""
    return _NAME.fullmatch(text) is not None


def check_name(text: str, where: str) -> str:
    """A name for something new. Raises Failed: 422."""
    if not is_name(text):
        message = f"String should match pattern '{NAME_PATTERN}'"
        raise unprocessable("string_pattern_mismatch", ["path", where], message, text)
    return text


def state_id_of(text: str) -> str:
    """A state's id. Raises Failed: 404 for what is none."""
    found = _STATE.fullmatch(text)
    if found is None or found[2] is not None:
        raise Failed(404, "State not found")
    return found[1]


def node_id_of(text: str) -> tuple[str, int | None]:
    """A state's id, and which of its failed attempts is meant, if one of these. Raises Failed: 400."""
    found = _STATE.fullmatch(text)
    if found is None:
        raise Failed(400, f"Invalid node ID format: {text[:200]}")
    return found[1], int(found[2]) if found[2] else None


def attempt_id(state_id: str, number: int) -> str:
    """The id under which a failed attempt, from 1, is told as a state of its own."""
    return f"{state_id}~{number}"


def is_run_id(text: str) -> bool:
    """Whether a run's id may look so."""
    return _RUN.fullmatch(text) is not None


def page_number(text: str, where: str, largest: int) -> int:
    """A whole number from 1 on in a path. Raises Failed: 422."""
    try:
        number = int(text) if text.isascii() and len(text) <= 18 else None  # noqa: PLR2004  as 64 bits hold
    except ValueError:
        number = None
    if number is None:
        message = "Input should be a valid integer, unable to parse string as an integer"
        raise unprocessable("int_parsing", ["path", where], message, text[:200])
    if not 1 <= number <= largest:
        raise unprocessable("range", ["path", where], f"Input should be between 1 and {largest}", text[:200])
    return number


def runtime_of(node_name: str) -> str:
    """The runtime, to Karman, of a node whose workers poll by its name.

    Each such node has a queue of its own. Exosphere's workers name nodes, not runtimes, when they poll: so none comes
    upon states that are not for it, and a node that another runtime registers too keeps its queue.
    """
    text = f"v0-{node_name}"
    if "." not in text and len(text) <= _MAX_RUNTIME:
        return text
    digest = hashlib.sha256(node_name.encode()).hexdigest()[:16]
    return f"{text.replace('.', '-')[:_MAX_RUNTIME]}-{digest}"
