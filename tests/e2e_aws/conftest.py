"""Deployed once for all tests of this folder, which are run by `make test-aws` alone: they take minutes."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest

from karman import Client
from karman_core.domain.message_bodies import encode
from karman_core.domain.messages import Advance, Position, RunRef
from tests import emulators
from tests.e2e_aws.calls import ACCOUNT, KEY, THROTTLED, Call, read_calls
from tests.e2e_aws.deployment import CDK, SECONDS, Account, start_account
from tests.e2e_aws.nodes.flow import exits, hangs, survives, writes

HERE = Path(__file__).parent
APP = HERE / "app.py"
LETTERS = "abcdefghijklmnopqrstuvwxyz"
CONTAINER = "container"
"""The worker of that name in lists of calls."""


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    """Only who names this folder means it."""
    named = any("e2e_aws" in each for each in config.invocation_params.args)
    return None if named else True


class LocalTransport(httpx.HTTPTransport):
    """The API's host name says which API it is; there is no DNS that knows it."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.url = request.url.copy_with(host="127.0.0.1")
        return super().handle_request(request)


@dataclass(frozen=True)
class Deployed:
    """The stacks, as they are deployed."""

    account: Account
    nodes: Path
    outputs: Mapping[str, str]

    @property
    def context(self) -> dict[str, object]:
        config = {"stage": "e2e", "bundle_for": "host", "dead_letters_minutes": 1}
        return {"karman": config, "nodes": str(self.nodes)}

    def cdk(self, *words: str) -> str:
        return self.account.cdk(*words, app=APP, context=self.context)

    def output(self, part: str) -> str:
        (found,) = [value for name, value in self.outputs.items() if part in name]
        return found

    @property
    def environment(self) -> dict[str, str]:
        """What the stack tells workers and commands, as a person would paste it."""
        told = dict(each.split("=", 1) for each in self.output("Environment").split())
        return {**self.account.environment, **told}

    def karman(self, *words: str) -> Any:
        """A command of Karman's on the deployment; its JSON."""
        done = subprocess.run(
            [str(Path(sys.executable).with_name("karman")), *words, "--json"],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    @property
    def calls(self) -> list[Call]:
        """What functions and the container have called so far."""
        return read_calls(self.account.folder)

    @contextmanager
    def throttled_table(self, who: str) -> Iterator[None]:
        """Meanwhile the table has no capacity for a function."""
        fault = self.account.folder / THROTTLED
        fault.write_text(who, encoding="utf-8")
        try:
            yield
        finally:
            fault.unlink()

    def boto(self, service: str) -> Any:
        return boto3.client(
            service,  # type: ignore[call-overload]
            endpoint_url=self.account.endpoint,
            region_name=emulators.REGION,
            aws_access_key_id=emulators.ACCESS_KEY,
            aws_secret_access_key=emulators.SECRET_KEY,
        )


@pytest.fixture(scope="session")
def account(tmp_path_factory: pytest.TempPathFactory) -> Account:
    if (why := emulators.why_not_ministack()) is not None:
        pytest.skip(why)
    if not CDK.exists():
        pytest.skip("no CDK command line: run `npm ci`")
    account = start_account(tmp_path_factory.mktemp("cdk"))
    account.cdk(
        "bootstrap", f"aws://{ACCOUNT}/{emulators.REGION}", app=APP, context={"nodes": str(HERE / "nodes")}
    )
    return account


@pytest.fixture(scope="session")
def deployed(account: Account, tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    """The control plane, the examples and the test's own nodes."""
    nodes = tmp_path_factory.mktemp("source") / "nodes"
    shutil.copytree(HERE / "nodes", nodes, ignore=shutil.ignore_patterns("__pycache__"))
    file = account.folder / "outputs.json"
    before = Deployed(account, nodes, {})
    before.cdk("deploy", "--all", "--require-approval", "never", "--outputs-file", str(file))
    stacks = json.loads(file.read_text(encoding="utf-8"))
    outputs = {name: value for stack in stacks.values() for name, value in stack.items()}
    return Deployed(account, nodes, outputs)


@pytest.fixture(scope="session")
def key(deployed: Deployed) -> str:
    """One that was made as the documentation says."""
    return str(deployed.karman("keys", "create", "e2e", "--scope", "admin")["key"])


@pytest.fixture(scope="session")
def client(deployed: Deployed, key: str) -> Iterator[Client]:
    """The SDK's."""
    with Client(deployed.output("ApiUrl"), api_key=key, transport=LocalTransport()) as karman:
        assert karman.health().status == "ok"
        yield karman


@pytest.fixture(scope="session")
def container(
    deployed: Deployed, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[subprocess.Popen[bytes]]:
    """A worker as its image starts it."""
    log = tmp_path_factory.mktemp("container") / "log"
    variables = {
        "AWS_ACCESS_KEY_ID": f"{KEY}{CONTAINER}",
        "KARMAN_RUNTIME": "container",
        "KARMAN_HEALTH_PORT": "0",
        "KARMAN_LOG_LEVEL": "info",
        "PYTHONPATH": os.pathsep.join([str(deployed.nodes.parent)]),
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "karman_runtime.container", "nodes.measuring"],
            cwd=deployed.nodes.parent,
            env={**deployed.environment, **variables},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(SECONDS)
        finally:
            process.kill()
            sys.stdout.write(log.read_text(encoding="utf-8", errors="replace")[-3000:])


@dataclass(frozen=True)
class Faults:
    """What was begun before all tests, since it takes a while to end badly. Ids of runs, but for the message."""

    exits: str
    hangs: str
    survives: str
    poison: str
    poison_id: str


@pytest.fixture(scope="session", autouse=True)
def faults(deployed: Deployed, client: Client) -> Faults:
    """Nodes that end or hold up their function, one that shares it with them, and a message that fails each time."""
    for graph in (exits, hangs, survives, writes):
        view = client.put_graph(graph, secrets={"letters": LETTERS} if graph is writes else None)
        assert view.valid, view.problems
    begun = {name: client.trigger(name).run_id for name in ("exits", "hangs", "survives")}
    sqs = deployed.boto("sqs")
    # Of a version of the graph that nobody ever stored.
    run = RunRef("default", begun["exits"], "exits", 99, 0, 10**15)
    poison = encode(Advance(Position(run, (), 0, "exit")))
    queue = sqs.get_queue_url(QueueName="karman-e2e-default-faulty")["QueueUrl"]
    sent = sqs.send_message(QueueUrl=queue, MessageBody=poison)
    return Faults(**begun, poison=poison, poison_id=sent["MessageId"])
