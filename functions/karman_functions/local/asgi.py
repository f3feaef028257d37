"""The application as an ASGI one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, MutableMapping
from contextlib import aclosing
from http import HTTPStatus
from typing import Any, TypeAlias, TypeVar

from karman_core.domain.errors import Unavailable
from karman_functions.api.app import Application
from karman_functions.local.events import event_of, messages_of, start_of
from karman_functions.local.streaming import EVENT_STREAM, EventStream, wants_stream

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Served = TypeVar("Served")


class Disconnected(Exception):
    """The client is gone before its request was complete."""


class AsgiAdapter:
    """Serves HTTP requests with an application; long polls can be ended early."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._polls: set[asyncio.Task[Any]] = set()
        self._stopping = False

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request. What is no HTTP request gets none."""
        if scope["type"] != "http":
            return
        services = self._application.services
        try:
            body = await _read(receive, services.limits.body_bytes)
        except Disconnected:
            return
        event = event_of(scope, body, services.entropy.token())
        if wants_stream(event):
            await self._stream(event, receive, send)
            return
        answer = await (self._poll(event, receive) if _is_poll(event) else self._application.handle(event))
        if answer is not None:
            for message in messages_of(answer):
                await send(message)

    def stop(self) -> None:
        """End all long polls and streams, those under way and those to come, so that nobody waits for them."""
        self._stopping = True
        for task in self._polls:
            task.cancel()

    async def _poll(self, event: Mapping[str, Any], receive: Receive) -> dict[str, Any] | None:
        """The answer; None when the client went away, whose poll must not take work that nobody gets."""
        task = await self._until_gone(self._application.handle(event), receive)
        if task is None:
            return None
        return task.result() if not task.cancelled() else self._application.failed(event, _STOPPING)

    async def _stream(self, event: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Send events until there are no more, the client goes away, or the server stops."""
        stream = EventStream(self._application, event)
        first = await self._poll(stream.poll(), receive)
        if first is None or first["statusCode"] != HTTPStatus.OK:
            for message in messages_of(first) if first else ():
                await send(message)
            return
        await send(start_of(first["headers"] | {"content-type": EVENT_STREAM}))
        task = await self._until_gone(_send_all(stream, first, send), receive)
        await send({"type": "http.response.body", "body": b""})
        if task is not None and not task.cancelled():
            task.result()

    async def _until_gone(
        self, work: Coroutine[Any, Any, Served], receive: Receive
    ) -> asyncio.Task[Served] | None:
        """The work, done, or cancelled because the server stops; None when the client went away before."""
        task = asyncio.create_task(work)
        gone = asyncio.create_task(_gone(receive))
        self._polls.add(task)
        if self._stopping:
            task.cancel()
        try:
            done, _ = await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
            return task if task in done else None
        finally:
            self._polls.discard(task)
            task.cancel()
            gone.cancel()
            await asyncio.wait({task, gone})


_STOPPING = Unavailable("The server is stopping; send the request again.")


async def _read(receive: Receive, limit: int) -> bytes:
    """The body; of one over the limit just enough to see that it is. Raises Disconnected."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit or not message.get("more_body", False):
            return b"".join(parts)


async def _send_all(stream: EventStream, first: dict[str, Any], send: Send) -> None:
    async with aclosing(stream.chunks(first)) as chunks:
        async for chunk in chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _is_poll(event: Mapping[str, Any]) -> bool:
    return event["rawPath"].endswith("/work/poll") or "wait_seconds" in event["queryStringParameters"]
