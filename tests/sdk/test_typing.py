"""The public API under strict typing: what users write passes, and what is wrong is found before it runs.

Each line of the samples that is wrong says which error it is; as unused ignores are errors, it has to be one.
"""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = Path(__file__).parent / "typing_samples"


@pytest.mark.slow
@pytest.mark.parametrize("plugin", ["", "pydantic.mypy"])
def test_samples(tmp_path: Path, plugin: str) -> None:
    settings = tmp_path / "mypy.ini"
    settings.write_text(
        "[mypy]\nstrict = true\nexplicit_package_bases = true\nwarn_unreachable = true\n"
        f"mypy_path = {ROOT / 'core'}:{ROOT / 'sdk'}:{ROOT}\nplugins = {plugin}\n"
        # Of Karman only the signatures count here: how its inside is typed is checked with the rest of the project.
        "[mypy-karman.*,karman_core.*]\nfollow_imports = silent\n"
        "[pydantic-mypy]\ninit_typed = true\n",
        encoding="utf-8",
    )

    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", settings, "--cache-dir", tmp_path / "cache", SAMPLES],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )

    assert checked.returncode == 0, checked.stdout + checked.stderr
