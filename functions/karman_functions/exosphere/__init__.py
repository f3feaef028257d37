"""Exosphere's HTTP API, `/v0`, on Karman's engine: whoever uses Exosphere today changes a URL.

A translation and no more: every route calls the use cases that `/v1` calls.
"""

from karman_functions.exosphere.app import ExosphereApplication, exosphere_application
from karman_functions.exosphere.settings import ExosphereSettings

__all__ = ["ExosphereApplication", "ExosphereSettings", "exosphere_application"]
