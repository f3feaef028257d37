"""Paths into JSON values, and how problems and placeholders spell them: `nodes[2].inputs.text`.

One spelling for all: what a problem names can be found in the definition, and copied into a placeholder.
"""

from __future__ import annotations

from typing import TypeAlias

from karman_core.domain.definition import JSON

Part: TypeAlias = str | int
"""A key of an object or an index of a list."""

Path: TypeAlias = tuple[Part, ...]
"""From the outside in; the empty path is the value itself."""

_KEYS_SHOWN = 8


def child(path: str, part: Part) -> str:
    """The spelling of what is at `part` of the value at `path`."""
    if isinstance(part, int):
        return f"{path}[{part}]"
    return f"{path}.{part}" if path else part


def join(path: str, rest: str) -> str:
    """The spelling of what is at `rest` of the value at `path`."""
    return f"{path}.{rest}" if path and rest and not rest.startswith("[") else path + rest


def spell(path: Path) -> str:
    """The spelling of a whole path; empty for the value itself."""
    spelled = ""
    for part in path:
        spelled = child(spelled, part)
    return spelled


def describe(value: JSON) -> str:
    """What a value is, without its contents (they may be long or private), for messages."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return f"a list of {len(value)}"
        case dict():
            return f"an object with {_keys(value)}"
        case _:
            return f"a {type(value).__name__}"


def _keys(value: dict[str, JSON]) -> str:
    if not value:
        return "no keys"
    shown = ", ".join(f"'{key}'" for key in list(value)[:_KEYS_SHOWN])
    return f"the keys {shown}" + (" and more" if len(value) > _KEYS_SHOWN else "")
