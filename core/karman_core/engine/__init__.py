"""Use cases: they ask the domain what to do and carry it out through the ports."""
