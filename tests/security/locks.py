"""The lock files, as audit and bill of materials read them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DEVELOPMENT = ROOT / "requirements" / "dev.txt"
INSTALLER = ROOT / "requirements" / "bootstrap.txt"
FUNCTIONS = ROOT / "infra" / "karman_infra" / "bundles" / "requirements.txt"
ALL = (INSTALLER, DEVELOPMENT, FUNCTIONS)

_PIN = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Pin:
    """A package at a version, with the SHA-256 of each file that may be installed."""

    name: str
    version: str
    hashes: tuple[str, ...]


def pins(lock: Path) -> Iterator[Pin]:
    """What a lock file has."""
    text = lock.read_text(encoding="utf-8").replace("\\\n", " ")
    for line in text.splitlines():
        found = _PIN.match(line)
        if found is not None:
            yield Pin(found["name"], found["version"], tuple(_HASH.findall(line)))
