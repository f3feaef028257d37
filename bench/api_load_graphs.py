"""What `api-load` serves: a graph for the runs that clients begin, and one that makes history."""

from __future__ import annotations

from bench.write_units import chain, fork

load = chain(2)
history = fork(1_000)
