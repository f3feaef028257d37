"""From what a user wrote, as text or as data, to a definition.

Texts come from anyone, so reading one is bounded: its size, its depth, no YAML aliases (a few lines of them expand to
gigabytes), no key twice. YAML is read with JSON's eyes: `no`, `on`, `2024-01-01` and `012` stay the text that they are,
and keys are always text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pydantic import ValidationError

from karman_core.domain.definition import JSON, GraphDefinition
from karman_core.domain.errors import InvalidGraph, Problem
from karman_core.domain.json_values import MAX_DEPTH, MAX_PROBLEMS, json_problems
from karman_core.domain.shape_problems import shape_problem

if TYPE_CHECKING:
    import yaml

MAX_TEXT_BYTES = 5_000_000

Format: TypeAlias = Literal["yaml", "json"]

# YAML 1.2's core schema, without octal, hexadecimal, infinite and not-a-number, which JSON does not have.
_CONSTANTS = {"null": None, "Null": None, "NULL": None, "~": None, "": None} | {
    spelling: spelling.lower() == "true"
    for word in ("true", "false")
    for spelling in (word, word.title(), word.upper())
}
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,400})", re.ASCII)
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_TEXT_TAGS = ("tag:yaml.org,2002:str", "!")


def parse_definition(data: object, *, name: str | None = None) -> GraphDefinition:
    """The definition in JSON data.

    Exosphere's shape is taken too: null stands for a field that is left out, and `secrets` may be an object, of which
    the keys count (a definition holds no values of secrets).

    Args:
        data: an object, as read from JSON.
        name: the graph's name, where the caller knows it; `data` may leave it out then, or must say the same.

    Raises:
        InvalidGraph: with a problem for everything that has not the shape of a definition; codes `missing_field`,
            `unknown_field`, `wrong_type`, `invalid_value`, `not_json`, `too_deep`, `invalid_text`.
    """
    problems = json_problems(data)
    if problems:
        raise InvalidGraph("The graph is not JSON data within the limits.", problems)
    try:
        definition = GraphDefinition.model_validate(_usual(data, name))
    except ValidationError as error:
        found = [shape_problem(detail) for detail in error.errors(include_url=False)[:MAX_PROBLEMS]]
        raise InvalidGraph("The graph has not the shape of a definition.", found) from None
    if name is not None and definition.name != name.strip():
        message = f"The graph is called '{definition.name}' here and '{name}' by the request."
        raise InvalidGraph("The graph has two names.", [Problem("name", "invalid_value", message)])
    return definition


def parse_text(text: str, format: Format = "yaml", *, name: str | None = None) -> GraphDefinition:  # noqa: A002  what it is
    """The definition in a YAML or JSON text.

    Raises:
        InvalidGraph: as `parse_definition` and `load_text` say.
    """
    return parse_definition(load_text(text, format), name=name)


def load_text(text: str, format: Format = "yaml") -> JSON:  # noqa: A002  what it is
    """The JSON value in a YAML or JSON text.

    Raises:
        InvalidGraph: with one problem, code `invalid_syntax`, `duplicate_key`, `too_deep` or `too_large`, whose path is
            the place in the text, where it is known; or with the problems of `json_values.json_problems`.
    """
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise _refusal("", "invalid_syntax", "The text holds half of a surrogate pair.") from None
    if size > MAX_TEXT_BYTES:
        raise _refusal("", "too_large", f"The text is larger than {MAX_TEXT_BYTES:,} bytes.")
    value = _load_json(text) if format == "json" else _load_yaml(text)
    problems = json_problems(value)
    if problems:
        raise InvalidGraph("The text holds what is not JSON within the limits.", problems)
    return value


def _usual(data: object, name: str | None) -> object:
    """The data with nulls left out and names of secrets in a list; what has another shape is left for pydantic."""
    if not isinstance(data, dict):
        return data
    usual = {"name": name, **data} if name is not None else dict(data)
    usual = _without_nulls(usual)
    if isinstance(usual.get("secrets"), dict):
        usual["secrets"] = list(usual["secrets"])
    for key in ("nodes", "triggers"):
        if isinstance(usual.get(key), list):
            usual[key] = [_without_nulls(item) for item in usual[key]]
    return usual


def _without_nulls(item: Any) -> Any:  # noqa: ANN401  anything; objects lose their nulls
    return (
        {key: value for key, value in item.items() if value is not None} if isinstance(item, dict) else item
    )


def _refusal(place: str, code: str, message: str) -> InvalidGraph:
    return InvalidGraph("The text cannot be read.", [Problem(place, code, message)])


def _place(line: int, column: int) -> str:
    return f"line {line}, column {column}"


def _marked(mark: Any) -> str:  # noqa: ANN401  of two classes, one of them C; parsing always sets it
    return _place(mark.line + 1, mark.column + 1)


# --- JSON -------------------------------------------------------------------------------------------------------------


def _load_json(text: str) -> JSON:
    try:
        return json.loads(
            text.removeprefix("\ufeff"),
            object_pairs_hook=_object,
            parse_int=_json_integer,
            parse_constant=_refuse_constant,
        )
    except json.JSONDecodeError as error:
        raise _refusal(
            _place(error.lineno, error.colno), "invalid_syntax", f"This is not JSON: {error.msg}."
        ) from None
    except RecursionError:
        message = f"Lists and objects nest deeper than {MAX_DEPTH} levels."
        raise _refusal("", "too_deep", message) from None


def _object(pairs: Iterable[tuple[str, JSON]]) -> dict[str, JSON]:
    found: dict[str, JSON] = {}
    for key, value in pairs:
        if key in found:
            raise _refusal("", "duplicate_key", f"An object has the key '{key}' twice.")
        found[key] = value
    return found


def _json_integer(digits: str) -> int:
    if not _INTEGER.fullmatch(digits):
        raise _refusal("", "invalid_syntax", "An integer has more than 400 digits.")
    return int(digits)


def _refuse_constant(constant: str) -> None:
    raise _refusal("", "invalid_syntax", f"{constant} is not JSON.")


# --- YAML -------------------------------------------------------------------------------------------------------------


def _load_yaml(text: str) -> JSON:
    import yaml  # noqa: PLC0415  only authors' tools read YAML

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    builder = _Builder()
    try:
        for event in yaml.parse(text, Loader=loader):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        raise _refusal(
            _marked(error.problem_mark), "invalid_syntax", f"This is not YAML: {error.problem}."
        ) from None
    except yaml.YAMLError as error:
        raise _refusal("", "invalid_syntax", f"This is not YAML: {error}.") from None
    return builder.value


class _Builder:
    """Builds the value from the parser's events, with a stack of its own, and refuses what JSON does not have."""

    def __init__(self) -> None:
        self.value: JSON = None
        self._documents = 0
        self._open: list[tuple[Any, list[str]]] = []
        """Lists and objects that are not complete; with an object the key whose value comes next, if it has come."""

    def take(self, event: yaml.Event) -> None:
        import yaml  # noqa: PLC0415  (as above)

        match event:
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    raise self._refuse(event, "invalid_syntax", "The text holds more than one document.")
            case yaml.AliasEvent():
                raise self._refuse(
                    event, "invalid_syntax", "Aliases (`*name`) are not allowed; repeat the value."
                )
            case yaml.ScalarEvent():
                self._scalar(event)
            case yaml.SequenceStartEvent():
                self._begin(event, [])
            case yaml.MappingStartEvent():
                self._begin(event, {})
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                self._open.pop()

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        if event.tag is not None and event.tag not in _TEXT_TAGS:
            raise self._refuse(event, "invalid_syntax", f"The tag '{event.tag}' is not allowed.")
        if self._wants_key():
            self._key(event)
        else:
            self._add(event.value if event.tag or not event.implicit[0] else _plain(event.value))

    def _begin(self, event: yaml.CollectionStartEvent, empty: JSON) -> None:
        if event.tag is not None:
            raise self._refuse(event, "invalid_syntax", f"The tag '{event.tag}' is not allowed.")
        if self._wants_key():
            raise self._refuse(event, "invalid_syntax", "A key must be text.")
        if len(self._open) == MAX_DEPTH:
            raise self._refuse(event, "too_deep", f"Lists and objects nest deeper than {MAX_DEPTH} levels.")
        self._add(empty)
        self._open.append((empty, []))

    def _wants_key(self) -> bool:
        return bool(self._open) and isinstance(self._open[-1][0], dict) and not self._open[-1][1]

    def _key(self, event: yaml.ScalarEvent) -> None:
        container, key = self._open[-1]
        if event.value in container:
            raise self._refuse(event, "duplicate_key", f"The key '{event.value}' is there twice.")
        key.append(event.value)

    def _add(self, value: JSON) -> None:
        if not self._open:
            self.value = value
            return
        container, key = self._open[-1]
        if isinstance(container, list):
            container.append(value)
        else:
            container[key.pop()] = value

    @staticmethod
    def _refuse(event: yaml.Event, code: str, message: str) -> InvalidGraph:
        return _refusal(_marked(event.start_mark), code, message)


def _plain(text: str) -> JSON:
    """The value of a scalar without quotes."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text
