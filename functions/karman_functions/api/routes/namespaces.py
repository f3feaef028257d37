"""Namespaces: which there are, and what is in one."""

from __future__ import annotations

from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Query

from karman_core.domain.definition import NAME_PATTERN
from karman_core.engine.access import Scope
from karman_core.engine.summaries import NamespaceView
from karman_functions.api.context import engine
from karman_functions.api.limits import MAX_PAGE
from karman_functions.api.models import Namespaces
from karman_functions.api.parameters import Limit, Namespace
from karman_functions.api.routing import Resource

resource = Resource("namespaces")


@resource.server("GET", "/namespaces")
async def list_namespaces(
    limit: Limit = MAX_PAGE,
    cursor: Annotated[
        str | None,
        Query(pattern=NAME_PATTERN, description="Where to go on: the `cursor` of the page before."),
    ] = None,
) -> Namespaces:
    """Names of all namespaces, sorted. For the server's own admin key."""
    found = await engine().overview.namespaces(limit + 1, cursor)
    return Namespaces(tuple(found[:limit]), found[limit - 1] if len(found) > limit else None)


@resource.route("GET", "", Scope.READ)
async def get_namespace(namespace: Namespace) -> NamespaceView:
    """A namespace, and how many nodes and graphs it has."""
    return await engine().overview.namespace(namespace)


@resource.route("PUT", "", Scope.ADMIN)
async def create_namespace(namespace: Namespace) -> NamespaceView:
    """Make a namespace, unless it is there. It comes to be by its first node, graph or key just as well."""
    return await engine().overview.create_namespace(namespace)
