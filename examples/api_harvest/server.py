"""A small API with the manners of real ones, to be harvested. It needs nothing but Python, and ends by itself.

    python examples/api_harvest/server.py --seconds 120

    GET /index?cursor=C       a page of ids, without a cursor the first: {"ids", "next", "total", "sha256"}
    GET /records?ids=3,1,2    records by their ids: {"records"}

Some requests are throttled (429 with Retry-After), fail (500) or answer too late. Which ones depends on the seed, on
what is asked for and on how often it was asked before, not on time or chance: the same run meets the same trouble.
"""

import argparse
import hashlib
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

CITIES = ("Århus", "Bengaluru", "Córdoba", "Dakar", "Erfurt", "Fukuoka", "Graz", "Hà Nội")
PAGE = 40
FAULTS_IN_A_ROW = 3


@dataclass(frozen=True)
class Settings:
    """How large the API's data is, and how it misbehaves. The three shares are of all requests."""

    records: int = 200
    seed: int = 7
    throttled: float = 0.2
    failing: float = 0.15
    slow: float = 0.05
    retry_after_seconds: int = 1
    slow_seconds: float = 3.0
    quiet: bool = False


def make_record(seed: int, number: int) -> dict[str, Any]:
    """A record; the same for the same seed and number."""
    draw = random.Random(f"{seed}:{number}")
    return {"id": number, "city": draw.choice(CITIES), "celsius": round(draw.gauss(12, 9), 1)}


def checksum(records: Sequence[dict[str, Any]]) -> str:
    """SHA-256 of the records as JSON lines: keys sorted, no spaces, UTF-8, in the order given."""
    lines = (
        json.dumps(record, ensure_ascii=False, sort_keys=True, separators=(",", ":")) for record in records
    )
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()


class Api(ThreadingHTTPServer):
    """The server, with its data and its memory of what was asked how often."""

    daemon_threads = True
    request_queue_size = 128  # the default of 5 drops connections of a wide fanout

    def __init__(self, address: tuple[str, int], settings: Settings) -> None:
        super().__init__(address, Handler)
        self.settings = settings
        self.records = {n: make_record(settings.seed, n) for n in range(1, settings.records + 1)}
        self.checksum = checksum(list(self.records.values()))
        self.asked = Counter[str]()
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"

    def fault(self, request: str) -> str | None:
        """What goes wrong with a request this time: `throttled`, `failing`, `slow` or nothing."""
        with self._lock:
            self.asked[request] += 1
            time_asked = self.asked[request]
        if time_asked > FAULTS_IN_A_ROW:
            return None
        drawn = random.Random(f"{self.settings.seed}:{request}:{time_asked}").random()
        for fault in ("throttled", "failing", "slow"):
            drawn -= getattr(self.settings, fault)
            if drawn < 0:
                return fault
        return None

    def answer(self, path: str, query: dict[str, str]) -> dict[str, Any] | None:
        """The answer to a request that goes well; None if there is no such thing."""
        if path == "/index":
            start = int(query.get("cursor", "p0")[1:])
            ids = list(self.records)[start : start + PAGE]
            following = f"p{start + PAGE}" if start + PAGE < len(self.records) else None
            return {"ids": ids, "next": following, "total": len(self.records), "sha256": self.checksum}
        if path == "/records":
            return {"records": [self.records[int(number)] for number in query["ids"].split(",")]}
        return None


class Handler(BaseHTTPRequestHandler):
    """Parses a request and writes the answer, or the trouble."""

    server: Api

    def do_GET(self) -> None:
        settings = self.server.settings
        match self.server.fault(self.path):
            case "throttled":
                seconds = str(settings.retry_after_seconds)
                return self._send(HTTPStatus.TOO_MANY_REQUESTS, {"error": "slow down"}, seconds)
            case "failing":
                return self._send(HTTPStatus.INTERNAL_SERVER_ERROR, {"error": "try again"})
            case "slow":
                time.sleep(settings.slow_seconds)
        url = urlsplit(self.path)
        try:
            answer = self.server.answer(
                url.path, {key: values[0] for key, values in parse_qs(url.query).items()}
            )
        except (KeyError, ValueError):
            return self._send(HTTPStatus.BAD_REQUEST, {"error": "unknown id or malformed query"})
        if answer is None:
            return self._send(HTTPStatus.NOT_FOUND, {"error": "no such path"})
        return self._send(HTTPStatus.OK, answer)

    def _send(self, status: HTTPStatus, answer: dict[str, Any], retry_after: str | None = None) -> None:
        body = json.dumps(answer).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            if retry_after is not None:
                self.send_header("Retry-After", retry_after)
            self.end_headers()
            self.wfile.write(body)
        except ConnectionError:
            self.log_message("the client did not wait for the answer")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as in the base class
        if not self.server.settings.quiet:
            super().log_message(format, *args)


@contextmanager
def serving(settings: Settings, port: int = 0) -> Iterator[Api]:
    """The API, listening on this machine alone while the context lasts. Port 0 takes a free one."""
    with Api(("127.0.0.1", port), settings) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def main() -> None:
    """Serve for a while."""
    parser = argparse.ArgumentParser(description="An API that throttles and fails, to be harvested.")
    parser.add_argument("--port", type=int, default=8765, help="0 takes a free one (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=120, help="then it ends (default: %(default)s)")
    parser.add_argument("--records", type=int, default=200, help="how many it has (default: %(default)s)")
    parser.add_argument(
        "--seed", type=int, default=7, help="of the data and the trouble (default: %(default)s)"
    )
    options = parser.parse_args()
    with serving(Settings(records=options.records, seed=options.seed), options.port) as server:
        print(f"{server.url} has {options.records} records and ends in {options.seconds:g} s", flush=True)
        try:
            time.sleep(options.seconds)
        except KeyboardInterrupt:
            print("stopped")


if __name__ == "__main__":
    main()
