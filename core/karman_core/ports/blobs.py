"""Blobs: payloads that are too large for the table or a message."""

from __future__ import annotations

from typing import Protocol


class Blobs(Protocol):
    """Immutable values by name.

    Names are `/`-separated, of [A-Za-z0-9_.=-] parts, none of them `.` or `..`, at most 512 characters in all.
    """

    async def put(self, name: str, data: bytes) -> None:
        """Store; the same name again with the same bytes is no error. Durable on return."""
        ...

    async def get(self, name: str) -> bytes:
        """Raises NotFound."""
        ...

    async def delete_prefix(self, prefix: str) -> None:
        """Remove every blob whose name begins with the prefix, which is not empty."""
        ...
