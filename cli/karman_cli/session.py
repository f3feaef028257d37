"""What commands that work on an existing database have in common."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from karman_core.engine import Engine
    from karman_runtime.composition import Assembly

T = TypeVar("T")


def with_engine(db: Path | None, namespace: str | None, action: Callable[[Engine, str], Awaitable[T]]) -> T:
    """Open the database, or the deployment that the settings name, and do something with an engine on it.

    Raises:
        NotFound: there is no such database.
    """

    async def act(assembly: Assembly, name: str) -> T:
        return await action(assembly.engine, name)

    return with_assembly(db, namespace, act)


def with_assembly(
    db: Path | None, namespace: str | None, action: Callable[[Assembly, str], Awaitable[T]]
) -> T:
    """The same, for what an engine alone does not do."""
    from karman_cli.databases import existing_database
    from karman_runtime.composition import assembled
    from karman_runtime.settings import load_settings

    settings = load_settings()
    if db is not None:
        settings = settings.model_copy(update={"backend": "embedded"})
    database = existing_database(db, settings) if settings.backend == "embedded" else None

    async def act() -> T:
        with assembled(settings, database) as assembly:
            return await action(assembly, namespace or settings.namespace)

    return asyncio.run(act())


def command_line(*words: object) -> str:
    """A command as it can be pasted into a shell."""
    import shlex

    return shlex.join(["karman", *map(str, words)])
