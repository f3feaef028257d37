"""Each test of the command line has an empty working folder, and leaves nothing behind in the process."""

import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in [name for name in os.environ if name.startswith("KARMAN_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("KARMAN_PORT", "0")  # tests run side by side
    monkeypatch.setenv("COLUMNS", "200")
    modules, handlers, level = set(sys.modules), list(logging.root.handlers), logging.root.level
    yield tmp_path
    for name in set(sys.modules) - modules:
        file = getattr(sys.modules[name], "__file__", None)
        if file is not None and Path(file).is_relative_to(tmp_path):
            del sys.modules[name]
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
