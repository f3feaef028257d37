"""The quickstart's commands are run as they stand, and print what it says they do."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.cli.command_line import wait_for_line
from tests.cli.terminal import on_terminal

TEXT = (Path(__file__).parents[2] / "docs" / "quickstart.md").read_text()
FOLDER, RUN, URL = "/home/ada/invoices", "r1a203356630t4gc72b44mjq2w", "http://127.0.0.1:8700"
SHORTENED = "…"
LASTED = re.compile(r"\b\d+(\.\d+)? (ms|s|min)\b")
TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{3})?")


@dataclass
class Reader:
    """A newcomer, who types what is written and compares what is printed."""

    folder: Path
    env: dict[str, str]
    known: dict[str, str] = field(default_factory=dict)
    """What differs from the page, by what the page has."""
    key: str = ""

    def write(self, language: str) -> None:
        """Save the files of the page."""
        for name, text in re.findall(rf"```{language}\n# (\S+)\n(.*?)```", TEXT, flags=re.DOTALL):
            (self.folder / name).write_text(f"# {name}\n{text}")

    def run(self, command: str, expected: list[str]) -> None:
        """Type a command, and compare."""
        if command.startswith("karman login"):
            words = self.own(command).split()[1:]
            printed = on_terminal(*words, question="API key: ", answer=self.key, env=self.env).out
        else:
            printed = subprocess.run(
                ["bash", "-c", self.own(command)],
                cwd=self.folder,
                env=self.env,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=120,
                check=False,
            ).stdout
        self.learn(printed)
        lines = [plain(line) for line in printed.splitlines()]
        for line in expected:
            if SHORTENED not in line:
                assert plain(self.own(line)) in lines, (command, printed)

    def learn(self, printed: str) -> None:
        """Ids and keys are another each time."""
        if found := re.search(r"^run (\w+)$", printed, flags=re.MULTILINE):
            self.known[RUN] = found[1]
        if found := re.search(r"^karman\.default\.\S+$", printed, flags=re.MULTILINE):
            self.key = found[0]

    def own(self, text: str) -> str:
        """As it is here."""
        for theirs, ours in self.known.items():
            text = text.replace(theirs, ours)
        return text


def plain(line: str) -> str:
    """Without what differs from run to run."""
    return " ".join(LASTED.sub("LASTED", TIME.sub("TIME", line)).split())


def commands() -> Iterator[tuple[str, list[str]]]:
    """Each command after the installation, with the lines that it is to print."""
    for block in re.findall(r"```console\n(.*?)```", TEXT, flags=re.DOTALL)[1:]:
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *expected = part.splitlines()
            yield command, expected


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    names = {name: value for name, value in os.environ.items() if not name.startswith("KARMAN_")}
    scripts = str(Path(sys.executable).parent)
    env = {**names, "PATH": f"{scripts}:{os.environ['PATH']}", "XDG_CONFIG_HOME": str(tmp_path / ".config")}
    return Reader(tmp_path, {**env, "COLUMNS": "200", "KARMAN_PORT": "0"}, {FOLDER: str(tmp_path)})


def test_the_quickstart(reader: Reader) -> None:
    reader.write("python")
    reader.write("yaml")
    (serve, ready), *others = commands()
    assert serve == "karman dev nodes.py"
    server = subprocess.Popen(
        serve.split(), cwd=reader.folder, env=reader.env, stderr=subprocess.PIPE, text=True
    )
    try:
        line = wait_for_line(server, "ready: ")
        reader.known[URL] = line.removeprefix("ready: ").split(",")[0]
        assert plain(line) == plain(reader.own(ready[-1]))
        assert [command.split()[1] for command, _ in others if command.startswith("karman")] == [
            *("apply", "trigger", "runs", "show", "logs", "retry", "keys", "login", "runs", "logout")
        ]
        for command, expected in others:
            reader.run(command, expected)
    finally:
        server.kill()
        server.communicate()
