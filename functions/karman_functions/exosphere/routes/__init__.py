"""Every route, one module for each kind of thing."""

from __future__ import annotations

from karman_functions.exosphere.routes import graphs, nodes, runs, states

ROUTES = (*nodes.routes.entries, *graphs.routes.entries, *states.routes.entries, *runs.routes.entries)
