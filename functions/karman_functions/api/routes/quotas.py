"""Quotas: what all runs of a namespace may take together."""

from __future__ import annotations

from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Body

from karman_core.domain.quotas import NamespaceQuotas, quotas_of
from karman_core.engine.access import Scope
from karman_functions.api.context import engine, operator
from karman_functions.api.models import QuotasToSet
from karman_functions.api.parameters import Namespace
from karman_functions.api.routing import Resource

resource = Resource("quotas")


@resource.route("GET", "/quotas", Scope.READ)
async def get_quotas(namespace: Namespace) -> NamespaceQuotas:
    """What the namespace may take; null is no limit."""
    return await engine().quotas.read(namespace)


@resource.operators("PUT", "/quotas")
async def set_quotas(namespace: Namespace, body: Annotated[QuotasToSet, Body()]) -> NamespaceQuotas:
    """Replace all quotas of the namespace; what is left out or null has no limit.

    For who administers all namespaces (the server's own admin key, or an AWS identity with scope admin in all of
    them): an admin key of the namespace cannot raise its own quotas. Everything follows within 15 seconds.
    """
    return await operator().set_quotas(namespace, quotas_of(body.model_dump()))
