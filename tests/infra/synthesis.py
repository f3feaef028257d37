"""Runs `stacks.py`."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def synthesize(folder: Path) -> None:
    """A process of its own: jsii's Node process is to end with it, and what it warns of is none of pytest's."""
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("stacks.py")), str(folder)],
        cwd=ROOT,
        env={**os.environ, "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "1"},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
