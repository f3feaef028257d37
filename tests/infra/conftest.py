"""One synthesis for all tests of a run: it takes seconds, and the processes of pytest-xdist share it."""

import fcntl
from pathlib import Path

import pytest

from tests.infra.synthesis import synthesize
from tests.infra.templates import Template, read_templates


@pytest.fixture(scope="session")
def assembly(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The folder that `stacks.py` was synthesized to."""
    base = tmp_path_factory.getbasetemp()
    shared = base if worker_id == "master" else base.parent
    folder = shared / "cdk.out"
    with (shared / "cdk.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared / "cdk.done").exists():
            synthesize(folder)
            (shared / "cdk.done").touch()
    return folder


@pytest.fixture(scope="session")
def templates(assembly: Path) -> dict[str, Template]:
    """By the stack's name."""
    return read_templates(assembly)


@pytest.fixture(scope="session")
def dev(templates: dict[str, Template]) -> Template:
    """The control plane as it comes."""
    return templates["Karman-dev"]


@pytest.fixture(scope="session")
def examples(templates: dict[str, Template]) -> Template:
    """The examples' node functions."""
    return templates["Karman-dev-Examples"]


@pytest.fixture(scope="session")
def elsewhere(templates: dict[str, Template]) -> Template:
    """One runtime of each kind, beside `dev`."""
    return templates["Karman-dev-Elsewhere"]


@pytest.fixture(scope="session")
def prod(templates: dict[str, Template]) -> Template:
    """Everything at once, with all that can be configured."""
    return templates["Karman-prod"]
