"""Karman's functions: what Lambda calls, and the same application served on one machine."""
