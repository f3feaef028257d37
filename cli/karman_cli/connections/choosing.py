"""Which place a command works on.

Options come before the environment, the environment before the profile that is current, and that before the usual
database file:

    --db FILE | --url URL | --profile NAME
    KARMAN_URL or KARMAN_PROFILE
    KARMAN_DB, or KARMAN_BACKEND=aws for a deployment's table
    the profile that `karman login` or `karman profiles use` made current
    .karman/karman.db
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from typer import BadParameter

from karman._internal.http.environment import environment
from karman_cli.databases import USUAL
from karman_core.domain.errors import NotFound
from karman_runtime.settings import Settings, load_settings

if TYPE_CHECKING:
    from karman_cli.connections.connection import Connection


@dataclass(frozen=True, slots=True)
class Where:
    """What the options of a command say; None for what they do not."""

    db: Path | None = None
    url: str | None = None
    profile: str | None = None
    namespace: str | None = None


def connected(where: Where) -> AbstractAsyncContextManager[Connection]:
    """Open the connection that options, environment and profiles ask for.

    Raises:
        BadParameter: the options contradict each other.
        NotFound: there is no such database or profile, or neither a database nor a server is known.
        InvalidRequest: the environment, the profiles or the URL cannot be used.
    """
    given = [name for name in ("db", "url", "profile") if getattr(where, name) is not None]
    if "db" in given and len(given) > 1:
        raise BadParameter(f"--db names a file and --{given[1]} a server; choose one")
    settings = load_settings()
    if where.db is not None or (not given and not _server_is_named(settings)):
        return _local(where, settings)
    return _remote(where)


def _server_is_named(settings: Settings) -> bool:
    """Whether the environment or the current profile lead to a server."""
    variables = environment()
    if variables.keys() & {"KARMAN_URL", "KARMAN_PROFILE"}:
        return True
    if settings.db is not None or settings.backend != "embedded":
        return False
    from karman.profiles import load_profiles

    return load_profiles().default is not None


@asynccontextmanager
async def _local(where: Where, settings: Settings) -> AsyncIterator[Connection]:
    from karman_cli.connections.connection import Place
    from karman_cli.connections.local import EngineConnection
    from karman_runtime.composition import assembled

    if where.db is not None:
        settings = settings.model_copy(update={"backend": "embedded"})
    database = _database(where.db or settings.db) if settings.backend == "embedded" else None
    namespace = where.namespace or settings.namespace
    options = ("--db", str(database)) if where.db is not None else ()
    named = ("--namespace", namespace) if where.namespace is not None else ()
    name = f"database {database}" if database is not None else f"table {settings.table}"
    with assembled(settings, database) as assembly:
        yield EngineConnection(assembly, Place(name, namespace, (*options, *named)))


def _database(named: Path | None) -> Path:
    path = named or USUAL
    if path.is_file():
        return path
    if named is None:
        raise NotFound(
            f"There is no database at {path}, and no server is configured: run `karman dev` here or "
            "`karman login URL`, or name one with --db FILE or --url URL."
        )
    raise NotFound(f"There is no database at {path}; `karman dev` and `karman run --db {path}` make one.")


@asynccontextmanager
async def _remote(where: Where) -> AsyncIterator[Connection]:
    from karman_cli.connections.connection import Place
    from karman_cli.connections.remote import HttpConnection
    from karman_cli.connections.servers import client_for, explained

    async with client_for(where.url, where.profile, where.namespace) as client:
        given = {"--url": where.url, "--profile": where.profile, "--namespace": where.namespace}
        options = [word for name, value in given.items() if value is not None for word in (name, value)]
        place = Place(client.url, client.namespace, tuple(options))
        with explained(client):
            yield HttpConnection(client, place)
