"""The API on one machine: the same application that Lambda runs, behind an HTTP server in this process."""

from karman_functions.local.server import serve, serving

__all__ = ["serve", "serving"]
