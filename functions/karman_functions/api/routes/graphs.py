"""Graphs and their versions."""

from __future__ import annotations

import asyncio
from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body, Query

from karman_core.domain.definition import GraphDefinition
from karman_core.domain.errors import Forbidden
from karman_core.domain.parsing import parse_definition
from karman_core.engine.access import Scope
from karman_core.engine.views import GraphView
from karman_functions.api.context import engine, exchange, operator
from karman_functions.api.limits import MAX_PAGE
from karman_functions.api.models import Checked, Graphs, GraphToStore, Version, Versions
from karman_functions.api.paging import page_of
from karman_functions.api.parameters import Cursor, GraphName, IfNoneMatch, Limit, Namespace, NewGraphName
from karman_functions.api.routing import Resource

resource = Resource("graphs")

_MAX_VERSIONS = 100
"""Of a page: each is read whole."""


@resource.route("PUT", "/graphs/<name>", Scope.ADMIN)
async def put_graph(
    namespace: Namespace,
    name: NewGraphName,
    body: Annotated[GraphToStore, Body()],
    validate_only: Annotated[bool, Query(description="Store nothing; say what is wrong.")] = False,  # noqa: FBT002
) -> GraphView | Checked:
    """Store a definition as the graph's next version, unless it is what the current one says.

    A definition with problems is stored too, with `valid` false; it cannot be triggered.
    """
    definition = parse_definition(body.definition, name=name)
    _check_namespaces(namespace, definition)
    if validate_only:
        problems = await engine().check_graph(namespace, definition)
        return Checked(valid=not problems, problems=problems)
    return await operator().put_graph(namespace, definition, secrets=body.secrets)


@resource.route("GET", "/graphs", Scope.READ)
async def list_graphs(namespace: Namespace, limit: Limit = MAX_PAGE, cursor: Cursor = None) -> Graphs:
    """The names of the namespace's graphs, sorted."""
    return Graphs(*page_of(await engine().list_graphs(namespace), str, limit, cursor))


@resource.route("GET", "/graphs/<name>/versions", Scope.READ)
async def list_versions(
    namespace: Namespace,
    name: GraphName,
    limit: Annotated[int, Query(ge=1, le=_MAX_VERSIONS, description="At most so many on a page.")] = 20,
    cursor: Annotated[
        str | None,
        Query(pattern=r"^[1-9][0-9]{0,7}$", description="Where to go on: the `cursor` of the page before."),
    ] = None,
) -> Versions:
    """The versions of a graph, newest first."""
    newest = (await engine().get_graph(namespace, name)).version
    last = newest if cursor is None else min(newest, int(cursor) - 1)
    wanted = range(last, max(0, last - limit), -1)
    views = await asyncio.gather(*(engine().get_graph(namespace, name, version) for version in wanted))
    found = tuple(Version(view.version, view.valid, view.created_ms) for view in views)
    return Versions(found, str(found[-1].version) if found and found[-1].version > 1 else None)


@resource.route("GET", "/graphs/<name>", Scope.READ)
async def get_graph(
    namespace: Namespace,
    name: GraphName,
    version: Annotated[
        int | None, Query(ge=1, le=99_999_999, description="None for the current one.")
    ] = None,
    if_none_match: IfNoneMatch = None,
) -> Response[GraphView]:
    """A version of a graph. The ETag is the version: 304 when it is known already."""
    view = await engine().get_graph(namespace, name, version)
    etag = f'"{view.version}"'
    headers: dict[str, str | list[str]] = {"etag": etag, "cache-control": "private, no-cache"}
    if if_none_match is not None and etag in if_none_match.replace(" ", "").split(","):
        return Response(304, "application/json", view, headers)
    return Response(200, "application/json", view, headers)


@resource.route("DELETE", "/graphs/<name>", Scope.ADMIN, status=204)
async def delete_graph(namespace: Namespace, name: GraphName) -> Response[None]:
    """End a graph, its schedules and its secrets. Runs that go on keep their version, and versions can be read.

    A graph that is stored later under this name goes on counting versions.
    """
    await operator().delete_graph(namespace, name)
    return Response(204)


def _check_namespaces(namespace: str, definition: GraphDefinition) -> None:
    """Raises Forbidden for nodes of another namespace: a key of this one must not even learn whether they exist."""
    principal = exchange.get().principal
    others = {node.namespace for node in definition.nodes} - {None, namespace}
    if others and (principal is None or principal.namespace is not None):
        raise Forbidden("The API key does not allow to use nodes of another namespace.")
