"""The embedded backend: one SQLite file, for one machine, for tests and for simulations."""

from karman_core.backends.embedded.backend import EmbeddedBackend
from karman_core.backends.embedded.database import MEMORY, Durability

__all__ = ["MEMORY", "Durability", "EmbeddedBackend"]
