"""Server-sent events of a run: the long poll, asked again and again on the client's behalf.

https://html.spec.whatwg.org/multipage/server-sent-events.html

Each poll passes everything that a request does, so a key that is revoked ends its streams. An event's id is the digest,
so a browser that lost its connection goes on where it was.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlencode

from karman_functions.api.app import Application

EVENT_STREAM = "text/event-stream"
POLL_SECONDS = 10.0
"""A poll without news is answered by a comment, which shows both sides that the other one is there."""

PAUSE_SECONDS = 0.25
"""Between two events of a run that changes all the time."""

_PATH = re.compile(r"/v1/namespaces/[^/]+/runs/[^/]+/events")
_DROPPED = {"accept-encoding", "if-none-match", "last-event-id"}
_PASSING = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}


def wants_stream(event: Mapping[str, Any]) -> bool:
    """Whether a request is for a stream of events."""
    accepted = event["headers"].get("accept", "").lower()
    about = event["requestContext"]["http"]
    return (
        about["method"] == "GET"
        and EVENT_STREAM in accepted
        and _PATH.fullmatch(event["rawPath"]) is not None
    )


class EventStream:
    """One client's stream."""

    def __init__(self, application: Application, event: Mapping[str, Any]) -> None:
        self._application = application
        self._clock = application.services.clock
        self._event = event
        query = parse_qs(event["rawQueryString"], keep_blank_values=True)
        self._query = {name: values[-1] for name, values in query.items() if name != "wait_seconds"}
        self._seen = event["headers"].get("last-event-id") or self._query.get("after")

    async def chunks(self, answer: dict[str, Any]) -> AsyncGenerator[bytes]:
        """What is sent, of the answer to the first poll and of those to come, until the run has ended."""
        while True:
            status = HTTPStatus(answer["statusCode"])
            if status == HTTPStatus.OK:
                progress = json.loads(answer["body"])
                if progress["digest"] != self._seen:
                    self._seen = progress["digest"]
                    yield _message("run", answer["body"], self._seen)
                else:
                    yield _COMMENT
                if progress["ended"]:
                    yield _message("end", "{}")
                    return
            elif status in _PASSING:
                yield _COMMENT
                await self._clock.sleep(1)
            else:
                yield _message("error", answer["body"])
                return
            await self._clock.sleep(PAUSE_SECONDS)
            answer = await self._application.handle(self.poll(POLL_SECONDS))

    def poll(self, wait_seconds: float = 0) -> dict[str, Any]:
        """The request for what is new; the first one is answered at once, and what is no success as it is."""
        query = {**self._query, "wait_seconds": f"{wait_seconds:g}"}
        if self._seen:
            query["after"] = self._seen
        headers = {name: value for name, value in self._event["headers"].items() if name not in _DROPPED}
        return {
            **self._event,
            "headers": headers | {"accept": "application/json"},
            "queryStringParameters": query,
            "rawQueryString": urlencode(query),
        }


_COMMENT = b":\n\n"


def _message(kind: str, data: str, identifier: str | None = None) -> bytes:
    """One event. JSON has no line ends in it."""
    lines = [f"event: {kind}", f"data: {data}"]
    if identifier is not None:
        lines.append(f"id: {identifier}")
    return ("\n".join(lines) + "\n\n").encode()
