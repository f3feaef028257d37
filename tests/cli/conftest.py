"""Each test of the command line has an empty working folder, and leaves nothing behind in the process."""

import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("KARMAN_DB", "KARMAN_NAMESPACE", "KARMAN_DEBUG", "KARMAN_RUNTIME", "KARMAN_LOG_LEVEL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    modules, handlers, level = set(sys.modules), list(logging.root.handlers), logging.root.level
    yield tmp_path
    for name in set(sys.modules) - modules:
        file = getattr(sys.modules[name], "__file__", None)
        if file is not None and Path(file).is_relative_to(tmp_path):
            del sys.modules[name]
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
