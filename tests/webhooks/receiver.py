"""A receiver of webhooks on loopback, which answers what it is told to and keeps what it was sent."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from karman_core.domain.webhooks import mismatch


@dataclass(frozen=True, slots=True)
class Received:
    """One request."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def payload(self) -> Any:
        return json.loads(self.body)

    def is_signed_with(self, *secrets: str, now: float | None = None) -> bool:
        """Whether it is to be believed; `now` None for the receiver's clock."""
        return mismatch(secrets, self.headers, self.body, time.time() if now is None else now) is None


@dataclass
class Receiver:
    """The server; `answers` are given one after the other, then `always`: a status, or bytes as they are."""

    answers: list[int | bytes] = field(default_factory=list)
    always: int | bytes = 200
    retry_after: str | None = None
    received: list[Received] = field(default_factory=list)
    held: threading.Event | None = None
    """Answers wait for it, if it is there."""

    url: str = ""
    port: int = 0

    def next_answer(self) -> int | bytes:
        return self.answers.pop(0) if self.answers else self.always


@contextmanager
def receiving(*answers: int | bytes, certificates: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """Serve within the block."""
    receiver = Receiver(list(answers))
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(receiver))
    server.daemon_threads = True
    if certificates is not None:
        server.socket = certificates.wrap_socket(server.socket, server_side=True)
    receiver.port = server.server_address[1]
    receiver.url = f"http://127.0.0.1:{receiver.port}/hook"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        if receiver.held is not None:
            receiver.held.set()
        server.shutdown()
        server.server_close()
        thread.join(90)


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.received.append(Received(self.path, headers, body))
            if receiver.held is not None:
                receiver.held.wait(250)
            answer = receiver.next_answer()
            if isinstance(answer, bytes):
                self.wfile.write(answer)
                self.close_connection = True
                return
            self.send_response(answer)
            if receiver.retry_after is not None:
                self.send_header("retry-after", receiver.retry_after)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    return Handler
