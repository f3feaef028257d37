"""Secrets: values that are written once and read by workers alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol


class Secrets(Protocol):
    """Encrypted values by scope (`{namespace}/{graph}`) and name. Values never appear in an error or a repr."""

    async def put(self, scope: str, values: Mapping[str, str]) -> None:
        """Set or replace each value."""
        ...

    async def get(self, scope: str, names: Sequence[str]) -> dict[str, str]:
        """The values that exist among the names."""
        ...

    async def names(self, scope: str) -> list[str]:
        """The names in a scope, sorted."""
        ...

    async def delete(self, scope: str, names: Sequence[str]) -> None:
        """Remove; no error for names that do not exist."""
        ...
