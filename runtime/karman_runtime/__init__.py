"""Runs nodes: the worker, the loops beside it, and the composition root that joins them to a backend."""
