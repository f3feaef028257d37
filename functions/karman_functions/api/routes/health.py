"""Whether the API answers."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version

from karman_functions.api.models import Health
from karman_functions.api.routing import Resource

resource = Resource("health")


@resource.public("GET", "/health")
async def get_health() -> Health:
    """Whether the API answers, and its version."""
    return Health("ok", _version())


@cache
def _version() -> str:
    return version("karman")
