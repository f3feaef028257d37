"""A module of nodes that cannot be imported."""

raise RuntimeError("no such thing")
