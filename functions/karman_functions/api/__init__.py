"""The HTTP API. `application` builds it over any backend; `handler` is what Lambda calls."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from karman_functions.api.app import Application, application
    from karman_functions.api.limits import Limits

__all__ = ["Application", "Limits", "application"]

_MODULES = {"Application": "app", "application": "app", "Limits": "limits"}


def __getattr__(name: str) -> Any:  # noqa: ANN401  each is typed above
    """Import what is asked for: functions that only share a module with the API need none of it."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
