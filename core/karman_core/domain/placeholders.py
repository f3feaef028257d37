"""Placeholders: how the inputs of a node instance say what earlier nodes and the store provide.

    ${{ identifier.outputs.field }}      ${{ identifier.outputs.items[0].name }}
    ${{ store.key }}                     ${{ store.key.address.city }}

A value that is exactly one placeholder takes the JSON value as it is; a placeholder within text becomes text. They may
stand anywhere in nested lists and objects (in values, not in keys). Resolving is one pass: data that happens to contain
`${{` is data. A value is parsed once for a graph version, its `Template` resolved for every state.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from karman_core.domain.definition import JSON, RESERVED_IDENTIFIER
from karman_core.domain.errors import InvalidGraph, InvalidInput, Problem
from karman_core.domain.json_values import MAX_DEPTH, MAX_PROBLEMS
from karman_core.domain.paths import Part, Path, describe, place, spell

_OPEN, _CLOSE = "${{", "}}"
_KEY = r"[^\s.\[\]{}\"']+"
_PART = re.compile(rf"\s*\.\s*(?P<key>{_KEY})|\s*\[\s*(?P<index>[0-9]{{1,9}})\s*\]")
_HEAD = re.compile(rf"\s*({_KEY})")
_HOW_TO = "write '${{ identifier.outputs.field }}' or '${{ store.key }}'"


class PlaceholderError(InvalidGraph):
    """A value holds text that starts a placeholder and is none. Problem paths are relative to the value."""

    code = "invalid_placeholder"


class Unresolved(InvalidInput):
    """A placeholder points to something that is not there. Problem paths are relative to the value."""

    code = "unresolved_placeholder"


@dataclass(frozen=True, slots=True)
class OutputReference:
    """A value in a node's outputs; `path[0]` is the name of the output field."""

    identifier: str
    path: Path

    @property
    def field(self) -> str:
        return str(self.path[0])

    @property
    def rest(self) -> Path:
        """The path inside the field's value."""
        return self.path[1:]

    def __str__(self) -> str:
        return f"{_OPEN} {self.identifier}.outputs.{spell(self.path)} {_CLOSE}"


@dataclass(frozen=True, slots=True)
class StoreReference:
    """A value in the run's store; `path` is inside the key's value."""

    key: str
    path: Path = ()

    @property
    def rest(self) -> Path:
        """The path inside the key's value."""
        return self.path

    def __str__(self) -> str:
        return f"{_OPEN} store.{spell((self.key, *self.path))} {_CLOSE}"


Reference: TypeAlias = OutputReference | StoreReference


@dataclass(frozen=True, slots=True)
class One:
    """The value of an output field or a store key."""

    value: JSON


@dataclass(frozen=True, slots=True)
class Many:
    """The values of an output field over a group's branches, in branch order."""

    values: Sequence[JSON]


Lookup: TypeAlias = Callable[[Reference], One | Many | None]
"""What a reference's identifier and field, or its store key, hold; None when there is no such value.

The path inside the value (`reference.rest`) is followed by `Template.resolve`, for `Many` in each element.
"""


@dataclass(frozen=True, slots=True)
class Text:
    """A text with placeholders in it: at least one, and something else."""

    parts: tuple[str | Reference, ...]


@dataclass(frozen=True, slots=True)
class Whole:
    """A value that is one placeholder."""

    reference: Reference


Faults: TypeAlias = list[tuple[Path, str, str]]
"""Where, code and message of what is wrong; spelled out at the end, as a path can be much longer than its last part."""

Compiled: TypeAlias = "Text | Whole | list[Compiled] | dict[str, Compiled] | str | int | float | None"
"""A parsed value: JSON in which each text that holds placeholders is a `Text` or a `Whole`."""


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed value.

    Attributes:
        value: the JSON value with its placeholders parsed.
        located: every placeholder with the path where it stands, in order of appearance.
    """

    value: Compiled
    located: tuple[tuple[Path, Reference], ...]

    @property
    def references(self) -> tuple[Reference, ...]:
        """What the value refers to, each once, in order of appearance."""
        return tuple(dict.fromkeys(reference for _, reference in self.located))

    def resolve(self, lookup: Lookup) -> JSON:
        """The value with every placeholder replaced; lists and objects are new ones.

        Raises:
            Unresolved: with a problem for each placeholder whose value is not there.
        """
        faults: Faults = []
        resolved = _resolve(self.value, (), lookup, faults)
        if faults:
            raise Unresolved("Some placeholders point to values that are not there.", _problems(faults))
        return resolved


def parse(value: JSON) -> Template:
    """Parse the placeholders of a JSON value.

    Raises:
        PlaceholderError: with a problem for each text that is wrong, or if the value nests too deep to be walked.
    """
    located: list[tuple[Path, Reference]] = []
    faults: Faults = []
    compiled = _compile(value, (), located, faults)
    if faults:
        raise PlaceholderError("Some placeholders cannot be read.", _problems(faults))
    return Template(compiled, tuple(located))


def _problems(faults: Faults) -> list[Problem]:
    return [Problem(place(path), code, message) for path, code, message in faults[:MAX_PROBLEMS]]


# --- parsing ----------------------------------------------------------------------------------------------------------


def _compile(value: JSON, path: Path, located: list[tuple[Path, Reference]], faults: Faults) -> Compiled:
    match value:
        case str():
            return _compile_text(value, path, located, faults)
        case list() | dict() if len(path) == MAX_DEPTH:
            faults.append((path, "too_deep", f"The value nests deeper than {MAX_DEPTH} levels."))
            return None
        case list():
            return [_compile(item, (*path, i), located, faults) for i, item in enumerate(value)]
        case dict():
            return {key: _compile(item, (*path, key), located, faults) for key, item in value.items()}
        case _:
            return value  # type: ignore[no-any-return]


def _compile_text(text: str, path: Path, located: list[tuple[Path, Reference]], faults: Faults) -> Compiled:
    parts: list[str | Reference] = []
    try:
        parts.extend(_split(text))
    except ValueError as error:
        faults.append((path, PlaceholderError.code, str(error)))
        return None
    references = [part for part in parts if not isinstance(part, str)]
    located.extend((path, reference) for reference in references)
    if not references:
        return text
    return Whole(references[0]) if len(parts) == 1 else Text(tuple(parts))


def _split(text: str) -> Iterator[str | Reference]:
    """The literal and the placeholder parts of a text. Raises ValueError at the first that cannot be read."""
    position = 0
    while (start := text.find(_OPEN, position)) >= 0:
        if start > position:
            yield text[position:start]
        inside = start + len(_OPEN)
        end = text.find(_CLOSE, inside)
        if end < 0 or text.find(_OPEN, inside, end) >= 0:
            raise ValueError(
                f"The placeholder at character {start + 1} is not closed by '{_CLOSE}'; {_HOW_TO}."
            )
        yield _parse_reference(text[inside:end], start)
        position = end + len(_CLOSE)
    if position < len(text):
        yield text[position:]


def _parse_reference(body: str, start: int) -> Reference:
    match path_parts(body):
        case [root, str(key), *path] if root == RESERVED_IDENTIFIER:
            return StoreReference(key, tuple(path))
        case [str(root), "outputs", str(field), *path] if root != RESERVED_IDENTIFIER:
            return OutputReference(root, (field, *path))
    shown = body.strip()[:80]
    raise ValueError(f"'{shown}' at character {start + 1} is not a placeholder; {_HOW_TO}.")


def path_parts(body: str) -> list[Part]:
    """The parts of `a.outputs.items[0]`; empty when the text is no such path."""
    head = _HEAD.match(body)
    if head is None:
        return []
    parts: list[Part] = [head[1]]
    position = head.end()
    while part := _PART.match(body, position):
        parts.append(part["key"] if part["index"] is None else int(part["index"]))
        position = part.end()
    return [] if body[position:].strip() else parts


# --- resolving --------------------------------------------------------------------------------------------------------


def _resolve(value: Compiled, path: Path, lookup: Lookup, faults: Faults) -> JSON:
    match value:
        case Whole(reference):
            return _value_of(reference, path, lookup, faults)
        case Text(parts):
            return "".join(
                part if isinstance(part, str) else as_text(_value_of(part, path, lookup, faults))
                for part in parts
            )
        case list():
            return [_resolve(item, (*path, i), lookup, faults) for i, item in enumerate(value)]
        case dict():
            return {key: _resolve(item, (*path, key), lookup, faults) for key, item in value.items()}
        case _:
            return value


def as_text(value: JSON) -> str:
    """How a value reads within text: a string as it is, anything else as compact JSON."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _value_of(reference: Reference, path: Path, lookup: Lookup, faults: Faults) -> JSON:
    try:
        match lookup(reference):
            case One(value):
                return _follow(value, reference)
            case Many(values):
                return [_follow(value, reference) for value in values]
        raise LookupError(f"{reference} has no value: {_missing(reference)}.")
    except LookupError as error:
        faults.append((path, Unresolved.code, str(error.args[0])))
        return None


def _missing(reference: Reference) -> str:
    if isinstance(reference, StoreReference):
        return f"the store has no key '{reference.key}'"
    return f"'{reference.identifier}' has given no output '{reference.field}'"


def _follow(value: JSON, reference: Reference) -> JSON:
    try:
        return follow(value, reference.rest)
    except LookupError as error:
        raise LookupError(f"{reference} has no value: {error.args[0]}.") from None


def follow(value: JSON, path: Path) -> JSON:
    """What is at a path inside a value. Raises LookupError, which says what is not there."""
    for part in path:
        match part, value:
            case int(), list() if part < len(value):
                value = value[part]
            case str(), dict() if part in value:
                value = value[part]
            case _:
                wanted = f"[{part}]" if isinstance(part, int) else f"'{part}'"
                raise LookupError(f"{wanted} is looked for in {describe(value)}")
    return value
