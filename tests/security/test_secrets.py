"""Secrets are planted, used, quoted by nodes that fail, and then looked for in all that was written anywhere."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.endpoint import Endpoint
from moto import mock_aws
from pydantic import BaseModel

from karman import AsyncClient, Graph, Retry, node
from karman_core.backends.observers import RunLog
from karman_core.engine import Engine
from karman_core.engine.access import IssuedKey
from karman_core.engine.views import Work
from karman_runtime.composition import assembled
from karman_runtime.settings import load_settings
from tests.cli.command_line import karman, write
from tests.deployments import NAMESPACE, RUNTIME, Deployment, deployed
from tests.security.canaries import CANARY, PEM, SEEN, of_folder, of_request, quoted

LOUD = {"KARMAN_LOG_LEVEL": "debug", "KARMAN_DEBUG": "1"}
ADMIN = "canary-of-the-admin-key"
WAYS = ("raise", "repr", "cause", "group", "show", "note", "large")

NODES = f"""
from pydantic import BaseModel, Field
from hashlib import sha256
from typing import Annotated
from karman import Context, Graph, Retry, node

class Keys(BaseModel):
    api_key: str
    pem: str

class Picky(BaseModel):
    api_key: Annotated[str, Field(max_length=3)]
    pem: str

@node
def use(how: str, secrets: Keys, ctx: Context) -> str:
    if how == "raise":
        raise ValueError(f"{SEEN}: {{secrets.api_key}} and {{secrets.pem}}")
    if how == "repr":
        raise KeyError(secrets.pem)
    if how == "cause":
        try:
            raise RuntimeError(secrets.pem + secrets.api_key)
        except RuntimeError as error:
            raise ValueError("outer") from error
    if how == "group":
        raise ExceptionGroup("both", [ValueError(secrets.api_key), ValueError([secrets.pem])])
    if how == "show":
        raise ValueError(f"{{secrets}} {{secrets!r}} {{ctx}} {{ctx.__dict__ if hasattr(ctx, '__dict__') else ''}}")
    if how == "note":
        error = ValueError("noted")
        error.add_note("https://user:" + secrets.api_key + "@example.com")
        raise error
    return "{SEEN} " + " ".join(sha256(str(number).encode()).hexdigest() for number in range(1_000))

@node
def picky(secrets: Picky) -> str:
    return "never"

vault = Graph("vault", retry=Retry.fixed(1, delay=0.001))
vault.add(use)

choosy = Graph("choosy")
choosy.add(picky)
"""
REMOTE = {
    "name": "remote",
    "inputs_schema": {"type": "object", "properties": {"text": {"type": "string"}}},
    "outputs_schema": {"type": "object"},
    "secrets": ["api_key", "pem"],
}
GIVEN = ("--secret-env", "api_key", "--secret-env", "pem")
VALUES = {"api_key": CANARY, "pem": PEM}


def logged(caplog: pytest.LogCaptureFixture) -> str:
    """What was logged here, the fields too."""
    return caplog.text + "\n".join(str(vars(record)) for record in caplog.records)


class Server:
    """`karman dev` with everything told that it tells, its answers, and the keys that it gave."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=url, headers={"x-api-key": ADMIN}, timeout=120)
        self.answers: list[tuple[str, str]] = []
        self.keys: dict[str, str] = {}

    def __call__(
        self, method: str, path: str, body: Any = None, *, given: bool = False, **headers: str
    ) -> Any:
        """A request whose answer is looked through, unless secrets are what it gives."""
        whole = path if path.startswith(("/v0", "/v1")) else f"/v1/namespaces/default{path}"
        answer = self.http.request(method, whole, json=body, headers=headers)
        if not given:
            self.answers.append((f"{method} {path}", answer.text + str(answer.headers)))
        return answer.json() if answer.text.startswith(("{", "[")) else answer


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Server]:
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "karman_cli", "dev", "vault.py", "--db", "runs.db", "--no-reload", *GIVEN],
            stdout=out,
            stderr=err,
            cwd=folder,
            env={**os.environ, **LOUD, **VALUES, "KARMAN_API_KEY": ADMIN, "KARMAN_PORT": "0"},
        )
        try:
            url = _eventually(lambda: re.search(r"ready: (http://[^, ]+)", (folder / "err").read_text()))[1]
            server = Server(url)
            with server.http:
                yield server
        finally:
            process.terminate()
            process.wait(120)


def _eventually(look: Callable[[], Any]) -> Any:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come")


def _ended(server: Server, run_id: str) -> Any:
    run = server("GET", f"/runs/{run_id}?wait_seconds=20")
    assert "ended_ms" in run, run
    return run if run["ended_ms"] is not None else None


def plant(server: Server) -> None:
    """Secrets of graphs by both APIs, and keys of every kind."""
    for name in ("vault", "choosy"):
        definition = server("GET", f"/graphs/{name}")["definition"]
        stored = server("PUT", f"/graphs/{name}", {"definition": definition, "secrets": VALUES})
        assert stored["valid"], stored
    server("PUT", "/nodes", {"runtime": "far", "nodes": [REMOTE]})
    far = {"nodes": [{"identifier": "remote", "node_name": "remote"}], "secrets": ["api_key", "pem"]}
    assert server("PUT", "/graphs/far", {"definition": far, "secrets": VALUES})["valid"]
    old = {**REMOTE, "name": "old"}
    server("PUT", "/v0/namespace/default/nodes/", {"runtime_name": "old", "nodes": [old]})
    nodes = [{"node_name": "old", "namespace": "default", "identifier": "a", "inputs": {}, "next_nodes": []}]
    server("PUT", "/v0/namespace/default/graph/old", {"secrets": VALUES, "nodes": nodes})
    for scope in ("admin", "read", "worker"):
        issued = server("POST", "/keys", {"name": scope, "scopes": [scope]}, given=True)
        rotated = server("POST", f"/keys/{issued['id']}/rotate", given=True)
        server.keys |= {scope: issued["key"], f"rotated {scope}": rotated["key"]}
        server("GET", "/nodes", None, **{"x-api-key": rotated["key"]})
        server("GET", "/nodes", None, **{"x-api-key": rotated["key"] + "x"})


def use(server: Server) -> list[str]:
    """Runs whose nodes quote the secrets, here and by workers over HTTP."""
    runs = [
        server("POST", "/graphs/vault/runs", {"inputs": {"how": how}, "tags": {"a": SEEN}})["run_id"]
        for how in WAYS
    ]
    runs.append(server("POST", "/graphs/choosy/runs", {})["run_id"])
    far = server("POST", "/graphs/far/runs", {})["run_id"]
    wanted = {"nodes": ["remote"], "wait_seconds": 20}
    (work,) = _eventually(lambda: server("POST", "/work/poll", wanted, given=True)["work"])
    assert work["secrets"] == VALUES
    error = {"kind": "Oops", "message": f"{SEEN} {CANARY}", "traceback": f"{PEM!r}", "lease": work["lease"]}
    server("POST", f"/work/{work['state_id']}/error", error)
    server("POST", f"/work/{work['state_id']}/error", error)
    server("POST", "/v0/namespace/default/graph/old/trigger", {})
    body = {"nodes": ["old"], "batch_size": 1}
    (state,) = _eventually(lambda: server("POST", "/v0/namespace/default/states/enqueue", body)["states"])
    path = f"/v0/namespace/default/state/{state['state_id']}"
    assert server("GET", f"{path}/secrets", given=True)["secrets"] == VALUES
    server("POST", f"{path}/errored", {"error": f"401 for {CANARY}"})
    for run in runs:
        ended = _eventually(partial(_ended, server, run))
        assert ended["status"] in {"SUCCEEDED", "FAILED"}, ended
    return [*runs, far]


def read_all(server: Server, runs: list[str]) -> None:
    """Every answer that the API gives, by its own description."""
    paths = server("GET", "/v1/openapi.json")["paths"]
    names = {"namespace": "default", "graph": "vault", "node": "use", "trigger": "x", "version": "1"}
    reads = [path for path, methods in paths.items() if "get" in methods]
    assert len(reads) > 15
    for run in runs:
        state = server("GET", f"/runs/{run}/states")["states"][0]["state_id"]
        ids = {**names, "run": run, "run_id": run, "state": state, "state_id": state, "name": "vault"}
        for path in reads:
            if "{" in path.replace("{namespace}", "") and "run" not in path and run != runs[0]:
                continue
            server("GET", path.format_map(defaultdict(lambda: "x", ids)))
    for path in ("/graphs/", "/nodes/", "/runs/1/50", *(f"/states/run/{run}/graph" for run in runs)):
        server("GET", f"/v0/namespace/default{path}")


def command_all(runs: list[str]) -> Iterator[tuple[str, str]]:
    for words in (
        ("runs",),
        ("keys",),
        ("audit",),
        ("stats",),
        ("doctor",),
        ("triggers",),
        *((word, run) for word in ("show", "logs", "export") for run in (runs[0], runs[2], runs[-1])),
        ("trigger", "vault", "-i", "how=raise"),
        ("retry", runs[0]),
        ("rerun", runs[-3], "--from", "use"),
        ("show", "nothing"),
    ):
        for more in (("--json",), ("--traceback",) if words[0] == "show" else ()):
            output = karman(*words, *more, "--db", "runs.db")
            yield " ".join(words), output.out + output.err


def test_no_secret_is_written_anywhere(empty_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    write("vault.py", NODES)
    with serving(empty_folder) as server:
        plant(server)
        runs = use(server)
        read_all(server, [runs[0], *runs[-2:]])
        printed = [*command_all(runs)]
        live = [*of_folder(empty_folder)]
    written = [*server.answers, *printed, *live, *of_folder(empty_folder), ("logs here", logged(caplog))]
    secrets = {"admin key": ADMIN, **VALUES, **server.keys}
    parts = {f"secret part of {name}": key.rpartition(".")[2] for name, key in server.keys.items()}

    leaks = {where: found for where, text in written if (found := quoted(text, secrets | parts))}

    assert leaks == {}
    for kind in ("GET /runs/", "show ", "logs ", "export ", "items"):
        assert any(SEEN in text for where, text in written if where.startswith(kind)), kind
    assert any(SEEN in text for where, text in live if re.fullmatch("[0-9a-f]{64}", where)), "blobs"
    assert any("**********" in text for where, text in live if where == "items")


class Keys(BaseModel):
    api_key: str
    pem: str


@node
def quote(how: str, secrets: Keys) -> str:
    if how == "raise":
        raise ValueError(f"{SEEN}: {secrets.api_key} {secrets.pem!r}")
    return SEEN + " ".join(sha256(str(number).encode()).hexdigest() for number in range(1_000))


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What goes out to AWS: operation, and all of the request but its signature."""
    found: list[tuple[str, str]] = []
    send = Endpoint.make_request

    def record(self: Endpoint, operation: Any, request: dict[str, Any]) -> Any:
        text = of_request(request["body"]) + str({**request["headers"]}) + request["url"]
        found.append((f"{operation.service_model.service_name} {operation.name}", text))
        return send(self, operation, request)

    monkeypatch.setattr(Endpoint, "make_request", record)
    return found


@pytest.mark.slow
def test_on_aws_secrets_go_to_parameter_store_alone(
    sent: list[tuple[str, str]], caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("botocore", "boto3", "urllib3"):
        logging.getLogger(name).setLevel(logging.NOTSET)
    caplog.set_level(logging.DEBUG)
    logging.getLogger("moto").setLevel(logging.WARNING)  # the services, which may know
    graph = Graph("quoting", retry=Retry.fixed(1, delay=0.001))
    graph.add(quote)
    with mock_aws(), deployed() as deployment:
        runs = _run_on_aws(deployment, graph)
        views = [repr(deployment.view(run)) for run in runs]
        parameters = _parameters(deployment)
    captured = capsys.readouterr()
    told = [("logs", logged(caplog)), ("out", captured.out), ("err", captured.err), ("views", str(views))]

    leaks = {where for where, text in [*sent, *told] if quoted(text, VALUES)}

    assert leaks == {"ssm PutParameter"}
    assert {each["Type"] for each in parameters} == {"SecureString"}
    assert len(parameters) == 2
    for operation in ("dynamodb", "s3 PutObject"):
        assert any(SEEN in text for where, text in sent if where.startswith(operation)), operation
    assert "attempt failed" in logged(caplog)
    assert "**********" in logged(caplog)


def _run_on_aws(deployment: Deployment, graph: Graph) -> list[str]:
    settings = load_settings({**deployment.environment, "KARMAN_BACKEND": "aws"})

    async def work() -> list[str]:
        with assembled(settings, None, nodes=graph.nodes, observer=RunLog()) as assembly:
            engine: Engine = assembly.engine
            await engine.register_nodes(NAMESPACE, assembly.executor.registered(RUNTIME))
            view = await engine.put_graph(NAMESPACE, graph.definition(), secrets=VALUES)
            assert view.valid, view.problems
            runs = [
                (await engine.trigger(NAMESPACE, "quoting", inputs={"how": how})).run_id
                for how in ("raise", "large")
            ]

            async def ended() -> None:
                for run in runs:
                    while not (await engine.get_run(NAMESPACE, run)).ended:
                        await assembly.clock.sleep(0.01)

            await assembly.worker([f"{NAMESPACE}/{RUNTIME}"]).run_until(ended())
            return runs

    return deployment.run(work())


def _parameters(deployment: Deployment) -> list[dict[str, Any]]:
    clients = deployment.backend.clients
    page = clients.ssm.get_parameters_by_path(Path=f"/{deployment.name}/", Recursive=True)
    return [dict(each) for each in page["Parameters"]]


def test_what_a_secret_is_in_is_shown_by_nobody() -> None:
    """Not by the things that hold it, if they are printed, logged or asserted on."""
    client = AsyncClient("http://127.0.0.1:1", api_key=CANARY, namespace="n")
    key = IssuedKey(id="i", name="n", scopes=(), created_ms=1, key=CANARY)
    work = Work(
        state_id="s",
        lease="l",
        run_id="r",
        graph="g",
        identifier="i",
        node_name="n",
        inputs={},
        secrets={"api_key": CANARY},
        attempt=1,
        turn=0,
        timeout_seconds=None,
        until_ms=0,
        resumed=None,
        trace_parent=None,
    )
    settings = load_settings({"KARMAN_API_KEY": CANARY})
    assert quoted("".join(map(repr, (client, vars(client), key, work, settings))), {"it": CANARY}) == set()
    assert json.dumps(VALUES)  # which is what the canaries would look like
