"""What Karman needs in Lambda, from a lock file with hashes, installed for Lambda's platform by uv.

The lock file pins what `pyproject.toml` asks for, less what is only for other machines (a command line, a server).
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Collection, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

import uv

from karman_core.domain.errors import InvalidRequest
from karman_infra.bundles.sources import Files

LOCK: Final = Path(__file__).with_name("requirements.txt")

SERVICES: Final = ("dynamodb", "events", "s3", "scheduler", "sqs", "ssm", "sts")
"""The AWS services that Karman's backend calls. Of botocore's 400 models only theirs are packaged: the others would
take most of the room. A node that calls other services names them (`NodeFunction(services=...)`), or has boto3 in its
own requirements."""

_SECONDS: Final = 600
_MODELS: Final = ("botocore", "data")
_DEEP: Final = 3
"""A service's models are in a folder; files beside them are for all services."""

_NOT_NEEDED: Final = (("boto3", "data"), ("boto3", "examples"))
_RECORDS: Final = ("INSTALLER", "RECORD", "REQUESTED")


def install(
    target: Path,
    requirements: Path,
    *,
    platform: Sequence[str],
    constraints: Path | None = None,
    hashes: bool = False,
) -> None:
    """Install into a folder, wheels alone. Raises InvalidRequest with what uv says."""
    command = [uv.find_uv_bin(), "pip", "install", "--quiet", "--color", "never", "--target", str(target)]
    command += ["--only-binary", ":all:", "--link-mode", "copy", *platform]
    command += ["--constraint", str(constraints)] if constraints else []
    command += ["--require-hashes"] if hashes else []
    command += ["--requirement", str(requirements)]
    done = subprocess.run(  # noqa: S603  uv's own path, and arguments made here
        command, check=False, capture_output=True, text=True, timeout=_SECONDS
    )
    if done.returncode:
        raise InvalidRequest(f"{requirements} cannot be installed for Lambda:\n{done.stderr.strip()}")
    for leftover in ("bin", ".lock"):
        _remove(target / leftover)


def trimmed(files: Files, services: Sequence[str]) -> Files:
    """Without what no function loads. Raises InvalidRequest for a service that botocore does not know."""
    known = {place.parts[2] for place in files if place.parts[:2] == _MODELS and len(place.parts) > _DEEP}
    unknown = sorted(set(services) - known)
    if unknown:
        raise InvalidRequest(f"boto3 does not know these services: {', '.join(unknown)}.")
    unused = known - {*SERVICES, *services}
    return {place: path for place, path in files.items() if not _is_left_out(place, unused)}


def _is_left_out(place: PurePosixPath, unused: Collection[str]) -> bool:
    parts = place.parts
    if parts[:2] == _MODELS:
        return parts[2] in unused
    return parts[:2] in _NOT_NEEDED or (parts[0].endswith(".dist-info") and place.name in _RECORDS)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
