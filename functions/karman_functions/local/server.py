"""The server: uvicorn in the event loop that is there, on loopback unless told otherwise. It prints nothing."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, cast

import uvicorn

from karman_core.domain.errors import Conflict
from karman_functions.api.app import Application
from karman_functions.local.asgi import AsgiAdapter

LOOPBACK = "127.0.0.1"
GRACE_SECONDS = 5.0
_BACKLOG = 1_024
_KEEP_ALIVE_SECONDS = 30


class _Server(uvicorn.Server):
    """Says when it listens, and leaves signals to the caller."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.listening.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(
    application: Application,
    host: str = LOOPBACK,
    port: int = 0,
    *,
    stop: asyncio.Event,
    ready: Callable[[str], None] | None = None,
    grace_seconds: float = GRACE_SECONDS,
) -> None:
    """Serve until `stop` is set, then finish what is under way.

    Args:
        port: 0 for any that is free.
        ready: is told the URL once requests are taken.
        grace_seconds: for requests under way; long polls are answered at once.

    Raises:
        Conflict: the port is taken, or the address is none of this machine.
    """
    async with serving(application, host, port, grace_seconds=grace_seconds) as url:
        if ready is not None:
            ready(url)
        await stop.wait()


@asynccontextmanager
async def serving(
    application: Application,
    host: str = LOOPBACK,
    port: int = 0,
    *,
    grace_seconds: float = GRACE_SECONDS,
) -> AsyncIterator[str]:
    """Serve as long as the block runs; gives the URL. Arguments and errors as of `serve`."""
    adapter = AsgiAdapter(application)
    with _listening(host, port) as listener:
        server = _Server(_config(adapter, grace_seconds))
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            await server.listening.wait()
            shown = f"[{host}]" if ":" in host else host
            yield f"http://{shown}:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            adapter.stop()
            await task


def _config(adapter: AsgiAdapter, grace_seconds: float) -> uvicorn.Config:
    return uvicorn.Config(
        cast("Any", adapter),
        access_log=False,
        backlog=_BACKLOG,
        lifespan="off",
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=max(1, round(grace_seconds)),
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        ws="none",
    )


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        reason = str(error.strerror).partition(" (")[0]
        raise Conflict(f"Cannot listen on {host}, port {port}: {reason}.") from error
    # Connections inherit it. asyncio sets it only for sockets made otherwise; without it the body of an answer waits
    # for the client to acknowledge the headers, which takes 40 ms on a connection that is kept.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener
