"""Templates as text that a person can compare. `python -m tests.infra.snapshots` writes them anew."""

import re
import tempfile
from importlib.metadata import version
from pathlib import Path

import yaml

from tests.infra.synthesis import synthesize
from tests.infra.templates import Template, read_templates, rendered

FOLDER = Path(__file__).with_name("snapshots")

SNAPSHOTS: dict[str, tuple[Path, str, str | tuple[str, ...]]] = {
    "control_plane": (FOLDER / "control_plane.yaml", "Karman-dev", ""),
    "node_function": (FOLDER / "node_function.yaml", "Karman-dev-Elsewhere", "Functions"),
    "container_runtime": (FOLDER / "container_runtime.yaml", "Karman-dev-Elsewhere", "Containers"),
    "watching": (FOLDER / "watching.yaml", "Karman-live", ("KarmanControlPlaneAlarms", "KarmanDashboard")),
    "external_runtime": (FOLDER / "external_runtime.yaml", "Karman-dev-Elsewhere", "External"),
}
"""Where it is, of which stack, and how the logical ids begin that are in it."""

_ASSET = re.compile(r"\b[0-9a-f]{64}\b")
_VERSION = re.compile(r"(CurrentVersion[0-9A-F]{8})[0-9a-f]{32}")


def snapshot(template: Template, begins: str | tuple[str, ...]) -> str:
    """The resources without hashes of what is packaged, which change with every line of code."""
    resources = {
        logical: {
            name: each for name, each in rendered(resource).items() if name not in {"Metadata", "DependsOn"}
        }
        for logical, resource in template.raw["Resources"].items()
        if logical.startswith(begins)
    }
    text = yaml.safe_dump(resources, sort_keys=True, width=118)
    text = text.replace(f"Karman {version('karman')}, stage", "Karman, stage")
    return _VERSION.sub(r"\1", _ASSET.sub("ASSET", text))


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        synthesize(Path(folder))
        templates = read_templates(Path(folder))
    for path, stack, begins in SNAPSHOTS.values():
        path.write_text(snapshot(templates[stack], begins), encoding="utf-8")


if __name__ == "__main__":
    main()
