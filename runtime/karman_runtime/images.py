"""The folder that an image of a container worker is built from: what the Dockerfile copies, and nothing else."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from karman_core.domain.errors import InvalidRequest

DOCKERFILE: Final = Path(__file__).with_name("image") / "Dockerfile"

PACKAGES: Final = ("karman", "karman_core", "karman_runtime")
"""Karman's packages that a worker needs."""

LEFT_OUT: Final = (
    "__pycache__",
    "*.pyc",
    ".*",  # version control, virtual environments, caches, and files with secrets (.env)
    "*.egg-info",
    "node_modules",
    "venv",
)
"""Names of files and folders of the user's that are in no image."""


def stage(app: Path, requirements: Path, target: Path, *, exclude: Sequence[str] = ()) -> Path:
    """Fill a folder for `docker build`.

    Args:
        app: the user's folder; modules are named from there.
        requirements: Karman's dependencies, with versions and hashes.
        target: is made; must not exist.
        exclude: patterns of names that are left out of the user's folder, beside LEFT_OUT.

    Returns:
        The target.

    Raises:
        InvalidRequest: there is no such folder or file, or the target exists or lies in the folder.
    """
    if not app.is_dir():
        raise InvalidRequest(f"There is no folder {app}; name the one that the modules are imported from.")
    if not requirements.is_file():
        raise InvalidRequest(f"There is no file {requirements}.")
    if target.exists():
        raise InvalidRequest(f"{target} exists; name a new folder.")
    if target.resolve().is_relative_to(app.resolve()):
        raise InvalidRequest(f"{target} lies in {app}, and would contain itself; name a folder elsewhere.")
    target.mkdir(parents=True)
    shutil.copyfile(DOCKERFILE, target / "Dockerfile")
    shutil.copyfile(requirements, target / "requirements.txt")
    shutil.copytree(app, target / "app", ignore=shutil.ignore_patterns(*LEFT_OUT, *exclude))
    for package in PACKAGES:
        own = shutil.ignore_patterns("__pycache__", "*.pyc")
        shutil.copytree(_folder_of(package), target / "karman" / package, ignore=own)
    return target


def _folder_of(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise InvalidRequest(f"The package {package} is not installed here.")
    return Path(spec.origin).parent
