"""Use cases: they ask the domain what to do and carry it out through the ports."""

from karman_core.engine.engine import Disposition, Engine, never
from karman_core.engine.settings import EngineSettings

__all__ = ["Disposition", "Engine", "EngineSettings", "never"]
