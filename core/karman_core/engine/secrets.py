"""Secrets of a graph for the nodes that declare them, kept in memory for some minutes and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence

from karman_core.domain.errors import NotFound
from karman_core.engine.services import Services

_BELIEVED_MS = 60_000


def scope(namespace: str, graph: str) -> str:
    """Where the secrets of a graph are kept."""
    return f"{namespace}/{graph}"


class SecretReader:
    """Reads secrets through a short cache."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._cache: dict[tuple[str, tuple[str, ...]], tuple[int, dict[str, str]]] = {}

    async def read(self, namespace: str, graph: str, names: Sequence[str]) -> dict[str, str]:
        """The values of the names.

        Raises:
            NotFound: a secret has no value.
        """
        if not names:
            return {}
        key, now = (scope(namespace, graph), tuple(sorted(names))), self._services.clock.now_ms()
        until, values = self._cache.get(key, (0, {}))
        if now >= until:
            values = await self._services.backend.secrets.get(key[0], key[1])
            self._cache[key] = (now + _BELIEVED_MS, values)
        missing = sorted(set(names) - values.keys())
        if missing:
            self._cache.pop(key, None)
            raise NotFound(
                f"Graph '{graph}' has no value for the secrets {missing}; set them with the graph."
            )
        return values
