"""The README's first example is what a newcomer runs: it is run here as it stands."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

README = (Path(__file__).parents[2] / "README.md").read_text()
FIRST_LINES = 30


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_its_first_lines_run_a_graph(tmp_path: Path) -> None:
    top = "\n".join(README.splitlines()[:FIRST_LINES])
    assert "karman run hello.py" in top
    command = re.search(r"^\$ karman (run .*)$", top, flags=re.MULTILINE)
    assert command
    (tmp_path / "hello.py").write_text(blocks("python")[0])
    arguments = re.findall(r'[^\s"]+"[^"]*"|\S+', command[1])
    done = subprocess.run(
        [str(Path(sys.executable).parent / "karman"), *(argument.replace('"', "") for argument in arguments)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert json.loads(done.stdout) == {"result": "EVERY! RUN! REACHES! ITS! END!"}
