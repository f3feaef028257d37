"""The HTTP API within `karman dev`: Karman's own, `/v1`, and Exosphere's, `/v0`."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from karman_cli.output import note
from karman_cli.turns import InTurns
from karman_core.domain.errors import Conflict, InvalidRequest
from karman_runtime.composition import Assembly
from karman_runtime.settings import Settings

if TYPE_CHECKING:
    from karman_functions.api import Application


@dataclass(frozen=True, slots=True)
class Address:
    """Where the API is; `made_key` is the admin key, if it was made for this process."""

    url: str
    made_key: str | None


@asynccontextmanager
async def api(assembly: Assembly, settings: Settings, stopping: asyncio.Event) -> AsyncIterator[Address]:
    """Serve within the block. Once `stopping` is set, nothing new is taken and what is under way is finished.

    Raises:
        Conflict: the port is taken, or the address is none of this machine.
        InvalidRequest: the packages of the server are not installed.
    """
    made_key = None if settings.api_key else assembly.entropy.token()
    admin_key = settings.api_key.get_secret_value() if settings.api_key else made_key
    application = _application(assembly, admin_key)
    from karman_functions.local import serve

    # It says when it begins and ends, which is said already.
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    ended = asyncio.Event()
    serving = asyncio.create_task(
        serve(application, settings.host, settings.port, stop=ended, ready=ready.set_result)
    )
    stopper = asyncio.create_task(_pass_on(stopping, ended))
    try:
        either: list[asyncio.Future[Any]] = [serving, ready]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            _raise_conflict(serving)
        _warn_of_others(settings.host)
        yield Address(await ready, made_key)
    finally:
        stopper.cancel()
        ended.set()
        await asyncio.wait({serving})


def _application(assembly: Assembly, admin_key: str | None) -> Application:
    try:
        from karman_functions.api import Limits
        from karman_functions.exosphere import exosphere_application
    except ModuleNotFoundError as error:
        raise InvalidRequest(
            f"The server needs a package that is not installed ({error.name}): pip install 'karman[server]'; "
            "or --no-server for workers alone."
        ) from error
    application = exosphere_application(
        assembly.backend,
        assembly.engine,
        clock=assembly.clock,
        entropy=assembly.entropy,
        admin_key=admin_key,
        # One machine, one user: a rate would only stand in the way of load tests. Guessing keys stays limited.
        limits=Limits(requests_per_second=None),
        poster=assembly.poster(),
    )
    return cast("Application", InTurns(application))  # it has all that the server asks of one


def _raise_conflict(serving: asyncio.Task[None]) -> None:
    try:
        serving.result()
    except Conflict as error:
        raise Conflict(f"{error.message} Choose another port with --port, or address with --host.") from error


async def _pass_on(event: asyncio.Event, other: asyncio.Event) -> None:
    await event.wait()
    other.set()


def _warn_of_others(host: str) -> None:
    with suppress(ValueError):
        if ipaddress.ip_address(host).is_loopback:
            return
    if host != "localhost":
        note(f"warning: other machines may reach the API on {host}, and it is not encrypted")
