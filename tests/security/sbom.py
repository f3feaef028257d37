"""`make sbom`: bills of materials (CycloneDX 1.6, JSON) of what is shipped, from the locks with hashes.

    python -m tests.security.sbom FOLDER

`functions.cdx.json` is what is packaged for Lambda, `wheel.cdx.json` what the wheel with all its extras is developed
and tested with. The same locks give the same files.
"""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING

from cyclonedx.model import Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.security.locks import DEVELOPMENT, FUNCTIONS, Pin, pins

if TYPE_CHECKING:
    from packaging.utils import NormalizedName

HASH = "karman:lock:sha256"
_EXTRAS = ("worker", "server", "deploy")


def bill(name: str, locked: Iterable[Pin]) -> str:
    """The document, with a component for each package. Its serial number is of its contents."""
    parts = [_component(pin) for pin in sorted(locked, key=lambda pin: pin.name)]
    own = version("karman")
    root = Component(
        name=name,
        version=own,
        type=ComponentType.APPLICATION,
        bom_ref=f"karman/{name}",
        purl=PackageURL("pypi", name="karman", version=own),
    )
    bom = Bom(components=parts)
    bom.metadata.component = root
    bom.metadata.timestamp = None  # type: ignore[assignment]  # may be left out, and would differ each time
    bom.register_dependency(root, parts)
    contents = " ".join(f"{part.purl}" for part in parts)
    bom.serial_number = uuid.uuid5(uuid.NAMESPACE_URL, f"{root.purl} {name} {contents}")
    return JsonV1Dot6(bom).output_as_string(indent=2)


def of_functions() -> list[Pin]:
    """What is packaged for Lambda."""
    return list(pins(FUNCTIONS))


def of_wheel() -> list[Pin]:
    """What the wheel needs with every extra, at the versions that development has."""
    wanted = _needed("karman", _EXTRAS)
    return [pin for pin in pins(DEVELOPMENT) if canonicalize_name(pin.name) in wanted]


def _needed(package: str, extras: Iterable[str]) -> set[NormalizedName]:
    """What a package needs here, and what that needs."""
    found: set[NormalizedName] = set()
    waiting: list[tuple[str, frozenset[str]]] = [(package, frozenset(extras))]
    while waiting:
        name, chosen = waiting.pop()
        for text in _requirements(name):
            one = Requirement(text)
            marker = one.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in (*chosen, "")):
                known = canonicalize_name(one.name)
                if known not in found or one.extras:
                    found.add(known)
                    waiting.append((one.name, frozenset(one.extras)))
    return found


def _requirements(name: str) -> list[str]:
    try:
        return requires(name) or []
    except PackageNotFoundError:  # for another platform
        return []


def _component(pin: Pin) -> Component:
    purl = PackageURL("pypi", name=canonicalize_name(pin.name), version=pin.version)
    return Component(
        name=pin.name,
        version=pin.version,
        type=ComponentType.LIBRARY,
        bom_ref=str(purl),
        purl=purl,
        properties=[Property(name=HASH, value=value) for value in sorted(pin.hashes)],
    )


def write(folder: Path) -> list[Path]:
    """Write both files."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, locked in (("functions", of_functions()), ("wheel", of_wheel())):
        path = folder / f"{name}.cdx.json"
        path.write_text(bill(name, locked) + "\n", encoding="utf-8")
        written.append(path)
    return written


if __name__ == "__main__":
    for path in write(Path(sys.argv[1])):
        print(path)  # noqa: T201  a command
