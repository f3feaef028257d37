"""Every route, one module for each kind of thing."""

from __future__ import annotations

from karman_functions.api.routes import (
    audit,
    control,
    graphs,
    health,
    keys,
    namespaces,
    nodes,
    overview,
    quotas,
    reference,
    runs,
    signals,
    triggers,
    webhooks,
    work,
)

RESOURCES = (
    health.resource,
    reference.resource,
    namespaces.resource,
    nodes.resource,
    graphs.resource,
    runs.resource,
    control.resource,
    overview.resource,
    signals.resource,
    triggers.resource,
    work.resource,
    keys.resource,
    webhooks.resource,
    quotas.resource,
    audit.resource,
)
