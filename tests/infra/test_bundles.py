"""Bundles: small, the same for the same contents, and complete, which a Python that has nothing else proves."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Any

import boto3
import pytest

from karman_core.backends.aws.schema import table_definition
from karman_core.domain.errors import InvalidRequest
from karman_infra.bundles import NodeSource, Target, control_bundle, node_bundle
from karman_infra.bundles.dependencies import LOCK, SERVICES
from tests import emulators

ROOT = Path(__file__).resolve().parents[2]
HARVEST = NodeSource.of(ROOT / "examples" / "api_harvest" / "harvest.py")
MOST_BYTES = 10_000_000
PREFIX = "karman-bundles"
HOST, LAMBDA = Target(host=True), Target()


def names(path: Path) -> set[str]:
    with zipfile.ZipFile(path) as archive:
        return set(archive.namelist())


# --- what is in them --------------------------------------------------------------------------------------------------


def test_bundles_for_lambda_are_small_and_for_its_platform() -> None:
    for bundle in (control_bundle(LAMBDA), node_bundle(LAMBDA, HARVEST)):
        assert bundle.path.stat().st_size < MOST_BYTES
        extensions = {name for name in names(bundle.path) if name.endswith(".so")}
        assert extensions
        assert {name for name in extensions if "aarch64" not in name} == set()
        assert {name for name in extensions if "cpython-313" not in name} == set()


def test_each_has_karmans_packages_that_it_needs_and_no_others() -> None:
    def packages(path: Path) -> set[str]:
        return {name.split("/")[0] for name in names(path) if name.startswith("karman") and "-" not in name}

    assert packages(control_bundle(LAMBDA).path) == {"karman_core", "karman_functions"}
    assert packages(node_bundle(LAMBDA, HARVEST).path) == {"karman", "karman_core", "karman_runtime"}


def test_nothing_is_in_them_that_depends_on_the_machine() -> None:
    with zipfile.ZipFile(node_bundle(LAMBDA, HARVEST).path) as archive:
        entries = archive.infolist()

    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert [entry.filename for entry in entries] == sorted(
        (entry.filename for entry in entries), key=PurePosixPath
    )
    assert not [
        entry.filename for entry in entries if re.search(r"\.pyc$|__pycache__|/RECORD$|^bin/", entry.filename)
    ]


def test_of_botocores_models_only_those_that_are_called_are_packaged() -> None:
    def services(path: Path) -> set[str]:
        found = (re.match(r"botocore/data/([^/]+)/", name) for name in names(path))
        return {match.group(1) for match in found if match}

    assert services(control_bundle(LAMBDA).path) == set(SERVICES)
    assert services(node_bundle(LAMBDA, HARVEST, ["bedrock-runtime"]).path) == {*SERVICES, "bedrock-runtime"}


def test_the_same_contents_make_the_same_bytes(tmp_path: Path) -> None:
    shutil.copytree(HARVEST.folder, tmp_path / "api_harvest", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "api_harvest" / "own.txt").write_text(str(tmp_path))  # others read their bundle meanwhile
    source = NodeSource.of(tmp_path / "api_harvest" / "harvest.py")
    first = node_bundle(LAMBDA, source)
    data = first.path.read_bytes()
    first.path.unlink()
    (tmp_path / "api_harvest" / "harvest.py").touch()
    second = node_bundle(LAMBDA, source)

    assert second.hash == first.hash
    assert second.path.read_bytes() == data

    with (tmp_path / "api_harvest" / "client.py").open("a") as file:
        file.write("# changed\n")
    assert node_bundle(LAMBDA, source).hash != first.hash


def test_the_lock_file_pins_what_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = {*project["dependencies"], *project["optional-dependencies"]["server"]}
    wanted = [
        line
        for line in LOCK.with_suffix(".in").read_text(encoding="utf-8").splitlines()
        if line[:1].isalpha()
    ]

    assert set(wanted) <= asked
    assert {line.split(">")[0] for line in project["dependencies"]} <= {line.split(">")[0] for line in wanted}
    pinned = set(re.findall(r"(?m)^([a-z0-9-]+)==", LOCK.read_text(encoding="utf-8")))
    assert {line.split(">")[0].lower() for line in wanted} <= pinned


# --- a user's folder --------------------------------------------------------------------------------------------------


def test_a_folder_with_requirements(tmp_path: Path) -> None:
    (tmp_path / "nodes.py").write_text("import typing_extensions\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "words.txt").write_text("words")
    (tmp_path / ".env").write_text("SECRET=1")
    (tmp_path / "requirements.txt").write_text("karman[worker]>=0.1\nsniffio\n")
    source = NodeSource.of(tmp_path, ["nodes"])

    packed = names(node_bundle(LAMBDA, source).path)

    assert {"nodes.py", "data/words.txt", "sniffio/__init__.py"} <= packed
    assert ".env" not in packed
    assert [name for name in packed if name.startswith("karman-")] == [
        f"karman-{version('karman')}.dist-info/METADATA"
    ]


@pytest.mark.parametrize(
    ("source", "modules", "said"),
    [
        ("missing.py", None, "There is no folder and no Python file"),
        ("", None, "is a folder: name the modules"),
        ("", ["other"], "There is no module other"),
    ],
)
def test_nodes_that_are_not_there(tmp_path: Path, source: str, modules: list[str] | None, said: str) -> None:
    (tmp_path / "nodes.py").touch()

    with pytest.raises(InvalidRequest, match=said):
        NodeSource.of(tmp_path / source, modules)


def test_a_module_that_would_hide_a_library(tmp_path: Path) -> None:
    (tmp_path / "nodes.py").touch()
    (tmp_path / "yaml.py").touch()

    with pytest.raises(InvalidRequest, match="hide libraries of Karman: yaml"):
        node_bundle(LAMBDA, NodeSource.of(tmp_path, ["nodes"]))


def test_a_link_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "nodes").mkdir()
    (tmp_path / "nodes" / "nodes.py").touch()
    (tmp_path / "nodes" / "passwords").symlink_to("/etc/passwd")

    with pytest.raises(InvalidRequest, match="leads out of"):
        NodeSource.of(tmp_path / "nodes", ["nodes"]).files()


def test_requirements_that_do_not_go_with_karmans(tmp_path: Path) -> None:
    (tmp_path / "nodes.py").touch()
    (tmp_path / "requirements.txt").write_text("pydantic<2\n")

    with pytest.raises(InvalidRequest, match="cannot be installed for Lambda"):
        node_bundle(LAMBDA, NodeSource.of(tmp_path, ["nodes"]))


def test_a_service_that_there_is_not() -> None:
    with pytest.raises(InvalidRequest, match="does not know these services: bedrok"):
        node_bundle(LAMBDA, HARVEST, ["bedrok"])


# --- by themselves ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Deployed:
    """An emulator with the resources that a function needs to be called."""

    endpoint: str

    @property
    def variables(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": emulators.ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": emulators.SECRET_KEY,
            "AWS_REGION": emulators.REGION,
            "AWS_DEFAULT_REGION": emulators.REGION,
            "KARMAN_TABLE": PREFIX,
            "KARMAN_PREFIX": PREFIX,
            "KARMAN_BUCKET": PREFIX,
            "KARMAN_RUNTIME": "harvest",
            "KARMAN_NODES": "api_harvest.harvest",
        }

    def client(self, service: str) -> Any:
        return boto3.client(
            service,  # type: ignore[call-overload]
            endpoint_url=self.endpoint,
            region_name=emulators.REGION,
            aws_access_key_id=emulators.ACCESS_KEY,
            aws_secret_access_key=emulators.SECRET_KEY,
        )

    def call(self, folder: Path, handler: str, *events: Any) -> list[Any]:
        done = subprocess.run(
            [
                sys.executable,
                "-I",
                "-S",
                str(Path(__file__).with_name("bundle_process.py")),
                str(folder),
                handler,
            ],
            input=json.dumps(events),
            env=self.variables,
            capture_output=True,
            text=True,
            timeout=250,
            check=False,
        )
        assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
        told = json.loads(done.stdout.rstrip().splitlines()[-1])
        assert told["strangers"] == []
        answers: list[Any] = told["answers"]
        return answers


@pytest.fixture(scope="session")
def deployed() -> Deployed:
    if (why := emulators.why_not_ministack()) is not None:
        pytest.skip(why)
    deployed = Deployed(emulators.start_ministack())
    deployed.client("dynamodb").create_table(**table_definition(PREFIX, deletion_protection=False))
    deployed.client("s3").create_bucket(Bucket=PREFIX)
    for name in (f"{PREFIX}-default-harvest", f"{PREFIX}-default-harvest-dlq"):
        deployed.client("sqs").create_queue(QueueName=name)
    return deployed


def unpacked(path: Path, folder: Path) -> Path:
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="session")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """For this machine: the same packages, as they are for its platform and Python."""
    folder = tmp_path_factory.mktemp("control")
    yield unpacked(control_bundle(HOST).path, folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("nodes")
    yield unpacked(node_bundle(HOST, HARVEST).path, folder)
    shutil.rmtree(folder)


def http(method: str, path: str) -> dict[str, Any]:
    return {
        "version": "2.0",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"host": "localhost"},
        "requestContext": {
            "http": {"method": method, "path": path, "sourceIp": "127.0.0.1"},
            "requestId": "request",
            "stage": "$default",
        },
        "isBase64Encoded": False,
    }


def record(queue: str, body: str) -> dict[str, Any]:
    return {
        "messageId": "message",
        "receiptHandle": "receipt",
        "body": body,
        "attributes": {"ApproximateReceiveCount": "11", "SentTimestamp": "1700000000000"},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:us-east-1:000000000000:{queue}",
    }


@pytest.mark.slow
def test_the_api_by_itself(deployed: Deployed, control: Path) -> None:
    health, unknown = deployed.call(
        control,
        "karman_functions.api.handler.handler",
        http("GET", "/v1/health"),
        http("GET", "/v1/namespaces/default/graphs"),
    )

    assert (health["statusCode"], unknown["statusCode"]) == (200, 401)


@pytest.mark.slow
def test_the_other_control_functions_by_themselves(deployed: Deployed, control: Path) -> None:
    firing = {
        "kind": "karman.cron",
        "namespace": "default",
        "graph": "gone",
        "trigger": "daily",
        "cron": "0 0 * * *",
        "timezone": "UTC",
        "scheduled_time": "2026-01-01T00:00:00Z",
    }
    deployed.call(control, "karman_functions.cron.handler.handler", firing)
    (letters,) = deployed.call(
        control,
        "karman_functions.dead_letters.handler.handler",
        {"Records": [record(f"{PREFIX}-default-harvest-dlq", "foreign")]},
    )
    (swept,) = deployed.call(control, "karman_functions.sweeper.handler.handler", {})
    hooks = deployed.call(control, "karman_functions.webhooks.handler.handler", {"source": "other"})

    assert letters == {"batchItemFailures": []}
    assert deployed.client("s3").list_objects_v2(Bucket=PREFIX, Prefix="dead-letters/")["KeyCount"] == 1
    assert swept["complete"] is True
    assert hooks == [{}]


@pytest.mark.slow
def test_nodes_by_themselves(deployed: Deployed, nodes: Path) -> None:
    registration, batch = deployed.call(
        nodes,
        "karman_runtime.lambda_entry.handler",
        {"karman": "register"},
        {"Records": [record(f"{PREFIX}-default-harvest", "foreign")]},
    )

    assert "FetchBatch" in registration["registered"]
    assert set(batch) == {"batchItemFailures"}


@pytest.mark.slow
def test_a_missing_dependency_does_not_go_unnoticed(deployed: Deployed, nodes: Path, tmp_path: Path) -> None:
    folder = tmp_path / "nodes"
    shutil.copytree(nodes, folder)
    shutil.rmtree(folder / "jsonschema")

    with pytest.raises(AssertionError, match="No module named 'jsonschema'"):
        deployed.call(folder, "karman_runtime.lambda_entry.handler", {"karman": "register"})


OF_OTHER_MACHINES = {
    "cryptography": {"karman_core.backends.embedded"},
    "uvicorn": {"karman_functions.local"},
}
"""What is imported by modules that run in no function."""

_IMPORT_ALL = """
import importlib, json, pkgutil, sys
sys.path[:] = [sys.argv[1], *(each for each in sys.path if "site-packages" not in each)]
missing = {}
for package in sys.argv[2:]:
    module = importlib.import_module(package)
    for found in pkgutil.walk_packages(module.__path__, f"{package}.", onerror=lambda name: None):
        if found.name.endswith("__main__"):
            continue
        try:
            importlib.import_module(found.name)
        except ModuleNotFoundError as error:
            missing[found.name] = error.name
print(json.dumps(missing))
"""


@pytest.mark.slow
def test_every_module_finds_what_it_imports(control: Path, nodes: Path) -> None:
    """Also those that no event above has led to."""
    for folder, packages in (
        (control, ("karman_core", "karman_functions")),
        (nodes, ("karman", "karman_core", "karman_runtime", "api_harvest")),
    ):
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _IMPORT_ALL, str(folder), *packages],
            capture_output=True,
            text=True,
            timeout=250,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        missing = {
            module: name
            for module, name in json.loads(done.stdout).items()
            if not any(module.startswith(part) for part in OF_OTHER_MACHINES.get(name, ()))
        }
        assert missing == {}
