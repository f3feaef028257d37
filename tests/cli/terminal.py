"""A command that has a terminal, so that it may ask."""

import os
import pty
import subprocess
import sys
from contextlib import suppress

from tests.cli.command_line import Output


def on_terminal(*arguments: str, question: str, answer: str, env: dict[str, str]) -> Output:
    """Run a command as a process with a terminal; give the answer when the question is there.

    The terminal's echo is in the output, as it would be on a screen.
    """
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", "from karman_cli.main import main; main()", *arguments],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**os.environ, "COLUMNS": "200", **env},
        start_new_session=True,
    )
    os.close(slave)
    shown = b""
    with os.fdopen(master, "r+b", buffering=0) as terminal:
        while question.encode() not in shown:
            shown += terminal.read(1024)
        terminal.write(f"{answer}\n".encode())
        with suppress(OSError):  # which is how Linux tells that the other side is closed
            while more := terminal.read(1024):
                shown += more
    return Output(process.wait(timeout=100), shown.decode(), "")
