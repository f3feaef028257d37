"""Karman's core: a pure domain, the ports it needs, the engine that joins them, and two backends."""
