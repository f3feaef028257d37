"""Builds bundles: zip files that are the same, byte for byte, for the same contents, and are built once.

A bundle's hash is that of everything that goes into it, so neither the machine nor the hour it was built at makes
`cdk diff` see a change.
"""

from __future__ import annotations

import hashlib
import os
import platform
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Final, Literal

from karman_core.domain.errors import InvalidRequest
from karman_infra.bundles.dependencies import LOCK, install, trimmed
from karman_infra.bundles.sources import LEFT_OUT, Files, NodeSource, own_files

CONTROL_PACKAGES: Final = ("karman_core", "karman_functions")
NODE_PACKAGES: Final = ("karman", "karman_core", "karman_runtime")

PYTHON_VERSION: Final = "3.13"
MAX_UNPACKED_BYTES: Final = 250 * 1024 * 1024
"""Lambda: of a function with all its layers."""

CACHE: Final = Path(".cache") / "karman-bundles"
_DATE: Final = (1980, 1, 1, 0, 0, 0)
_MODE: Final = 0o100644 << 16
_PLATFORMS: Final = {"arm64": "aarch64-manylinux_2_28", "x86_64": "x86_64-manylinux_2_28"}


@dataclass(frozen=True, slots=True)
class Target:
    """For which machine a bundle is: Lambda's of an architecture, or this one."""

    architecture: Literal["arm64", "x86_64"] = "arm64"
    host: bool = False

    @property
    def options(self) -> Sequence[str]:
        """Uv's."""
        if self.host:
            return ("--python", sys.executable)
        return ("--python-platform", _PLATFORMS[self.architecture], "--python-version", PYTHON_VERSION)

    @property
    def name(self) -> str:
        """For the hash, and for the names of files."""
        if self.host:
            return f"host-{sys.implementation.cache_tag}-{platform.machine()}-{sys.platform}"
        return f"lambda-{PYTHON_VERSION}-{self.architecture}"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A zip file, and the hash of all that went into it."""

    path: Path
    hash: str


def control_bundle(target: Target, cache: Path = CACHE) -> Bundle:
    """What all functions of the control plane share."""
    return _bundle("control", own_files(CONTROL_PACKAGES), _dependencies(target, (), cache), cache)


def node_bundle(
    target: Target, source: NodeSource, services: Sequence[str] = (), cache: Path = CACHE
) -> Bundle:
    """A user's nodes, what they ask for, and the runtime.

    Raises:
        InvalidRequest: what the user's folder asks for cannot be installed, or is too large; or the folder has a
            module that would hide one of Karman's or of its dependencies.
    """
    needed = {**_dependencies(target, services, cache), **own_files(NODE_PACKAGES)}
    users = source.files()
    hidden = {path.parts[0].removesuffix(".py") for path in users} & {
        path.parts[0].removesuffix(".py") for path in needed
    }
    if hidden:
        names = ", ".join(sorted(hidden))
        raise InvalidRequest(
            f"{source.folder} has modules that would hide libraries of Karman: {names}; rename them."
        )
    asked = _requirements(target, source.requirements(), cache)
    return _bundle("nodes", {**needed, **asked, **users}, {}, cache)


def _bundle(name: str, files: Files, more: Files, cache: Path) -> Bundle:
    contents = {**more, **files}
    size = sum(path.stat().st_size for path in contents.values())
    if size > MAX_UNPACKED_BYTES:
        raise InvalidRequest(
            f"The function would have {size / 1e6:,.0f} MB; Lambda takes {MAX_UNPACKED_BYTES / 1e6:,.0f} MB. "
            "Run these nodes in a ContainerRuntime, or leave files out with `exclude`."
        )
    digest = hash_of(contents)
    path = cache_folder(cache) / f"{name}-{digest[:32]}.zip"
    if not path.is_file():
        _write(path, contents)
    return Bundle(path, digest)


def hash_of(files: Files, *texts: str) -> str:
    """Of files with their places, and of what else matters."""
    digest = hashlib.sha256("\0".join(texts).encode())
    for place in sorted(files):
        data = files[place].read_bytes()
        digest.update(f"{place}\0{len(data)}\0".encode())
        digest.update(data)
    return digest.hexdigest()


def _write(path: Path, files: Files) -> None:
    """Beside its place first, so that no build that breaks off, or runs at the same time, leaves half a file."""
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as part:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
            for place in sorted(files):
                entry = zipfile.ZipInfo(str(place), _DATE)
                entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, _MODE
                archive.writestr(entry, files[place].read_bytes())
        part.flush()
    Path(part.name).replace(path)


def _dependencies(target: Target, services: Sequence[str], cache: Path) -> Files:
    """The files of what Karman needs; installed once for each lock file and platform."""
    return trimmed(_installed(target, LOCK.read_text(encoding="utf-8"), cache, own=True), services)


def _requirements(target: Target, requirements: str, cache: Path) -> Files:
    """The files of what a user asks for, in versions that go with Karman's."""
    if not any(line.strip() and not line.lstrip().startswith("#") for line in requirements.splitlines()):
        return {}
    return _installed(target, requirements, cache, own=False)


@cache
def _installed(target: Target, requirements: str, cache: Path, *, own: bool) -> Files:
    text = "\0".join([target.name, requirements, LOCK.read_text(encoding="utf-8")])
    folder = cache_folder(cache) / f"{target.name}-{hashlib.sha256(text.encode()).hexdigest()[:32]}"
    if not folder.is_dir():
        with tempfile.TemporaryDirectory(dir=folder.parent, suffix=".part") as part:
            wanted, into = Path(part) / "requirements.txt", Path(part) / "files"
            wanted.write_text(requirements, encoding="utf-8")
            constraints = None if own else _constraints(part)
            install(into, wanted, platform=target.options, constraints=constraints, hashes=own)
            try:
                into.rename(folder)
            except OSError:  # another process was first
                if not folder.is_dir():
                    raise
    return {PurePosixPath(path.relative_to(folder).as_posix()): path for path in _all_files(folder)}


def _constraints(folder: str) -> Path:
    """The lock file without its hashes: a constraint must not ask for hashes of what is not in it."""
    lines = LOCK.read_text(encoding="utf-8").splitlines()
    pins = [line.removesuffix("\\").strip() for line in lines if line[:1].isalnum()]
    path = Path(folder) / "constraints.txt"
    path.write_text("\n".join(pins), encoding="utf-8")
    return path


def _all_files(folder: Path) -> Sequence[Path]:
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in LEFT_OUT]
        found += [Path(parent) / name for name in names if not name.endswith(".pyc")]
    return found


def cache_folder(path: Path) -> Path:
    """The folder, made if it is not there, out of the sight of git."""
    path.mkdir(parents=True, exist_ok=True)
    ignore = path / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n", encoding="utf-8")
    return path.resolve()
