"""Deployed once for all tests of this folder, which are run by `make test-aws` alone: they take minutes."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest

from karman import Client
from tests import emulators
from tests.e2e_aws.deployment import ACCOUNT, CDK, Account, start_account

HERE = Path(__file__).parent
APP = HERE / "app.py"


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
        return {"karman": {"stage": "e2e", "bundle_for": "host"}, "nodes": str(self.nodes)}

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
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

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
def client(deployed: Deployed) -> Iterator[Client]:
    """The SDK's, with a key that was made as the documentation says."""
    issued = deployed.karman("keys", "create", "e2e", "--scope", "admin")
    with Client(deployed.output("ApiUrl"), api_key=issued["key"], transport=LocalTransport()) as karman:
        assert karman.health().status == "ok"
        yield karman


@pytest.fixture(scope="session")
def container(
    deployed: Deployed, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[subprocess.Popen[bytes]]:
    """A worker as its image starts it."""
    log = tmp_path_factory.mktemp("container") / "log"
    variables = {
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
            process.wait(45)
        finally:
            process.kill()
            sys.stdout.write(log.read_text(encoding="utf-8", errors="replace")[-3000:])
