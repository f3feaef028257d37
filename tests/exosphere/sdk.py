"""Exosphere's SDK, unmodified, in an environment of its own, and processes that use it."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.exosphere.server import KEY

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = ROOT / "build" / "exospherehost"
REQUIREMENT = "exospherehost==0.0.3"
VERSIONS = ("3.12", "3.13")
_FAILED = ENVIRONMENT.with_suffix(".failed")
_INSTALLING_SECONDS, _AGAIN_SECONDS = 200, 900
NODES = Path(__file__).with_name("sdk_nodes.py")
ENDED = 120.0
"""Seconds that a run may take at most; most take a second for each state in a row, for so often does the SDK poll."""


def sdk_python() -> Path:
    """The interpreter that has the SDK; it is installed when it is not there. Skips the test when that cannot be."""
    ENVIRONMENT.parent.mkdir(exist_ok=True)
    with (ENVIRONMENT.parent / "exospherehost.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several processes run tests at a time
        python = ENVIRONMENT / "bin" / "python"
        if not (ENVIRONMENT / ".installed").exists():
            _skip_if_tried()
            _install(python)
    return python


def _skip_if_tried() -> None:
    """Another process of this run has found out, and waited for the network: that is enough."""
    if _FAILED.exists() and time.time() - _FAILED.stat().st_mtime < _AGAIN_SECONDS:
        pytest.skip(_FAILED.read_text(encoding="utf-8"))


def _install(python: Path) -> None:
    base = _interpreter()
    if base is None:
        pytest.skip("exospherehost needs Python 3.12 or 3.13: neither is on PATH, and uv finds none")
    shutil.rmtree(ENVIRONMENT, ignore_errors=True)
    subprocess.run([base, "-m", "venv", str(ENVIRONMENT)], check=True, capture_output=True)
    install = [str(python), "-m", "pip", "install", "--quiet", REQUIREMENT]
    try:
        done = subprocess.run(
            install, check=False, capture_output=True, text=True, timeout=_INSTALLING_SECONDS
        )
        said = done.stderr if done.returncode else None
    except subprocess.TimeoutExpired:
        said = f"it took more than {_INSTALLING_SECONDS} s"
    if said is not None:
        reason = f"{REQUIREMENT} cannot be installed here: {said.strip()[-200:]}"
        _FAILED.write_text(reason, encoding="utf-8")
        pytest.skip(reason)
    (ENVIRONMENT / ".installed").touch()


def _interpreter() -> str | None:
    """This interpreter if it is new enough, else one on PATH, else one that uv or pyenv knows."""
    own = sys.executable if f"{sys.version_info[0]}.{sys.version_info[1]}" in VERSIONS else None
    candidates = [own, *(shutil.which(f"python{version}") for version in VERSIONS), *_known()]
    return next((path for path in candidates if path and _runs(path)), None)


def _known() -> Iterator[str]:
    for version in VERSIONS:
        for uv in (shutil.which("uv"), shutil.which("uv", path=str(Path(sys.executable).parent))):
            if uv:
                yield _said([uv, "python", "find", version])
        if shutil.which("pyenv"):
            found = Path(_said(["pyenv", "root"])).glob(f"versions/{version}*/bin/python{version}")
            yield from map(str, sorted(found))


def _said(command: Sequence[str]) -> str:
    """What a command says, in one line; empty when it fails."""
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else ""


def _runs(path: str) -> bool:
    """Whether it is an interpreter indeed: a shim of a version manager may be there without one behind it."""
    return subprocess.run([path, "-c", "import venv"], check=False, capture_output=True).returncode == 0


@contextmanager
def process(arguments: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A process that is killed at the end."""
    environment = {**os.environ, "EXOSPHERE_LOG_LEVEL": "WARNING"}
    with subprocess.Popen(arguments, cwd=ROOT, text=True, env=environment, **options) as running:
        try:
            yield running
        finally:
            if running.poll() is None:
                running.send_signal(signal.SIGKILL)


@contextmanager
def server(database: Path, lease_seconds: int = 300) -> Iterator[str]:
    """A server on a file; gives its URL."""
    arguments = [sys.executable, "-m", "tests.exosphere.server", str(database), str(lease_seconds)]
    with process(arguments, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        url = running.stdout.readline().strip()
        assert url.startswith("http://"), "the server did not start"
        yield url


@dataclass(frozen=True)
class Exosphere:
    """One user's view: a namespace of a server."""

    python: Path
    url: str
    namespace: str

    @contextmanager
    def runtime(
        self, *nodes: str, name: str = "runtime", batch: int = 16, workers: int = 8
    ) -> Iterator[subprocess.Popen[str]]:
        """A runtime of the SDK, once it has registered its nodes."""
        before = self._registrations()
        words = ["runtime", self.url, KEY, self.namespace, name, ",".join(nodes), str(batch), str(workers)]
        with process([str(self.python), str(NODES), *words], stderr=subprocess.DEVNULL) as running:
            wait_for(lambda: self._registrations() - before or None)
            yield running

    def _registrations(self) -> set[tuple[str, str]]:
        return {(node["name"], node["runtime_name"]) for node in self.get("/nodes/")["nodes"]}

    def begin(self, graph: str, nodes: Sequence[Mapping[str, Any]], **options: Any) -> str:
        """Upsert and trigger with the SDK; the run's id."""
        asked = json.dumps({"nodes": [{"namespace": self.namespace, **node} for node in nodes], **options})
        words = [str(self.python), str(NODES), "begin", self.url, KEY, self.namespace, graph]
        done = subprocess.run(words, input=asked, check=False, capture_output=True, text=True, timeout=ENDED)
        assert done.returncode == 0, done.stderr
        given = json.loads(done.stdout)
        assert given["graph"]["validation_status"] == "VALID"
        assert given["triggered"]["status"] == "CREATED"
        return str(given["triggered"]["run_id"])

    def get(self, path: str) -> Any:
        """What a route of the namespace answers."""
        return self._call("GET", path)

    def post(self, path: str, body: Any) -> Any:
        return self._call("POST", path, body)

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        url = f"{self.url}/v0/namespace/{self.namespace}{path}"
        answer = httpx.request(method, url, json=body, headers={"x-api-key": KEY}, timeout=ENDED)
        assert answer.status_code == httpx.codes.OK, answer.text
        return answer.json()

    def row(self, run_id: str) -> dict[str, Any]:
        """A run as the list has it."""
        rows = [row for row in self.get("/runs/1/100")["runs"] if row["run_id"] == run_id]
        return dict(rows[0]) if rows else {"status": "PENDING"}

    def ended(self, run_id: str, seconds: float = ENDED) -> dict[str, Any]:
        """The run, once it has ended."""
        ended: dict[str, Any] = wait_for(
            lambda: row if (row := self.row(run_id))["status"] != "PENDING" else None, seconds
        )
        return ended

    def states(self, run_id: str, identifier: str) -> list[dict[str, Any]]:
        """The states of a node of a graph, with all that is told of them."""
        drawn = self.get(f"/states/run/{run_id}/graph")
        ids = [node["id"] for node in drawn["nodes"] if node["identifier"] == identifier]
        graph = drawn["graph_name"]
        return [self.get(f"/graph/{graph}/run/{run_id}/node/{one}") for one in ids]

    def texts(self, run_id: str, identifier: str) -> list[str]:
        """What the states of a node of a graph gave."""
        return [state["outputs"].get("text") for state in self.states(run_id, identifier)]


def wait_for(look: Callable[[], Any], seconds: float = ENDED) -> Any:
    """What `look` gives once it gives something."""
    until = time.monotonic() + seconds
    while (found := look()) is None:
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.1)
    return found


def node(identifier: str, name: str, text: str, *next_nodes: str, unites: Any = None) -> dict[str, Any]:
    """A node of a graph. All nodes of these tests take one text and give one."""
    return {
        "identifier": identifier,
        "node_name": name,
        "inputs": {"text": text},
        "next_nodes": list(next_nodes),
        "unites": unites,
    }
