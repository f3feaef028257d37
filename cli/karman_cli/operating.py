"""Commands that work on a database or on a server: where, how to print, and the event loop, once for all of them.

A command is written with a `Session` as its first parameter, and one that operates runs with a `Selection`; `operating`
puts options in their place.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from typer import BadParameter

from karman_cli import options

if TYPE_CHECKING:
    from karman_cli.connections.connection import Connection

T = TypeVar("T")

EPILOG = (
    "Works on the database of --db or the server of --url or --profile; else on the server of KARMAN_URL or "
    "KARMAN_PROFILE; else on the database of KARMAN_DB; else on the server of the current profile (`karman login`); "
    "else on .karman/karman.db. Servers are sent KARMAN_API_KEY, else the profile's key."
)
"""For the help of such a command."""


@dataclass(frozen=True, slots=True)
class Session:
    """What the common options say."""

    db: Path | None = None
    url: str | None = None
    profile: str | None = None
    namespace: str | None = None
    as_json: bool = False
    traceback: bool = False

    def run(self, action: Callable[[Connection], Awaitable[T]]) -> T:
        """Open the connection, and do something with it. Raises what either raises."""
        import asyncio

        from karman_cli.connections.choosing import Where, connected

        place = connected(Where(self.db, self.url, self.profile, self.namespace))

        async def act() -> T:
            async with place as connection:
                return await action(connection)

        return asyncio.run(act())


@dataclass(frozen=True, slots=True)
class Selection:
    """Which runs a command operates on: one, or all that pass filters."""

    run: str | None = None
    everything: bool = False
    graph: str | None = None
    status: str | None = None
    since: str | None = None
    until: str | None = None
    tag: list[str] | None = None
    yes: bool = False
    dry_run: bool = False

    def one(self) -> str | None:
        """The run's id; None for all that pass the filters. Raises BadParameter for what says neither or both."""
        filters = (self.graph, self.status, self.since, self.until, self.tag, self.dry_run or None)
        if self.run is not None and (self.everything or any(filters)):
            raise BadParameter("name one RUN, or choose many with --all and filters; not both")
        if self.run is None and not self.everything:
            raise BadParameter(
                "name a RUN, or choose many with --all and filters such as --status and --since"
            )
        return self.run


_BUNDLES: dict[type, dict[str, tuple[Any, object]]] = {
    Selection: {
        "run": (options.OptionalRunId, None),
        "everything": (options.All, False),
        "graph": (options.GraphFilter, None),
        "status": (options.StatusFilter, None),
        "since": (options.Since, None),
        "until": (options.Until, None),
        "tag": (options.TagFilter, None),
        "yes": (options.Yes, False),
        "dry_run": (options.DryRun, False),
    },
    Session: {
        "db": (options.Db, None),
        "url": (options.Url, None),
        "profile": (options.Profile, None),
        "namespace": (options.Namespace, None),
        "as_json": (options.Json, False),
        "traceback": (options.Traceback, False),
    },
}


def operating(command: Callable[..., int | None]) -> Callable[..., int | None]:
    """The command as typer sees it: with options in the place of the session, and of the selection if it has one."""
    signature = inspect.signature(command, eval_str=True)
    kinds = {name: each.annotation for name, each in signature.parameters.items()}
    bundles = {name: kind for name, kind in kinds.items() if isinstance(kind, type) and kind in _BUNDLES}
    own = [each for name, each in signature.parameters.items() if name not in bundles]
    common = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=form)
        for kind in _BUNDLES
        if kind in bundles.values()
        for name, (form, default) in _BUNDLES[kind].items()
    ]

    @functools.wraps(command)
    def run(**given: Any) -> int | None:
        for name, kind in bundles.items():
            given[name] = kind(**{option: given.pop(option) for option in _BUNDLES[kind]})
        return command(**given)

    vars(run)["__signature__"] = signature.replace(parameters=[*own, *common])
    # Evaluated already: typer would do it again for every command whenever any is called.
    run.__annotations__ = {each.name: each.annotation for each in (*own, *common)}
    return run
