"""What docs/deploy.md promises: from a clone and credentials to a running example with three commands, and back."""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e_aws.deployment import CDK, ROOT, Account, start_account

pytestmark = pytest.mark.timeout(900)

PAGE = ROOT / "docs" / "deploy.md"
FROM_THE_CLONE = ("examples", "infra", "node_modules", "cdk.json", ".venv")
ONLY_HERE = """--yes --context karman='{"bundle_for": "host"}'"""
"""Nobody is asked, and functions run on this machine; see the page's section about emulators."""


def documented() -> tuple[list[str], str]:
    """The commands of the first block, and what the last one prints."""
    (block, *_) = re.findall(r"```console\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    lines = block.replace("\\\n", " ").splitlines()
    commands = [line.removeprefix("$ ").partition("  #")[0] for line in lines if line.startswith("$ ")]
    return commands, "\n".join(line for line in lines if not line.startswith("$ "))


@dataclass(frozen=True)
class Clone:
    """A folder with what a clone has, and an account that nobody else uses."""

    folder: Path
    account: Account

    def shell(self, command: str) -> subprocess.CompletedProcess[str]:
        """As a person types it, with nothing but a region and credentials."""
        environment = {
            name: value for name, value in self.account.environment.items() if "DEFAULT" not in name
        }
        binaries = Path(sys.executable).parent
        return subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env={
                **environment,
                "PATH": f"{binaries}{os.pathsep}{CDK.parent}{os.pathsep}{os.environ['PATH']}",
            },
            capture_output=True,
            text=True,
            timeout=480,
            check=False,
        )


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    folder = tmp_path_factory.mktemp("clone")
    for name in FROM_THE_CLONE:
        (folder / name).symlink_to(ROOT / name)
    return Clone(folder, start_account(tmp_path_factory.mktemp("account")))


def test_three_commands_to_a_running_example_and_one_back(clone: Clone) -> None:
    (_, deploy, run), answer = documented()
    assert deploy.startswith("karman deploy")

    deployed = clone.shell(f"{deploy} {ONLY_HERE}")
    assert deployed.returncode == 0, deployed.stderr[-6000:]
    ran = clone.shell(run.replace("/var/task", str(ROOT / "docs")).replace("/tmp/notes", str(clone.folder)))
    assert ran.returncode == 0, ran.stderr[-6000:]
    assert ran.stdout.endswith(f"{answer}\n")

    looked = clone.shell("source .karman/dev.env && karman doctor --json")
    checks = {each["name"]: each for each in json.loads(looked.stdout)["checks"]}
    assert {checks[name]["level"] for name in ("account", "functions", "release", "guard sweeper")} == {"ok"}

    gone = clone.shell(f"karman destroy --context examples=true {ONLY_HERE}")
    assert gone.returncode == 0, gone.stderr[-6000:]
    assert list((clone.folder / ".karman").glob("dev.*")) == []
