"""The HTTP API. `application` builds it over any backend; `handler` is what Lambda calls."""

from karman_functions.api.app import Application, application
from karman_functions.api.limits import Limits

__all__ = ["Application", "Limits", "application"]
