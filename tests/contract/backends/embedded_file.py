"""The embedded backend on a file, on a clock that tests move."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from tests.contract.backends import PORT_NAMES, BackendPorts
from tests.contract.backends.embedded_memory import open_embedded

PORTS = frozenset(PORT_NAMES)
GAPS: Mapping[str, str] = {}


def unavailable() -> str | None:
    return None


def open_ports(tmp_path: Path) -> AbstractAsyncContextManager[BackendPorts]:
    return open_embedded("embedded_file", tmp_path / "karman.db")
