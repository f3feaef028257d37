"""The client of Karman's HTTP API, and the worker that uses it."""
