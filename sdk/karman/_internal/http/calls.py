"""A request as data, apart from how it is sent: what the blocking and the async client have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeAlias, TypeVar

from karman_core.domain.definition import JSON

T = TypeVar("T")
Parameter: TypeAlias = str | int | float | tuple[str, ...] | None
"""A tuple is a parameter that is repeated."""


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request.

    Attributes:
        path: below the server's URL, encoded.
        read: makes the result of the answer's JSON.
        body: JSON; it may hold secrets, so it is in no repr.
        query: without what is None.
        idempotent: sent twice, it does no more than sent once, so it may be sent again when its fate is unknown.
        wait_seconds: how long the server may take beside the usual.
    """

    method: str
    path: str
    read: Callable[[Any], T]
    body: Mapping[str, JSON] | None = field(default=None, repr=False)
    query: Mapping[str, Parameter] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    idempotent: bool = True
    wait_seconds: float = 0.0

    def at(self, cursor: str | None) -> Call[T]:
        """The same for another page."""
        return replace(self, query={**self.query, "cursor": cursor})


def nothing(body: Any) -> None:  # noqa: ANN401  whatever came
    """Reads answers that say no more than that it was done."""
    del body
