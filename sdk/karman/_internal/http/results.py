"""Results that are no view of the engine's, and how all of them are read from JSON.

Fields that a newer server adds are passed over; those that this version needs must be there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, TypeVar, cast

from pydantic import TypeAdapter

from karman.errors import Problem

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Health:
    """That the server answers, and its version."""

    status: str
    version: str


@dataclass(frozen=True, slots=True)
class Checked:
    """What is wrong with a definition that was not stored."""

    valid: bool
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class GraphVersion:
    """A version of a graph. `created_ms` is epoch milliseconds."""

    version: int
    valid: bool
    created_ms: int


@dataclass(frozen=True, slots=True)
class Firings:
    """A cron trigger of a graph, and its next firings in epoch milliseconds; none while it is disabled."""

    graph: str
    trigger: str
    cron: str
    timezone: str
    enabled: bool
    next_ms: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Part of a list; `cursor` gets the next one, None says that there is none."""

    items: tuple[T, ...]
    cursor: str | None = None


def reader(kind: type[T]) -> Callable[[Any], T]:
    """Makes values of the type from JSON; raises pydantic's ValidationError for what is none."""
    form: Any = kind
    return lambda body: cast("T", _adapter(form).validate_python(body))


def field_reader(name: str, kind: type[T]) -> Callable[[Any], T]:
    """The same for one field of an object."""
    read = reader(kind)
    return lambda body: read(body[name])


def page_reader(name: str, kind: type[T]) -> Callable[[Any], Page[T]]:
    """The same for a page, whose items are in a field of that name."""
    form: Any = kind
    return lambda body: Page(_adapter(tuple[form, ...]).validate_python(body[name]), body.get("cursor"))


@cache
def _adapter(form: Any) -> TypeAdapter[Any]:  # noqa: ANN401  any form of a type, made once
    return TypeAdapter(form)
