"""What others check: cdk-nag, cfn-lint, and one's own eyes on each change of a template."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.infra.snapshots import SNAPSHOTS, snapshot
from tests.infra.templates import Template

IGNORED = "W3005"
"""Redundant DependsOn: CDK writes them."""


def test_nag_finds_nothing_that_is_not_acknowledged(assembly: Path) -> None:
    report = json.loads((assembly / "validation-report.json").read_text(encoding="utf-8"))

    (plugin,) = report["pluginReports"]
    assert plugin["pluginName"] == "AwsSolutions"
    assert (plugin["conclusion"], plugin["violations"]) == ("success", [])


@pytest.mark.slow
def test_cfn_lint_is_content(assembly: Path) -> None:
    templates = [str(path) for path in sorted(assembly.glob("*.template.json"))]
    assert len(templates) == 6
    done = subprocess.run(
        [str(Path(sys.executable).with_name("cfn-lint")), "--ignore-checks", IGNORED, "--", *templates],
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", SNAPSHOTS)
def test_templates_are_as_they_were(templates: dict[str, Template], name: str) -> None:
    """After a change that is meant: `python -m tests.infra.snapshots`, and read the difference."""
    path, stack, begins = SNAPSHOTS[name]

    assert snapshot(templates[stack], begins) == path.read_text(encoding="utf-8")
