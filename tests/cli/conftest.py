"""Each test of the command line has an empty working folder, and leaves nothing behind in the process."""

import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.live import PLACES, Live, Place, live
from tests.selection import with_slow


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in [name for name in os.environ if name.startswith("KARMAN_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("KARMAN_PORT", "0")  # tests run side by side
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    modules, handlers, level = set(sys.modules), list(logging.root.handlers), logging.root.level
    yield tmp_path
    for name in set(sys.modules) - modules:
        file = getattr(sys.modules[name], "__file__", None)
        if file is not None and Path(file).is_relative_to(tmp_path):
            del sys.modules[name]
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


@pytest.fixture(scope="session")
def server() -> Iterator[Live]:
    """One for all tests of a process."""
    with live() as running:
        yield running


@pytest.fixture(params=with_slow(PLACES, ["file"]))
def place(server: Live, request: pytest.FixtureRequest) -> Place:
    """The database file of the server, and the server itself: commands do the same on both."""
    return server.place(request.param)
