from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.exosphere.sdk import Exosphere, sdk_python, server

ALL = ["Echo", "Shout", "Silent", "Fan", "PruneAll", "PruneOdd", "FailLast", "Counted", "Later", "TellSecret"]


@pytest.fixture(scope="session")
def python() -> Path:
    return sdk_python()


@pytest.fixture(scope="session")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with server(tmp_path_factory.mktemp("exosphere") / "karman.db") as url:
        yield url


@pytest.fixture(scope="session")
def exosphere(python: Path, url: str) -> Iterator[Exosphere]:
    """A namespace with a runtime that has every node that ends by itself."""
    user = Exosphere(python, url, "shared")
    with user.runtime(*ALL):
        yield user
