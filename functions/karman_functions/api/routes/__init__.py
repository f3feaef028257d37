"""Every route, one module for each kind of thing."""

from __future__ import annotations

from karman_functions.api.routes import graphs, health, keys, nodes, reference, runs, signals, triggers, work

RESOURCES = (
    health.resource,
    reference.resource,
    nodes.resource,
    graphs.resource,
    runs.resource,
    signals.resource,
    triggers.resource,
    work.resource,
    keys.resource,
)
