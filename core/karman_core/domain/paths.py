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
_MAX_KEY = 128
"""Characters of a key that a problem shows: names are shorter, and what repeats a hostile key must not explode."""


def spell(path: Path) -> str:
    """The spelling of a path; empty for the value itself."""
    spelled = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return spelled.removeprefix(".")


def place(path: Path) -> str:
    """The spelling of a path for a problem: of long keys only the beginning."""
    return spell(tuple(part if isinstance(part, int) else _cut(part) for part in path))


def child(path: str, part: Part) -> str:
    """The place of what is at `part` of the value at a place."""
    if isinstance(part, int):
        return f"{path}[{part}]"
    return f"{path}.{_cut(part)}" if path else _cut(part)


def join(path: str, rest: str) -> str:
    """The place of what is at `rest` of the value at `path`; both are spelled already."""
    return f"{path}.{rest}" if path and rest and not rest.startswith("[") else path + rest


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
    shown = ", ".join(f"'{_cut(str(key))}'" for key in list(value)[:_KEYS_SHOWN])
    return f"the keys {shown}" + (" and more" if len(value) > _KEYS_SHOWN else "")


def _cut(key: str) -> str:
    return key if len(key) <= _MAX_KEY else f"{key[:_MAX_KEY]}..."
